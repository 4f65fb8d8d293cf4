use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// What `load` is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct LoadArgs {
    /// Where to send them; given more than once, connections take turns
    #[arg(long = "target", required = true, value_name = "ADDR:PORT")]
    pub(super) targets: Vec<SocketAddr>,

    /// What to send
    #[arg(long, value_enum)]
    pub(super) command: Command,

    /// Connections, of one HTTP/2 session each
    #[arg(long, default_value_t = 8, value_name = "COUNT")]
    pub(super) connections: usize,

    /// Commands under way at a time, over all connections, unless there is a --rate-per-second
    #[arg(long, default_value_t = 256, value_name = "COUNT")]
    pub(super) in_flight: usize,

    /// Commands are over this many SKUs, chosen at random
    #[arg(long, default_value_t = 10_000, value_name = "COUNT")]
    pub(super) skus: u64,

    /// What the names of SKUs begin with
    #[arg(long, default_value = "SKU-", value_name = "TEXT")]
    pub(super) sku_prefix: String,

    /// Reads are of this many orders, chosen at random
    #[arg(long, default_value_t = 1_000_000, value_name = "COUNT")]
    pub(super) orders: u64,

    /// What reads must have seen: the token of a receipt or of an answer
    #[arg(long, value_name = "TOKEN")]
    pub(super) token: Option<String>,

    /// Where to read what was written
    #[arg(long, value_name = "ADDR:PORT")]
    pub(super) query_target: Option<SocketAddr>,

    /// The Redis whose bells tell what is visible
    #[arg(long, value_name = "URL")]
    pub(super) redis_url: Option<String>,

    /// The log whose read model is there
    #[arg(long, value_name = "NAME")]
    pub(super) log: Option<String>,

    /// Send exactly this many, each once, instead of for a time
    #[arg(long, value_name = "COUNT")]
    pub(super) count: Option<u64>,

    /// Milliseconds that count for nothing, at the beginning
    #[arg(long, default_value_t = 500, value_name = "MS")]
    pub(super) warm_up_ms: u64,

    /// Milliseconds that count, after those
    #[arg(long, default_value_t = 3_000, value_name = "MS")]
    pub(super) measure_ms: u64,

    /// Version 4 for command ids, instead of 7
    #[arg(long)]
    pub(super) random_ids: bool,

    /// Take RESOURCE_EXHAUSTED for an answer, and tell how long it took
    #[arg(long)]
    pub(super) refusals: bool,

    /// Open loop: send at these times, whatever is answered; a command's latency counts from when it should have been sent
    #[arg(long, value_name = "COUNT")]
    pub(super) rate_per_second: Option<f64>,
}

/// What is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Command {
    /// A batch for each SKU, with more in it than any run can take
    CreateBatch,
    /// What a line of each SKU would come to, by turns; nothing is stored
    Ask,
    /// One line of an order kept elsewhere, on one SKU
    Allocate,
    /// An order of three lines
    CreateOrder,
    /// One order
    GetOrder,
    /// One line of an order kept elsewhere: allocated, read, and deallocated, so that what is stored stays as much
    Turnover,
    /// As Allocate; of every tenth it is measured when it is visible, and when it can be read
    AllocateAndRead,
}

impl LoadArgs {
    pub(super) fn warm_up(&self) -> Duration {
        Duration::from_millis(self.warm_up_ms)
    }

    pub(super) fn measure(&self) -> Duration {
        Duration::from_millis(self.measure_ms)
    }
}
