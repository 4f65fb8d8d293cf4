use std::fmt::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use url::Url;

use crate::data::DataFolder;
use crate::stores::Stores;
use crate::tools::{shell_word, tool};

/// Where the services listen.
#[derive(Debug)]
pub(crate) struct Addresses {
    pub(crate) command: SocketAddr,
    pub(crate) query: SocketAddr,
    pub(crate) projector: SocketAddr,
}

/// How to look behind the services.
#[derive(Debug)]
pub(crate) struct Maintenance {
    /// The file with the private Postgres's URL, if there is one.
    pub(crate) psql_url: Option<PathBuf>,
    /// The schema of the log's tables.
    pub(crate) tables: String,
    /// The line that rebuilds a projection.
    pub(crate) rebuild: String,
}

const COMMANDS: &str = "tally.allocation.v1.AllocationCommandService";
const QUERIES: &str = "tally.allocation.v1.AllocationQueryService";

/// A fixed command_id: pasted twice, it is the same command.
const CREATE_BATCH: &str = r#"{"command_id": "0192f0c1-7e1b-7c11-8d2e-00000000d35c", "batch_ref": "OAK-DESK-1", "sku": "OAK-DESK", "quantity": 500}"#;
const ALLOCATE: &str = r#"{"order_id": "o1", "sku": "OAK-DESK", "quantity": 3}"#;
const GET_ALLOCATIONS: &str = r#"{"order_id": "o1"}"#;
const GET_STOCK: &str = r#"{"sku": "OAK-DESK"}"#;
const LIST_ORDERS: &str = r#"{"customer_id": "c-17"}"#;

/// What the user sees when all of it runs: where everything is, and lines that work when pasted.
pub(crate) fn banner(addresses: &Addresses, stores: &Stores, data: &DataFolder, maintenance: &Maintenance) -> String {
    let mut text = String::from(
        "\nTally runs. Ctrl-C stops it.\nIt has neither TLS nor tokens, and listens where only this machine can call it.\n\n",
    );
    let mut row = |name: &str, place: &str, what: &str| {
        let _ = writeln!(text, "  {name:<10} {place:<17} {what}");
    };
    row("commands", &addresses.command.to_string(), "command-service: create, allocate, ship");
    row("queries", &addresses.query.to_string(), "query-service: orders, allocations, stock");
    row("projector", &addresses.projector.to_string(), "projector: the read model's admin API");
    let postgres = match &maintenance.psql_url {
        Some(file) => format!(
            "private; tables in schema {}; psql \"$(cat {})\"",
            maintenance.tables,
            shell_word(&file.display().to_string())
        ),
        None => "yours".to_owned(),
    };
    row("Postgres", &host_of(&stores.database_url), &postgres);
    row("Redis", &host_of(&stores.redis_url), if stores.redis.is_some() { "private" } else { "yours" });
    let folder = data.path.display();
    let _ = match (stores.postgres.is_some(), stores.redis.is_some()) {
        (false, false) => writeln!(text, "  data       in your servers, and kept there; logs in {folder}/logs"),
        _ => writeln!(
            text,
            "  data       {folder}, kept: the next run finds it again, also after kill -9\n  {:<10} (to begin anew: stop Tally, then rm -r {})",
            "",
            shell_word(&folder.to_string())
        ),
    };
    if let Some(why) = data.moved {
        let _ = writeln!(text, "  {:<10} (not in the project: {why})", "");
    }
    let _ = writeln!(text, "  logs       {folder}/logs\n\nPaste into another terminal:\n");
    text += &calls(addresses);
    text += "  # Throw a projection's views away and let them be made again from the log, while all of it runs\n";
    text + &format!("  {}\n", maintenance.rebuild)
}

fn calls(addresses: &Addresses) -> String {
    let (grpcurl, buf) = (tool("grpcurl"), tool("buf"));
    let installed = grpcurl.installed && buf.installed;
    let (grpcurl, buf) = (grpcurl.word, buf.word);
    let by_grpcurl =
        |body: &str, address, method: &str| format!("  {grpcurl} -plaintext -d '{body}' {address} {method}\n");
    let by_buf = |body: &str, address, method: &str| {
        format!("  {buf} curl --protocol grpc --http2-prior-knowledge -d '{body}' http://{address}/{method}\n")
    };
    let (command, query) = (addresses.command, addresses.query);
    let mut text = String::new();
    if !installed {
        text += "  # Once, since grpcurl and buf are not both installed here\n  make tools\n";
    }
    text += "  # Stock, an allocation of it, and both as they stand now. Each may be pasted again and again\n";
    text += &by_grpcurl(CREATE_BATCH, command, &format!("{COMMANDS}/CreateBatch"));
    text += &by_grpcurl(ALLOCATE, command, &format!("{COMMANDS}/Allocate"));
    text += &by_grpcurl(GET_ALLOCATIONS, query, &format!("{QUERIES}/GetAllocations"));
    text += &by_grpcurl(LIST_ORDERS, query, "tally.orders.v1.OrderQueryService/ListOrders");
    text += "  # The same with buf\n";
    text += &by_buf(ALLOCATE, command, &format!("{COMMANDS}/Allocate"));
    text += &by_buf(GET_STOCK, query, &format!("{QUERIES}/GetStock"));
    text += "  # All there is to call\n";
    text += &format!("  {grpcurl} -plaintext {command} list\n  {grpcurl} -plaintext {query} list\n");
    text
}

/// Host and port of a URL, and nothing of its password.
fn host_of(url: &str) -> String {
    let parsed = Url::parse(url).ok();
    let host = parsed.as_ref().and_then(|url| Some((url.host_str()?, url.port())));
    match host {
        Some((host, Some(port))) => format!("{host}:{port}"),
        Some((host, None)) => host.to_owned(),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(host_of("postgres://tally:secret@db.example:5433/tally"), "db.example:5433");
        assert_eq!(host_of("redis://:secret@localhost/"), "localhost");
        assert_eq!(host_of("secret"), "-");
    }
}
