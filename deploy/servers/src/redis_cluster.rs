//! A private Redis Cluster: three masters with a replica each.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Client, cmd};
use tokio::time::sleep;

use crate::redis::{Redis, launch_cluster_node};
use crate::{Error, Tls};

const MASTERS: usize = 3;
const SLOTS: usize = 16_384;
const FORMED_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// A Redis Cluster of three masters and three replicas, empty, gone with this process.
#[derive(Debug)]
pub struct RedisCluster {
    /// The masters first, then their replicas in the same order.
    nodes: Vec<Redis>,
    password: String,
}

impl RedisCluster {
    /// Starts one and waits until every slot has a master and every master a replica.
    ///
    /// # Errors
    /// When Redis is not installed, doesn't start, or doesn't become a cluster.
    pub async fn temporary() -> Result<Self, Error> {
        let cluster = Self::unformed("").await?;
        cluster.form().await?;
        Ok(cluster)
    }

    /// One that speaks TLS: with clients, which need a certificate of the same authority, and among its nodes.
    ///
    /// # Errors
    /// When Redis is not installed, can't do TLS, doesn't start, or doesn't become a cluster.
    pub async fn temporary_with_tls(tls: &Tls) -> Result<Self, Error> {
        let cluster = Self::launched(
            "tls-cluster yes\ntls-replication yes\ncluster-announce-hostname localhost\ncluster-preferred-endpoint-type hostname",
            Some(tls),
        )
        .await?;
        cluster.form().await?;
        Ok(cluster)
    }

    /// Starts the six servers, with `settings` (lines of redis.conf) besides, and leaves it to somebody else to make a cluster of them.
    ///
    /// # Errors
    /// When Redis is not installed, or doesn't start.
    pub async fn unformed(settings: &str) -> Result<Self, Error> {
        Self::launched(settings, None).await
    }

    async fn launched(settings: &str, tls: Option<&Tls>) -> Result<Self, Error> {
        let password = uuid::Uuid::new_v4().simple().to_string();
        let nodes = (0..2 * MASTERS).map(|_| launch_cluster_node(&password, settings, tls));
        let nodes: Vec<Redis> = futures::future::try_join_all(nodes).await?;
        Ok(Self { nodes, password })
    }

    /// The password of all nodes.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Its URL: the addresses of all nodes, with the password.
    pub fn url(&self) -> String {
        let addresses: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis://:{}@{}", self.password, addresses.join(","))
    }

    /// Its URL for TLS, where it was started with that: all nodes by the name `localhost`.
    pub fn tls_url(&self) -> Option<String> {
        let ports: Option<Vec<u16>> = self.nodes.iter().map(Redis::tls_port).collect();
        let addresses: Vec<String> = ports?.iter().map(|port| format!("localhost:{port}")).collect();
        Some(format!("rediss://:{}@{}", self.password, addresses.join(",")))
    }

    /// All nodes: masters first.
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// kill -9 of what was a master in the beginning.
    ///
    /// # Errors
    /// When it may not be signalled.
    pub async fn kill_master(&self, number: usize) -> Result<(), Error> {
        self.nodes[number % MASTERS].kill().await
    }

    async fn connection(&self, node: usize) -> Result<MultiplexedConnection, Error> {
        let client = Client::open(format!("redis://:{}@127.0.0.1:{}/", self.password, self.nodes[node].port()))?;
        Ok(client.get_multiplexed_async_connection().await?)
    }

    async fn form(&self) -> Result<(), Error> {
        let mut ids: Vec<String> = Vec::new();
        for node in 0..self.nodes.len() {
            let mut connection = self.connection(node).await?;
            ids.push(cmd("CLUSTER").arg("MYID").query_async(&mut connection).await?);
            cmd("CLUSTER").arg("SET-CONFIG-EPOCH").arg(node + 1).exec_async(&mut connection).await?;
            if node < MASTERS {
                let (first, last) = (SLOTS * node / MASTERS, SLOTS * (node + 1) / MASTERS - 1);
                cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(first).arg(last).exec_async(&mut connection).await?;
            }
        }
        let mut first = self.connection(0).await?;
        for (node, server) in self.nodes.iter().enumerate().skip(1) {
            let mut connection = self.connection(node).await?;
            let (_, bus): (String, u16) =
                cmd("CONFIG").arg("GET").arg("cluster-port").query_async(&mut connection).await?;
            let port = server.tls_port().unwrap_or(server.port());
            cmd("CLUSTER").arg("MEET").arg("127.0.0.1").arg(port).arg(bus).exec_async(&mut first).await?;
        }
        for replica in MASTERS..self.nodes.len() {
            let mut connection = self.connection(replica).await?;
            self.until("knows its master", async || {
                let told: Result<(), _> =
                    cmd("CLUSTER").arg("REPLICATE").arg(&ids[replica - MASTERS]).query_async(&mut connection).await;
                told.is_ok()
            })
            .await?;
        }
        for node in 0..self.nodes.len() {
            let mut connection = self.connection(node).await?;
            self.until("is complete", async || {
                let info: String = cmd("CLUSTER").arg("INFO").query_async(&mut connection).await.unwrap_or_default();
                let nodes: String = cmd("CLUSTER").arg("NODES").query_async(&mut connection).await.unwrap_or_default();
                info.contains("cluster_state:ok")
                    && nodes.matches(" slave ").count() + nodes.matches("myself,slave ").count() == MASTERS
            })
            .await?;
        }
        // A replica that was never in step would not take over.
        for node in 0..MASTERS {
            let mut connection = self.connection(node).await?;
            self.until("has its replica in step", async || {
                let info: String =
                    cmd("INFO").arg("replication").query_async(&mut connection).await.unwrap_or_default();
                info.contains("state=online")
            })
            .await?;
        }
        Ok(())
    }

    async fn until(&self, what: &str, mut condition: impl AsyncFnMut() -> bool) -> Result<(), Error> {
        let began = Instant::now();
        while !condition().await {
            if began.elapsed() > FORMED_WITHIN {
                let source = std::io::Error::from(std::io::ErrorKind::TimedOut);
                return Err(Error::Io { what: format!("wait until the Redis Cluster {what}"), source });
            }
            sleep(POLL).await;
        }
        Ok(())
    }
}
