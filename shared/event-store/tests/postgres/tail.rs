//! The tail.

use anyhow::Result;

use crate::fixture::Log;

#[tokio::test]
async fn the_tail_is_read_in_pieces_by_position() -> Result<()> {
    let log = Log::fresh().await?;
    assert_eq!((log.read.head().await?, log.read.read_after(0, 10).await?), (0, vec![]));
    for version in 1..=5 {
        log.given(&[("order-1", version), ("order-2", version)]).await?;
    }
    assert_eq!(log.read.head().await?, 10);

    let all = log.events().await?;
    assert_eq!(log.read.read_after(0, 4).await?, all[..4]);
    assert_eq!(log.read.read_after(4, 4).await?, all[4..8]);
    assert_eq!(log.read.read_after(8, 4).await?, all[8..]);
    assert_eq!(log.read.read_after(10, 4).await?, []);
    assert_eq!(log.read.read_after(3, 0).await?, []);
    log.read.ping().await?;
    Ok(())
}

#[tokio::test]
async fn both_stores_name_the_same_log() -> Result<()> {
    let (log, other) = (Log::fresh().await?, Log::fresh().await?);
    assert_eq!(log.append.log_id().await?, log.read.log_id().await?);
    assert_ne!(log.append.log_id().await?, other.append.log_id().await?);
    log.append.ping().await?;
    Ok(())
}
