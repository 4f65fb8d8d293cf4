//! A private Postgres and a private Redis, as processes of one's own: for `make run` and for every test that needs a real server.
//!
//! No server of this crate outlives the process that started it, however that one ends ([`guard`]), and none touches a port, a folder or a
//! server that it did not make itself.

mod children;
mod error;
/// Where the servers' programs are on this machine.
pub mod find;
mod folder;
/// Processes that can't outlive this one.
pub mod guard;
mod port;
mod postgres;
mod redis;
mod redis_cluster;
mod server;
mod testing;
mod tls;
mod user;

pub use error::Error;
pub use folder::reachable_by_server_user;
pub use port::free_port;
pub use postgres::Postgres;
pub use redis::Redis;
pub use redis_cluster::RedisCluster;
pub use server::{Program, Server};
pub use testing::{TestServers, fresh_database, test_postgres, test_redis, test_servers, unique_log_name};
pub use tls::Tls;
pub use user::ServerUser;
