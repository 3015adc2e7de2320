//! Reading all rows of a result.

use std::pin::pin;
use std::task::Poll;

use futures_util::Stream;

/// How often an empty channel is polled again before the task sleeps.
const POLLS: u32 = 100;

/// Collects the rows that a connection of SQLite sends from its thread.
///
/// It sends row by row, and each would wake this task, which costs far more than producing a row. After the first row
/// the next ones are nearly there, so the task polls for them for a short time instead of sleeping, and lends its core
/// to the sending thread.
pub async fn collect<T>(rows: impl Stream<Item = sqlx::Result<T>>) -> sqlx::Result<Vec<T>> {
    let mut rows = pin!(rows);
    let mut collected = Vec::new();
    let mut polls = 0;
    std::future::poll_fn(|context| {
        loop {
            match rows.as_mut().poll_next(context) {
                Poll::Ready(Some(Ok(row))) => {
                    collected.push(row);
                    polls = 0;
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending if collected.is_empty() || polls == POLLS => {
                    polls = 0;
                    return Poll::Pending;
                }
                Poll::Pending => {
                    polls += 1;
                    std::thread::yield_now();
                }
            }
        }
    })
    .await?;
    Ok(collected)
}
