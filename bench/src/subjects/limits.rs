//! What the servers do of the read side's work with nothing of Tally around them. Of the same design: another one may need fewer steps.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use hdrhistogram::Histogram;
use redis::aio::MultiplexedConnection;
use redis::{Client, Pipeline, cmd};
use tally_read_model::projections;

use super::projecting;
use super::tally::DATABASE;
use crate::orders_log;
use crate::sample::{Quantity, Sample};
use crate::servers::{connect, execute};
use crate::stage::Stage;

const CHAINS: usize = 2_000;
/// Views, or members of a list, in one command: more than a batch of the projector has for a bucket.
const AT_ONCE: usize = 64;
/// Commands in one pipeline.
const PIPELINED: usize = 64;
const PATIENT: Duration = Duration::from_secs(60);

/// What the projector left of the log of orders, written once more into another database of the same Redis: with bare commands, many in a pipeline, from
/// memory. Nothing is read, checked or folded, and no checkpoint moves.
pub(crate) async fn bare_writes(stage: &Stage) -> Result<Sample> {
    projecting::ensure(stage).await?;
    let log = stage.orders_log.get_or_try_init(|| orders_log::make(stage)).await?;
    let url = stage.servers.redis.url();
    let copy_url = format!("{url}2");
    projecting::empty(&copy_url).await?;
    let (mut from, mut to) = (patient(&url).await?, patient(&copy_url).await?);
    let keys: Vec<String> = cmd("KEYS").arg("*").query_async(&mut from).await?;
    let (mut took, mut written) = (Duration::ZERO, 0);
    for key in keys {
        let commands = rewritten(&mut from, &key).await?;
        for commands in commands.chunks(PIPELINED) {
            let mut pipeline = Pipeline::with_capacity(commands.len());
            for command in commands {
                pipeline.add_command(command.clone()).ignore();
            }
            let began = Instant::now();
            pipeline.exec_async(&mut to).await?;
            took += began.elapsed();
            written += commands.len();
        }
    }
    ensure!(written as u64 * AT_ONCE as u64 > log.events, "{written} commands are not what {} events made", log.events);
    projecting::empty(&copy_url).await?;
    Ok(Sample::default().with(Quantity::EventsPerSecond, log.events as f64 / took.as_secs_f64()))
}

/// The commands that make a key what it is.
async fn rewritten(redis: &mut MultiplexedConnection, key: &str) -> Result<Vec<redis::Cmd>> {
    let kind: String = cmd("TYPE").arg(key).query_async(redis).await?;
    let command = |name: &str, arguments: &[Vec<u8>]| {
        let mut command = cmd(name);
        command.arg(key).arg(arguments);
        command
    };
    Ok(match kind.as_str() {
        "hash" => {
            let fields: Vec<Vec<u8>> = cmd("HGETALL").arg(key).query_async(redis).await?;
            fields.chunks(2 * AT_ONCE).map(|fields| command("HSET", fields)).collect()
        }
        "zset" => {
            let members: Vec<Vec<u8>> = cmd("ZRANGE").arg(key).arg(0).arg(-1).query_async(redis).await?;
            let scored: Vec<Vec<u8>> = members.into_iter().flat_map(|member| [b"0".to_vec(), member]).collect();
            scored.chunks(2 * AT_ONCE).map(|members| command("ZADD", members)).collect()
        }
        "stream" => {
            let entries: Vec<(Vec<u8>, Vec<Vec<u8>>)> =
                cmd("XRANGE").arg(key).arg("-").arg("+").query_async(redis).await?;
            entries.into_iter().map(|(id, fields)| command("XADD", &[vec![id], fields].concat())).collect()
        }
        _ => Vec::new(),
    })
}

/// From an acknowledgement until the bell of a projection, one event at a time: the log's bell, a read of the log, a load, an apply and its bell. As many
/// loads as there are projections go to Redis together, and as many applies; everybody's bell counts. Nothing else asks anything of the servers.
pub(crate) async fn bare_chain(stage: &Stage) -> Result<Sample> {
    let url = stage.servers.redis.url();
    let client = Client::open(url.as_str())?;
    let mut redis = patient(&url).await?;
    let mut bells = client.get_async_pubsub().await?;
    bells.subscribe(BELL).await?;
    let mut bells = bells.into_on_message();
    let mut postgres = connect(&stage.servers.empty_database(DATABASE).await?).await?;
    execute(&mut postgres, "CREATE TABLE log (position bigint PRIMARY KEY, payload text NOT NULL)").await?;
    execute(&mut postgres, "INSERT INTO log SELECT n, repeat('x', 300) FROM generate_series(1, 10000) AS n").await?;
    let load: String = cmd("SCRIPT").arg("LOAD").arg(LOAD).query_async(&mut redis).await?;
    let apply: String = cmd("SCRIPT").arg("LOAD").arg(APPLY).query_async(&mut redis).await?;
    let mut histogram = Histogram::<u64>::new(3)?;
    for position in 1..=CHAINS as i64 {
        let began = Instant::now();
        redis::cmd("PUBLISH").arg(BELL).arg(position).exec_async(&mut redis).await?;
        bells.next().await.context("no bell")?;
        let (_, payload): (i64, String) = sqlx::query_as("SELECT position, payload FROM log WHERE position = $1")
            .bind(position)
            .fetch_one(&mut postgres)
            .await?;
        let (mut loads, mut applies) = (Pipeline::new(), Pipeline::new());
        for projection in projections::ALL {
            let (state, views) = (format!("{STATE}:{projection}"), format!("{VIEWS}:{projection}"));
            loads.cmd("EVALSHA").arg(&load).arg(2).arg(&state).arg(&views).arg("view").ignore();
            applies.cmd("EVALSHA").arg(&apply).arg(2).arg(&state).arg(&views);
            applies.arg(position).arg(format!("view-{position}")).arg(&payload).arg(BELL).ignore();
        }
        loads.exec_async(&mut redis).await?;
        let applied = async { Ok(applies.exec_async(&mut redis).await?) };
        let heard = async {
            for _ in projections::ALL {
                bells.next().await.context("no bell")?;
                histogram.record(u64::try_from(began.elapsed().as_nanos())?)?;
            }
            anyhow::Ok(())
        };
        tokio::try_join!(applied, heard)?;
    }
    Ok(Sample::default().with(Quantity::P50Us, histogram.value_at_quantile(0.5) as f64 / 1e3))
}

const BELL: &str = "bench:bell";
const STATE: &str = "bench:state";
const VIEWS: &str = "bench:views";
const LOAD: &str = "return {redis.call('GET', KEYS[1]), redis.call('HGET', KEYS[2], ARGV[1])}";
const APPLY: &str = "redis.call('SET', KEYS[1], ARGV[1]) redis.call('HSET', KEYS[2], ARGV[2], ARGV[3]) \
                     redis.call('PUBLISH', ARGV[4], ARGV[1])";

async fn patient(url: &str) -> Result<MultiplexedConnection> {
    let mut connection = Client::open(url)?.get_multiplexed_async_connection().await?;
    connection.set_response_timeout(PATIENT);
    Ok(connection)
}
