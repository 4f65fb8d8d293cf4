//! Making a log: schema, tables, functions, roles.

use crate::error::Error;
use crate::log_name::LogName;

/// Brings a log's schema up to date and gives its roles their rights. May be run again, and by two at once.
pub async fn migrate(database_url: &str, log: &LogName) -> Result<(), Error> {
    let _ = (database_url, log);
    todo!()
}
