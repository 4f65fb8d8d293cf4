//! Making a log: its schema, tables and functions, and the roles that may use them.
//!
//! The SQL is the same for every log and is embedded; what depends on the log's name is done from here.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use tracing::info;

use crate::connection::connect_options;
use crate::error::Error;
use crate::log_name::LogName;

/// Roles belong to the whole server, so migrations of logs in other databases make the same ones at the same time.
const ROLE_ATTEMPTS_MAX: u32 = 20;

/// Brings a log's schema up to date and gives its roles their rights. May be run again, and by two at once.
///
/// The user of the URL becomes the owner and a member of all of them. It may be an ordinary one: it needs `CREATE` on the
/// database, and `CREATEROLE` unless the roles are there and it is a member of them. A service is better given a user of
/// its own that is a member of one role only (`GRANT tally_main_append TO its_user`).
pub async fn migrate(database_url: &str, log: &LogName) -> Result<(), Error> {
    let options = connect_options(database_url, log)?;
    let mut connection = options.connect().await?;
    // First, so that nothing has changed yet where that is not allowed.
    for role in [log.append_role(), log.read_role(), log.tail_role()] {
        ensure_role(&mut connection, &role).await?;
    }
    migrate_schema(&mut connection, log).await?;
    grant_rights(&mut connection, log).await?;
    info!(%log, "the log's schema is up to date");
    Ok(())
}

async fn migrate_schema(connection: &mut PgConnection, log: &LogName) -> Result<(), Error> {
    let mut migrator = sqlx::migrate!("./migrations");
    let exists: bool = sqlx::query_scalar("SELECT to_regnamespace($1) IS NOT NULL")
        .bind(log.schema())
        .fetch_one(&mut *connection)
        .await?;
    // Postgres wants the right to create schemas even where there is nothing to create.
    if !exists {
        migrator.create_schema(log.schema());
    }
    Ok(migrator.run_direct(None, connection, false).await?)
}

/// Makes sure that this user can act as the role.
async fn ensure_role(connection: &mut PgConnection, role: &str) -> Result<(), Error> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match try_ensure_role(connection, role).await {
            Err(error) if attempts < ROLE_ATTEMPTS_MAX && lost_role_race(&error) => {}
            result => return Ok(result?),
        }
    }
}

async fn try_ensure_role(connection: &mut PgConnection, role: &str) -> Result<(), sqlx::Error> {
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
        .bind(role)
        .fetch_one(&mut *connection)
        .await?;
    if !exists {
        execute(connection, format!("CREATE ROLE {role} NOLOGIN")).await?;
    }
    // Only trying tells: membership means less from version 16 on, and superusers need none.
    match execute(connection, format!("SET ROLE {role}")).await {
        Ok(()) => execute(connection, "RESET ROLE".to_owned()).await,
        Err(_) => execute(connection, format!("GRANT {role} TO CURRENT_USER")).await,
    }
}

/// Another migration made or granted the same role in the meantime.
fn lost_role_race(error: &sqlx::Error) -> bool {
    // duplicate_object, unique_violation on the catalogue, "tuple concurrently updated"
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("42710" | "23505" | "XX000"))
}

async fn grant_rights(connection: &mut PgConnection, log: &LogName) -> Result<(), Error> {
    let (schema, append, read, tail) = (log.schema(), log.append_role(), log.read_role(), log.tail_role());
    // The lock makes two migrations of this log wait for each other, and no append for them.
    let statements = format!(
        "BEGIN;
         LOCK TABLE _sqlx_migrations IN EXCLUSIVE MODE;
         REVOKE ALL ON FUNCTION note_reached FROM PUBLIC;
         GRANT USAGE ON SCHEMA {schema} TO {append}, {read}, {tail};
         GRANT SELECT ON log_head, events TO {append}, {read}, {tail};
         GRANT SELECT ON commands, snapshots TO {append};
         GRANT EXECUTE ON FUNCTION
             append_batch, lock_head, take_head, append_fitting, prune_commands, save_snapshots TO {append};
         GRANT SELECT ON reached TO {tail};
         GRANT EXECUTE ON FUNCTION note_reached TO {tail};
         COMMIT"
    );
    Ok(execute(connection, statements).await?)
}

/// Names come from a checked [`LogName`]: they need no quotes and hold none.
async fn execute(connection: &mut PgConnection, statements: String) -> Result<(), sqlx::Error> {
    connection.execute(AssertSqlSafe(statements)).await.map(drop)
}
