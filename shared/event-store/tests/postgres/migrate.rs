//! Making logs.

use anyhow::Result;
use futures::future::try_join_all;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tally_event_store::{AppendStore, LogName, ReadOptions, ReadStore, append, migrate};
use tally_servers::{fresh_database, unique_log_name};

use crate::fixture::{Log, append_options, batch, command};

#[tokio::test]
async fn a_second_migration_changes_nothing() -> Result<()> {
    let log = Log::fresh().await?;
    let id = log.append.log_id().await?;
    log.given(&[("order-1", 1)]).await?;
    migrate(&log.url, &log.name).await?;
    assert_eq!(log.append.log_id().await?, id);
    assert_eq!(log.given(&[("order-1", 2)]).await?.first_position, 2);
    Ok(())
}

/// Replicas may all migrate when they start, and roles are shared with the logs of other databases.
#[tokio::test(flavor = "multi_thread")]
async fn migrations_may_run_at_once() -> Result<()> {
    for _ in 0..2 {
        let name: LogName = unique_log_name().parse()?;
        let urls = [fresh_database().await, fresh_database().await, fresh_database().await];
        let at_once = urls.iter().flat_map(|url| [url; 4]).map(|url| migrate(url, &name));
        try_join_all(at_once).await?;
        for url in urls {
            Log::at(url, name.clone()).await?.given(&[("order-1", 1)]).await?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn two_logs_in_one_database_do_not_see_each_other() -> Result<()> {
    let url = fresh_database().await;
    let (eu, us) = (Log::at(url.clone(), "eu".parse()?).await?, Log::at(url, "us".parse()?).await?);
    assert_ne!(eu.append.log_id().await?, us.append.log_id().await?);
    let same = command(&[("order-1", 1)]);
    eu.append.append(batch([same.clone()])).await?;
    assert_eq!(us.read.head().await?, 0);
    assert_eq!(us.append.find_commands(&[same.command_id]).await?, []);
    assert_eq!(us.append.versions(&["order-1".to_owned()]).await?, [0]);
    us.append.append(batch([same])).await?;
    us.given(&[("order-1", 2)]).await?;
    assert_eq!((eu.read.head().await?, us.read.head().await?), (1, 2));
    Ok(())
}

/// As hosted databases give: no superuser, one who may make roles.
#[tokio::test]
async fn an_ordinary_owner_may_migrate_and_use_the_same_url() -> Result<()> {
    let url = fresh_database().await;
    let name: LogName = unique_log_name().parse()?;
    let owner = format!("owner_{name}");
    let mut superuser = PgConnection::connect(&url).await?;
    let database: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&mut superuser).await?;
    let make =
        format!("CREATE ROLE {owner} LOGIN CREATEROLE PASSWORD 'secret'; ALTER DATABASE {database} OWNER TO {owner}");
    sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut superuser).await?;

    let (_, host) = url.split_once('@').expect("a URL with a password");
    let log = Log::at(format!("postgres://{owner}:secret@{host}"), name).await?;
    migrate(&log.url, &log.name).await?;
    log.given(&[("order-1", 1)]).await?;
    assert_eq!(log.events().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_log_that_is_not_there_is_refused_until_it_is() -> Result<()> {
    let url = fresh_database().await;
    let name: LogName = unique_log_name().parse()?;
    let append = AppendStore::connect(&url, &name, append_options()).await?;
    let read = ReadStore::connect(&url, &name, ReadOptions::default()).await?;
    let missing = append.append(batch([command(&[("order-1", 1)])])).await;
    assert!(matches!(missing, Err(append::Error::Refused(_))), "{missing:?}");
    for missing in [append.ping().await, read.ping().await, append.begin_exclusive(0, 0).await.map(drop)] {
        assert!(matches!(missing, Err(tally_event_store::Error::Refused(_))), "{missing:?}");
    }

    migrate(&url, &name).await?;
    append.append(batch([command(&[("order-1", 1)])])).await?;
    assert_eq!(read.head().await?, 1);
    Ok(())
}
