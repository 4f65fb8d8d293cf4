//! How each subject is set up, run and checked.

pub(crate) mod baseline;
pub(crate) mod cqrs_es;
pub(crate) mod far;
mod flags;
pub(crate) mod limits;
pub(crate) mod overload;
pub(crate) mod past;
pub(crate) mod pgbench;
pub(crate) mod projecting;
pub(crate) mod reads;
mod ready;
pub(crate) mod start;
pub(crate) mod tally;
pub(crate) mod telemetry;
pub(crate) mod visibility;

pub(crate) use flags::Load;
