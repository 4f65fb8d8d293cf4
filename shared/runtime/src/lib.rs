//! What every process needs, so that each service holds only what is its own.
//!
//! In reading order: the arguments all processes share, logging, the checks on requests and their limits, the errors
//! callers see, deadlines, health, and serving until told to stop.

mod args;
mod deadline;
mod health;
pub mod limits;
mod serve;
mod shutdown;
mod status;
mod telemetry;
mod violations;
mod wire;

pub use args::{CommonArgs, LogFormat};
pub use deadline::time_left;
pub use health::{Readiness, watch_readiness};
pub use serve::{Listening, bind, serve};
pub use shutdown::stop_signal;
pub use status::{Refusal, STORE_UNAVAILABLE, overloaded, store_unavailable};
pub use telemetry::init_telemetry;
pub use violations::Violations;
