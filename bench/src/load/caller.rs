//! What is called, and whether what comes back is really a success.

use std::time::Duration;

use anyhow::{Context, Result};
use tally_api::allocation::v1::{
    AllocateResponse, CreateBatchResponse, DeallocateResponse, GetAllocationsResponse, LineOutcome, LineStatus,
};
use tally_api::consistency::v1::Receipt;
use tally_api::orders::v1::{CreateOrderResponse, GetOrderResponse};

use super::args::{Command, LoadArgs};
use super::commands::Commands;
use super::connection::Connection;
use super::reader::Reader;

/// Calls over one connection; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    command: Command,
    commands: Commands,
    connection: Connection,
    reader: Option<Reader>,
    turnover: Option<Turnover>,
    refusals: bool,
}

/// Where else than to Allocate a turnover goes.
#[derive(Clone, Debug)]
struct Turnover {
    deallocate: Connection,
    get_allocations: Connection,
}

/// What a call came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reply {
    Success,
    /// It is not one of those that are measured.
    Unmeasured,
    /// How long after it was acknowledged it was visible, and how long it took until it could be read.
    Visible {
        visible: Duration,
        read: Duration,
    },
    /// For too much load, where that is taken for an answer.
    Refused,
}

/// Of so many commands one is read, so that the reads are not the load.
const READ_EVERY: u64 = 10;
/// How the server says that it has too much to do.
const RESOURCE_EXHAUSTED: &str = "code 8:";

impl Caller {
    /// As many as there are connections, all of them connected.
    pub(super) async fn connect_all(args: &LoadArgs) -> Result<Vec<Caller>> {
        let method = match args.command {
            Command::CreateBatch => "tally.allocation.v1.AllocationCommandService/CreateBatch",
            Command::Ask | Command::Allocate | Command::Turnover | Command::AllocateAndRead => {
                "tally.allocation.v1.AllocationCommandService/Allocate"
            }
            Command::CreateOrder => "tally.orders.v1.OrderCommandService/CreateOrder",
            Command::GetOrder => "tally.orders.v1.OrderQueryService/GetOrder",
        };
        let reader = match args.command {
            Command::AllocateAndRead => Some(Reader::connect(args).await?),
            _ => None,
        };
        let mut callers = Vec::new();
        for target in args.targets.iter().cycle().take(args.connections.max(args.targets.len())) {
            let connection = Connection::open(*target, method).await?;
            let turnover = match args.command {
                Command::Turnover => Some(Turnover::connect(&connection, args).await?),
                _ => None,
            };
            callers.push(Caller {
                command: args.command,
                commands: Commands::new(args),
                connection,
                reader: reader.clone(),
                turnover,
                refusals: args.refusals,
            });
        }
        Ok(callers)
    }

    /// Sends command `number`. An answer that isn't what was asked for is an error, as one of the server's would be.
    pub(super) async fn call(&self, number: u64) -> Result<Reply, String> {
        match self.succeed(number).await {
            Ok(reply) => Ok(reply),
            Err(error) if self.refusals && error.starts_with(RESOURCE_EXHAUSTED) => Ok(Reply::Refused),
            Err(error) => Err(error),
        }
    }

    async fn succeed(&self, number: u64) -> Result<Reply, String> {
        match self.command {
            Command::CreateBatch => {
                let answer: CreateBatchResponse = self.connection.call(&self.commands.create_batch(number)).await?;
                has_receipt(&answer.receipt)?;
            }
            Command::Ask => {
                let answer: AllocateResponse = self.connection.call(&self.commands.ask(number)).await?;
                all_allocated(answer.line.as_slice())?;
            }
            Command::Allocate => {
                let answer: AllocateResponse = self.connection.call(&self.commands.allocate(number)).await?;
                has_receipt(&answer.receipt)?;
                all_allocated(answer.line.as_slice())?;
            }
            Command::AllocateAndRead => {
                let answer: AllocateResponse = self.connection.call(&self.commands.allocate(number)).await?;
                all_allocated(answer.line.as_slice())?;
                let receipt = answer.receipt.ok_or("an answer without a receipt")?;
                return match &self.reader {
                    Some(reader) if number.is_multiple_of(READ_EVERY) => {
                        let request = self.commands.get_allocations(number, receipt.token);
                        reader.until_visible(receipt.position.unsigned_abs(), &request).await
                    }
                    Some(_) | None => Ok(Reply::Unmeasured),
                };
            }
            Command::Turnover => self.turn_over(number).await?,
            Command::GetOrder => {
                let request = self.commands.get_order();
                let answer: GetOrderResponse = self.connection.call(&request).await?;
                let order = answer.order.ok_or("an answer without an order")?;
                if order.order_id != request.order_id {
                    return Err("another order than was asked for".to_owned());
                }
            }
            Command::CreateOrder => {
                let answer: CreateOrderResponse = self.connection.call(&self.commands.create_order(number)).await?;
                has_receipt(&answer.receipt)?;
                all_allocated(&answer.lines)?;
            }
        }
        Ok(Reply::Success)
    }

    async fn turn_over(&self, number: u64) -> Result<(), String> {
        let turnover = self.turnover.as_ref().ok_or("nowhere to read")?;
        let allocate = self.commands.allocate(number);
        let allocated: AllocateResponse = self.connection.call(&allocate).await?;
        all_allocated(allocated.line.as_slice())?;
        let token = allocated.receipt.ok_or("an answer without a receipt")?.token;
        let read: GetAllocationsResponse =
            turnover.get_allocations.call(&self.commands.get_allocations(number, token)).await?;
        if read.allocations.len() != 1 {
            return Err("another number of allocations than was made".to_owned());
        }
        let taken_back: DeallocateResponse = turnover.deallocate.call(&self.commands.deallocate(allocate)).await?;
        has_receipt(&taken_back.receipt)
    }
}

impl Turnover {
    async fn connect(allocate: &Connection, args: &LoadArgs) -> Result<Self> {
        let target = args.query_target.context("reads need a --query-target")?;
        Ok(Self {
            deallocate: allocate.to("tally.allocation.v1.AllocationCommandService/Deallocate")?,
            get_allocations: Connection::open(target, "tally.allocation.v1.AllocationQueryService/GetAllocations")
                .await?,
        })
    }
}

fn has_receipt(receipt: &Option<Receipt>) -> Result<(), String> {
    receipt.is_some().then_some(()).ok_or_else(|| "an answer without a receipt".to_owned())
}

fn all_allocated(lines: &[LineOutcome]) -> Result<(), String> {
    let allocated = !lines.is_empty() && lines.iter().all(|line| line.status() == LineStatus::Allocated);
    allocated.then_some(()).ok_or_else(|| "a line that was not allocated".to_owned())
}
