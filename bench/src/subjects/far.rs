//! Replicas as they mostly are: not on Postgres' own machine. What they say to it and hear from it is under way for a while.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::flags::Load;
use super::tally;
use crate::sample::Sample;
use crate::stage::Stage;

/// How long what is said is under way, there and back each. The runtime's clock has no finer grain.
const ONE_WAY: Duration = Duration::from_millis(1);
/// Pieces that are under way at a time in one direction of a connection.
const PIECES_MAX: usize = 1_024;
const PIECE_BYTES: usize = 64 * 1_024;

/// As `tally::on_empty_log`, with Postgres at a distance.
pub(crate) async fn on_empty_log(stage: &Stage, replicas: usize, load: Load) -> Result<Sample> {
    let url = stage.servers.empty_database(tally::DATABASE).await?;
    let (_, rest) = url.split_once("@").context("a URL with a user")?;
    let (address, _) = rest.split_once('/').context("a URL with a database")?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let far = url.replace(address, &listener.local_addr()?.to_string());
    let mut distance = JoinSet::new();
    distance.spawn(pass_on(listener, address.to_owned()));
    tally::on_empty_log_with(stage, replicas, load, &[("DATABASE_URL", far)]).await
}

async fn pass_on(listener: TcpListener, address: String) -> Result<()> {
    let mut directions = JoinSet::new();
    loop {
        let (near, _) = listener.accept().await?;
        let far = TcpStream::connect(&address).await?;
        for stream in [&near, &far] {
            stream.set_nodelay(true)?;
        }
        let ((near_reads, near_writes), (far_reads, far_writes)) = (near.into_split(), far.into_split());
        directions.spawn(delay(near_reads, far_writes));
        directions.spawn(delay(far_reads, near_writes));
    }
}

/// One direction, until either side hangs up.
async fn delay(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> Result<()> {
    let (send, mut pieces) = mpsc::channel::<(Instant, Vec<u8>)>(PIECES_MAX);
    let read = async move {
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            let length = from.read(&mut buffer).await?;
            if length == 0 {
                return anyhow::Ok(());
            }
            send.send((Instant::now() + ONE_WAY, buffer[..length].to_vec())).await?;
        }
    };
    let write = async {
        while let Some((due, piece)) = pieces.recv().await {
            sleep_until(due).await;
            to.write_all(&piece).await?;
        }
        anyhow::Ok(())
    };
    tokio::try_join!(read, write).map(drop)
}
