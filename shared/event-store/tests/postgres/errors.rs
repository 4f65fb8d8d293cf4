//! What errors say. Callers may see their text; logs also see their sources.

use std::error::Error;
use std::time::Duration;

use anyhow::Result;
use tally_event_store::{AppendOptions, AppendStore, LogName, ReadOptions, ReadStore, migrate};
use tally_servers::{fresh_database, unique_log_name};

use crate::fixture::{EVENTS_MAX, Log, batch, command, known};

const PASSWORD: &str = "hunter2-secret";

fn options() -> AppendOptions {
    let short = Duration::from_millis(300);
    AppendOptions { connections_max: 2, acquire_timeout: short, statement_timeout: short, ..Default::default() }
}

/// Every error that URLs and logs of this kind lead to.
async fn errors_of(url: &str, log: &LogName) -> Vec<Box<dyn Error>> {
    let mut errors: Vec<Box<dyn Error>> = Vec::new();
    match AppendStore::connect(url, log, options()).await {
        Ok(store) => {
            let mut nul = command(&[("order-secret", 1)]);
            nul.events[0].payload = "{\"address\":\"\0 Baker Street\"}".to_owned();
            errors.extend(store.append(batch([nul])).await.err().map(Into::into));
            errors.extend(store.append(batch([command(&[("order-secret", 9)])])).await.err().map(Into::into));
            errors.extend(store.load(known([("order-secret\0", 0)]), EVENTS_MAX).await.err().map(Into::into));
            errors.extend(store.begin_exclusive(0, 0).await.err().map(Into::into));
        }
        Err(error) => errors.push(error.into()),
    }
    match ReadStore::connect(url, log, ReadOptions { acquire_timeout: options().acquire_timeout, ..Default::default() })
        .await
    {
        Ok(store) => errors.extend(store.head().await.err().map(Into::into)),
        Err(error) => errors.push(error.into()),
    }
    errors
}

#[tokio::test]
async fn no_text_shows_sql_hosts_keys_or_data() -> Result<()> {
    let fresh = Log::fresh().await?;
    let (_, host) = fresh.url.split_once('@').expect("a URL with a password");
    let nowhere = format!("postgres://someone:{PASSWORD}@127.0.0.1:1/nowhere");
    let stranger = format!("postgres://someone:{PASSWORD}@{host}");
    let no_host = format!("postgres://someone:{PASSWORD}@no-such-host.invalid/nowhere");
    let malformed = format!("postgres://someone:{PASSWORD}@127.0.0.1:notaport/nowhere");
    let no_tls = format!("{}?sslmode=require", fresh.url);
    let unmigrated = fresh_database().await;
    let unknown: LogName = unique_log_name().parse()?;

    let mut errors = Vec::new();
    for (url, log) in [
        (&fresh.url, &fresh.name),
        (&unmigrated, &unknown),
        (&nowhere, &fresh.name),
        (&stranger, &fresh.name),
        (&no_host, &fresh.name),
        (&malformed, &fresh.name),
        (&no_tls, &fresh.name),
    ] {
        let found = errors_of(url, log).await;
        assert!(found.len() >= 2, "{found:?}");
        errors.extend(found);
    }
    for url in [&nowhere, &stranger, &no_host, &malformed] {
        errors.push(migrate(url, &fresh.name).await.expect_err("nothing to migrate").into());
    }

    let allowed = [
        "the log has moved on since the decision",
        "the event store is unavailable",
        "the event store refused the request",
        "the event store refused the batch",
    ];
    for error in errors {
        assert!(allowed.contains(&error.to_string().as_str()), "{error}");
        let mut all = format!("{error:?}");
        let mut source = error.source();
        while let Some(cause) = source {
            all += &format!("{cause} {cause:?}");
            source = cause.source();
        }
        for secret in [PASSWORD, "127.0.0.1", "order-secret", "Baker", "SELECT", "append_batch($"] {
            assert!(!all.contains(secret), "{secret} in {all}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn debug_shows_no_payload_and_no_password() -> Result<()> {
    let log = Log::fresh().await?;
    let mut secret = command(&[("order-1", 1)]);
    secret.events[0].payload = r#"{"address":"Baker Street"}"#.to_owned();
    let secret = batch([secret]);
    log.append.append(secret.clone()).await?;
    let shown = format!(
        "{secret:?} {:?} {:?} {:?} {:?}",
        log.events().await?,
        log.append.load(known([("order-1", 0)]), EVENTS_MAX).await?,
        log.append.find_commands(&[secret.commands[0].command_id]).await?,
        (&log.append, &log.read, log.append.begin_exclusive(0, 0).await?),
    );
    assert!(!shown.contains("Baker"), "{shown}");
    assert!(!shown.contains("postgres://") && !shown.contains("password"), "{shown}");
    Ok(())
}
