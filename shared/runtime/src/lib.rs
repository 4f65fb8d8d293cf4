//! What every process needs, so that each service holds only what is its own.
//!
//! In reading order: the arguments all processes share, logging, the checks on requests and their limits, the errors
//! callers see, deadlines, health, and serving until told to stop.

mod args;
mod calls;
mod deadline;
mod health;
pub mod limits;
mod operations;
mod rpc_metrics;
mod serve;
mod shutdown;
mod status;
mod telemetry;
pub mod trace;
mod violations;
mod wire;

pub use args::{CommonArgs, LogFormat};
pub use deadline::time_left;
pub use health::{Readiness, watch_readiness};
pub use operations::serve_operations;
pub use serve::{Listening, bind, serve};
pub use shutdown::stop_signal;
pub use status::{Refusal, STORE_UNAVAILABLE, overloaded, store_unavailable};
pub use telemetry::{Telemetry, init_logging, init_telemetry};
pub use violations::Violations;
