//! Loading streams.

use anyhow::Result;

use crate::fixture::Log;

#[tokio::test]
async fn streams_come_whole_and_those_that_do_not_exist_empty() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("order-1", 1), ("product-a", 1), ("order-1", 2)]).await?;
    log.given(&[("product-b", 1), ("product-a", 2), ("order-1", 3)]).await?;

    let ids = ["product-a", "order-9", "order-1", "product-a"].map(str::to_owned);
    let streams = log.append.load(&ids).await?;
    let heads: Vec<_> = streams.iter().map(|s| (s.stream_id.as_str(), s.version, s.last_position)).collect();
    assert_eq!(heads, [("product-a", 2, 5), ("order-9", 0, 0), ("order-1", 3, 6)]);

    let all = log.events().await?;
    for stream in streams {
        let expected: Vec<_> = all.iter().filter(|event| event.stream_id == stream.stream_id).cloned().collect();
        assert_eq!(stream.events, expected);
    }
    assert_eq!(log.append.load(&[]).await?, []);
    Ok(())
}

#[tokio::test]
async fn versions_come_in_the_order_asked_for_and_zero_for_what_does_not_exist() -> Result<()> {
    let log = Log::fresh().await?;
    log.given(&[("order-1", 1), ("product-a", 1), ("order-1", 2)]).await?;

    let ids = ["product-a", "order-9", "order-1", "product-a"].map(str::to_owned);
    assert_eq!(log.append.versions(&ids).await?, [1, 0, 2, 1]);
    assert!(log.append.versions(&[]).await?.is_empty());
    Ok(())
}
