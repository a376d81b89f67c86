//! Many requests at the same time.

use std::sync::Arc;
use std::time::Duration;

use latchkey_transport::{Reply, Request, SharedTransport};
use tokio::sync::Semaphore;

/// Sends all of them, fifty at a time, and returns the answers in their order. Each may take five minutes, as on a machine
/// that is busy.
pub async fn send_all(
    transport: &SharedTransport,
    requests: impl IntoIterator<Item = Request>,
) -> anyhow::Result<Vec<Reply>> {
    const AT_A_TIME: usize = 50;
    const PATIENCE: Duration = Duration::from_secs(300);
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    let sent: Vec<_> = requests
        .into_iter()
        .map(|request| {
            let (transport, places) = (Arc::clone(transport), Arc::clone(&places));
            tokio::spawn(async move {
                let _place = places.acquire().await?;
                anyhow::Ok(transport.send(request.with_time_limit(PATIENCE)).await?)
            })
        })
        .collect();
    let mut replies = Vec::new();
    for reply in sent {
        replies.push(reply.await??);
    }
    Ok(replies)
}
