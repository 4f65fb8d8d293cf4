//! One connection, and whether what comes back over it is really a success.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tally_api::allocation::v1::allocation_command_service_client::AllocationCommandServiceClient;
use tally_api::allocation::v1::{LineOutcome, LineStatus};
use tally_api::consistency::v1::Receipt;
use tally_api::orders::v1::order_command_service_client::OrderCommandServiceClient;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::args::{Command, LoadArgs};
use super::commands::Commands;

/// Calls over one connection; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    command: Command,
    commands: Commands,
    channel: Channel,
}

impl Caller {
    /// As many as there are connections, all of them connected.
    pub(super) async fn connect_all(args: &LoadArgs) -> Result<Vec<Caller>> {
        let mut callers = Vec::new();
        for target in args.targets.iter().cycle().take(args.connections.max(args.targets.len())) {
            let (command, commands) = (args.command, Commands::new(args));
            callers.push(Caller { command, commands, channel: connect(*target).await? });
        }
        Ok(callers)
    }

    /// Sends command `number`. An answer that isn't what was asked for is an error, named as one of the server's would be.
    pub(super) async fn call(&self, number: u64) -> Result<(), String> {
        match self.command {
            Command::CreateBatch => {
                let request = self.commands.create_batch(number);
                let answer = self.allocation().create_batch(request).await.map_err(named)?;
                has_receipt(&answer.into_inner().receipt)
            }
            Command::Allocate => {
                let answer = self.allocation().allocate(self.commands.allocate(number)).await.map_err(named)?;
                let answer = answer.into_inner();
                has_receipt(&answer.receipt)?;
                all_allocated(answer.line.as_slice())
            }
            Command::CreateOrder => {
                let mut orders = OrderCommandServiceClient::new(self.channel.clone());
                let answer = orders.create_order(self.commands.create_order(number)).await.map_err(named)?;
                let answer = answer.into_inner();
                has_receipt(&answer.receipt)?;
                all_allocated(&answer.lines)
            }
        }
    }

    fn allocation(&self) -> AllocationCommandServiceClient<Channel> {
        AllocationCommandServiceClient::new(self.channel.clone())
    }
}

async fn connect(target: SocketAddr) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{target}"))?.tcp_nodelay(true);
    endpoint.connect().await.with_context(|| format!("can't connect to {target}"))
}

fn named(status: Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

fn has_receipt(receipt: &Option<Receipt>) -> Result<(), String> {
    receipt.is_some().then_some(()).ok_or_else(|| "an answer without a receipt".to_owned())
}

fn all_allocated(lines: &[LineOutcome]) -> Result<(), String> {
    let allocated = !lines.is_empty() && lines.iter().all(|line| line.status() == LineStatus::Allocated);
    allocated.then_some(()).ok_or_else(|| "a line that was not allocated".to_owned())
}
