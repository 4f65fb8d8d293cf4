//! Fetching views of a build, together with the keys that say what they are as of, in one step of Redis.

use std::sync::LazyLock;

use bytes::Bytes;
use redis::Script;

use crate::connection::{Call, Connection};
use crate::keys::{Keys, bucket_of, view_field};
use crate::{BuildId, Error, Unit};

/// What was there, all of one moment.
pub(crate) struct Fetched {
    /// The values of the keys, in their order.
    pub(crate) texts: Vec<Option<String>>,
    /// The views, in the order that they were asked for in; [`Error::Lost`] where a view's bucket is gone.
    pub(crate) views: Vec<Result<Option<Bytes>, Error>>,
}

static FETCH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("fetch.lua")));

/// Fetches what `texts` hold and some views. All are of one shard.
pub(crate) async fn fetch(
    connection: &Connection,
    keys: &Keys,
    texts: &[String],
    (unit, build): (Unit, BuildId),
    view_keys: &[impl AsRef<str>],
) -> Result<Fetched, Error> {
    let mut fields: Vec<(u32, usize, String)> = Vec::with_capacity(view_keys.len());
    for (place, key) in view_keys.iter().enumerate() {
        let field = view_field(key.as_ref());
        fields.push((bucket_of(&field), place, field));
    }
    fields.sort_unstable_by_key(|(bucket, place, _)| (*bucket, *place));
    let of_bucket = || fields.chunk_by(|(one, ..), (other, ..)| one == other);

    let mut call = Call::new(&FETCH, texts.len() + of_bucket().count());
    call.arg(texts);
    let mut bucket = keys.views(unit, build);
    let prefix = bucket.len();
    for fields in of_bucket() {
        bucket.truncate(prefix);
        bucket.push_str(&fields[0].0.to_string());
        call.arg(&bucket);
    }
    call.arg(texts.len());
    for fields in of_bucket() {
        call.arg(fields.len());
        for (.., field) in fields {
            call.arg(field);
        }
    }

    let mut answers = connection.repeatable::<Vec<Vec<Option<Bytes>>>>(&call).await?.into_iter();
    let texts = answers.next().unwrap_or_default().into_iter().map(text).collect::<Result<_, _>>()?;
    let mut views = vec![Err(Error::Lost); view_keys.len()];
    for (fields, answer) in of_bucket().zip(answers) {
        let mut found = answer.into_iter();
        if found.next().flatten().is_some() {
            for ((_, place, _), view) in fields.iter().zip(found) {
                views[*place] = Ok(view);
            }
        }
    }
    Ok(Fetched { texts, views })
}

fn text(stored: Option<Bytes>) -> Result<Option<String>, Error> {
    stored.map(|bytes| String::from_utf8(bytes.into()).map_err(|_| Error::Corrupt("a text that is none"))).transpose()
}
