//! The baseline on the crates cqrs-es and postgres-es: `bench-cqrs-es`, from `bench/cqrs-es`, where it is described.

use anyhow::Result;

use super::baseline;
use super::flags::Load;
use crate::processes::{Service, program};
use crate::sample::Sample;
use crate::stage::Stage;

const DATABASE: &str = "cqrs_es";

pub(crate) async fn measure(stage: &Stage, load: Load) -> Result<Sample> {
    let url = stage.servers.empty_database(DATABASE).await?;
    let env = [("DATABASE_URL", url.clone())];
    let service =
        Service::start(program("bench-cqrs-es")?, &[], &env, &stage.servers.log_file("bench-cqrs-es")).await?;
    // The name of the table is postgres-es's own.
    let sample = baseline::measured(stage, std::slice::from_ref(&service), &url, "public.events", load).await?;
    service.stop().await?;
    Ok(sample)
}
