//! The read model as it is stored, byte by byte.

use std::collections::BTreeMap;

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

/// Keys asked for in one step.
const SCAN_COUNT: usize = 1_000;

/// Every value of a live generation: what it is under, without the generation's number, and its bytes. Lists are their members in order.
pub type Dump = BTreeMap<String, Vec<Vec<u8>>>;

/// Reads all views, lists and checkpoints of the projections' live generations of a log.
///
/// # Panics
/// When Redis is away, or holds what has no place there.
pub async fn dump(redis: &mut MultiplexedConnection, log: &str) -> Dump {
    try_dump(redis, log).await.expect("Redis can be read")
}

async fn try_dump(redis: &mut MultiplexedConnection, log: &str) -> redis::RedisResult<Dump> {
    let shard = format!("tally:{log}:{{{log}:r0}}:");
    let mut dump = Dump::new();
    let mut generations: BTreeMap<String, String> = BTreeMap::new();
    for key in keys(redis, &shard).await? {
        let name = key.strip_prefix(&shard).unwrap_or(&key);
        let Some((projection, rest)) = name.split_once(':') else { continue };
        let Some((generation, rest)) = rest.split_once(':').filter(|(number, _)| number.parse::<u64>().is_ok()) else {
            continue;
        };
        if !generations.contains_key(projection) {
            let live: Option<String> = redis.get(format!("{shard}{projection}:generation")).await?;
            generations.insert(projection.to_owned(), live.unwrap_or_else(|| "1".to_owned()));
        }
        if generations[projection] != generation {
            continue;
        }
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(redis).await?;
        let value = match kind.as_str() {
            "string" => vec![redis.get(&key).await?],
            "zset" => redis.zrange(&key, 0, -1).await?,
            other => panic!("{key} is a {other}"),
        };
        dump.insert(format!("{projection}:{rest}"), value);
    }
    Ok(dump)
}

async fn keys(redis: &mut MultiplexedConnection, prefix: &str) -> redis::RedisResult<Vec<String>> {
    let mut found = Vec::new();
    let mut cursor = 0_u64;
    loop {
        let scan = redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(format!("{prefix}*"))
            .arg("COUNT")
            .arg(SCAN_COUNT)
            .to_owned();
        let (next, some): (u64, Vec<String>) = scan.query_async(redis).await?;
        found.extend(some);
        cursor = next;
        if cursor == 0 {
            return Ok(found);
        }
    }
}
