//! The read model as it is stored, byte by byte.

use std::collections::BTreeMap;

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

/// Keys asked for in one step.
const SCAN_COUNT: usize = 1_000;

/// Every value of a live build: what it is under, without the build's name, and its bytes. Lists are their members in order; a checkpoint is
/// its position alone.
pub type Dump = BTreeMap<String, Vec<Vec<u8>>>;

/// Reads all views, lists and checkpoints of the projections' live builds of a log.
///
/// # Panics
/// When Redis is away, or holds what has no place there.
pub async fn dump(redis: &mut MultiplexedConnection, log: &str) -> Dump {
    try_dump(redis, log).await.expect("Redis can be read")
}

async fn try_dump(redis: &mut MultiplexedConnection, log: &str) -> redis::RedisResult<Dump> {
    let shard = format!("tally:{log}:{{{log}:r0}}:");
    let mut dump = Dump::new();
    let mut live: BTreeMap<String, String> = BTreeMap::new();
    for key in keys(redis, &shard).await? {
        let name = key.strip_prefix(&shard).unwrap_or(&key);
        let Some((projection, rest)) = name.split_once(':') else { continue };
        let Some((build, rest)) =
            rest.split_once(':').filter(|(build, _)| build.starts_with(|c: char| c.is_ascii_digit()))
        else {
            continue;
        };
        if !live.contains_key(projection) {
            let build: Option<String> = redis.get(format!("{shard}{projection}:live")).await?;
            live.insert(projection.to_owned(), build.unwrap_or_default());
        }
        let is_shown = rest == "checkpoint" || rest.starts_with("views:") || rest.starts_with("list:");
        if live[projection] != build || !is_shown {
            continue;
        }
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(redis).await?;
        let value = match kind.as_str() {
            "string" if rest == "checkpoint" => {
                let state: String = redis.get(&key).await?;
                vec![state.split(' ').next().unwrap_or_default().as_bytes().to_vec()]
            }
            "hash" => {
                let bucket: BTreeMap<String, Vec<u8>> = redis.hgetall(&key).await?;
                let views =
                    bucket.into_iter().filter_map(|(field, view)| Some((field.strip_prefix('v')?.to_owned(), view)));
                dump.extend(views.map(|(view_key, view)| (format!("{projection}:view:{view_key}"), vec![view])));
                continue;
            }
            "zset" => redis.zrange(&key, 0, -1).await?,
            // Gone since it was listed.
            "none" => continue,
            other => panic!("{key} is a {other}"),
        };
        dump.insert(format!("{projection}:{rest}"), value);
    }
    Ok(dump)
}

/// The key of the part of a projection's live build that holds a view.
///
/// # Panics
/// When Redis is away, or there is no such view.
pub async fn bucket_of(redis: &mut MultiplexedConnection, log: &str, projection: &str, view_key: &str) -> String {
    let shard = format!("tally:{log}:{{{log}:r0}}:{projection}:");
    let build: String = redis.get(format!("{shard}live")).await.expect("there is a live build");
    for bucket in keys(redis, &format!("{shard}{build}:views:")).await.expect("Redis can be read") {
        if redis.hexists(&bucket, format!("v{view_key}")).await.expect("Redis can be read") {
            return bucket;
        }
    }
    panic!("{projection} has no view of {view_key}")
}

/// Takes the part of a projection's live build away that holds a view, as an eviction would.
///
/// # Panics
/// When Redis is away, or there is no such view.
pub async fn evict(redis: &mut MultiplexedConnection, log: &str, projection: &str, view_key: &str) {
    let bucket = bucket_of(redis, log, projection, view_key).await;
    let removed: i64 = redis.del(&bucket).await.expect("Redis can be written");
    assert_eq!(removed, 1, "{bucket} was there");
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
