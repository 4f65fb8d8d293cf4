//! Fetching views of a build, together with the keys that say what they are as of, in one step of Redis.

use std::fmt::Write;

use bytes::Bytes;
use redis::{Cmd, Pipeline};

use crate::connection::Connection;
use crate::keys::{Keys, PRESENT, bucket_of, view_field};
use crate::{BuildId, Error, Unit};

/// What was there, all of one moment.
pub(crate) struct Fetched {
    /// The values of the keys, in their order.
    pub(crate) texts: Vec<Option<String>>,
    /// The views, in the order that they were asked for in; [`Error::Lost`] where a view's bucket is gone.
    pub(crate) views: Vec<Result<Option<Bytes>, Error>>,
}

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

    let mut pipeline = Pipeline::with_capacity(1 + fields.len());
    let mut command = Cmd::new();
    command.arg("MGET").arg(texts);
    pipeline.atomic().add_command(command);
    let mut key = keys.views(unit, build);
    let prefix = key.len();
    for fields in of_bucket() {
        key.truncate(prefix);
        let _ = write!(key, "{}", fields[0].0);
        let length = fields.iter().map(|(.., field)| field.len()).sum::<usize>();
        let mut command = Cmd::with_capacity(3 + fields.len(), "HMGET".len() + key.len() + length);
        command.arg("HMGET").arg(&key).arg(PRESENT);
        for (.., field) in fields {
            command.arg(field);
        }
        pipeline.add_command(command);
    }

    let mut answers = connection.repeatable::<Vec<Vec<Option<Bytes>>>>(&mut pipeline).await?.into_iter();
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
