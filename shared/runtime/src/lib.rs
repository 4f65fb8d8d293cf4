//! What every process needs, so that each service holds only what is its own.
//!
//! In reading order: the arguments all processes share and how they are read, logging and traces, the checks on requests and their limits, the
//! errors callers see, deadlines, health, who may call over what, and serving until told to stop.

mod args;
mod calls;
mod connections;
mod deadline;
mod health;
pub mod limits;
mod operations;
mod port;
mod rpc_metrics;
mod serve;
mod settings;
mod shutdown;
mod status;
mod telemetry;
mod tls;
mod tokens;
pub mod trace;
mod violations;
mod wire;

pub use args::{CommonArgs, LogFormat};
pub use deadline::time_left;
pub use health::{Readiness, watch_readiness};
pub use operations::serve_operations;
pub use port::{Listening, PortArgs, bind};
pub use serve::{SERVING_THREADS_MAX, serve, serving_thread};
pub use settings::parse_arguments;
pub use shutdown::stop_signal;
pub use status::{Refusal, STORE_UNAVAILABLE, overloaded, store_unavailable};
pub use telemetry::{Telemetry, ended, init_logging, init_telemetry};
pub use tokens::{Caller, check_customer, not_yours};
pub use violations::Violations;
