//! Ends that have to be written down. What the app has taken is done, whatever the store says just now: if that cannot be
//! written down at once, who waits is told so, and it is tried on in the background until it can. Without that, each event
//! whose delivery meets a failing store would be delivered again when its lease has ended, although nothing crashed (I1).

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::StoreError;

/// The first pause between two tries; then it doubles.
const FASTEST: Duration = Duration::from_millis(50);
/// The longest pause. Short beside a lease: when the store is back, this has to be there before the next claim.
const SLOWEST: Duration = Duration::from_millis(500);
/// How long it is tried. Meanwhile nothing is delivered, since nothing can be claimed.
const FOR: Duration = Duration::from_hours(1);
/// Most ends that are tried on at a time. Each keeps its event in memory.
static PLACES: Semaphore = Semaphore::const_new(10_000);

/// Tries once and gives the result. If the store failed in a way that passes, goes on trying by itself: `end` may be done
/// more than once, and even after it has been told to have failed.
pub(super) async fn until_it_holds<A, F>(end: A) -> Result<(), StoreError>
where
    A: Fn() -> F + Send + 'static,
    F: Future<Output = Result<(), StoreError>> + Send,
{
    let first = end().await;
    if first.as_ref().is_err_and(passes) {
        let Ok(place) = PLACES.try_acquire() else {
            tracing::error!("too many deliveries could not be written down: one may come a second time");
            return first;
        };
        tokio::spawn(async move {
            go_on(end).await;
            drop(place);
        });
    }
    first
}

async fn go_on<A, F>(end: A)
where
    A: Fn() -> F,
    F: Future<Output = Result<(), StoreError>>,
{
    let (begun, mut pause) = (Instant::now(), FASTEST);
    let error = loop {
        tokio::time::sleep(pause).await;
        match end().await {
            Ok(()) => return,
            Err(error) if passes(&error) && begun.elapsed() < FOR => pause = pause.saturating_mul(2).min(SLOWEST),
            Err(error) => break error,
        }
    };
    tracing::error!(%error, "a delivery could not be written down: it may come a second time, under the same webhook-id");
}

/// Whether the same may be taken later, without anybody's doing in this process.
fn passes(error: &StoreError) -> bool {
    match error {
        StoreError::Busy
        | StoreError::DiskFull
        | StoreError::Stalled { .. }
        | StoreError::Unreachable { .. }
        | StoreError::Late { .. }
        | StoreError::OutOfMemory => true,
        StoreError::Failed { .. }
        | StoreError::Full { .. }
        | StoreError::OrdersFull { .. }
        | StoreError::ListsFull { .. }
        | StoreError::NotKept { .. }
        | StoreError::Unread { .. }
        | StoreError::QueueFull { .. }
        | StoreError::Refused { .. }
        | StoreError::Closed => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// An end that fails so often before it holds; tells how often it was tried.
    fn end(
        fails: usize,
        error: StoreError,
    ) -> (impl Fn() -> std::future::Ready<Result<(), StoreError>>, Arc<AtomicUsize>) {
        let tries = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&tries);
        let end = move || {
            let holds = counted.fetch_add(1, Ordering::SeqCst) >= fails;
            std::future::ready(if holds { Ok(()) } else { Err(error.clone()) })
        };
        (end, tries)
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_for_a_while_is_told_and_tried_on_until_it_holds() {
        let (end, tries) = end(20, StoreError::Busy);
        assert!(until_it_holds(end).await.is_err());
        assert_eq!(tries.load(Ordering::SeqCst), 1, "who waits is told at once");
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(tries.load(Ordering::SeqCst), 21);
    }

    #[tokio::test(start_paused = true)]
    async fn what_holds_or_never_will_is_not_tried_again() {
        for (fails, error, tried) in [(0, StoreError::Busy, 1), (9, StoreError::Closed, 1)] {
            let (end, tries) = end(fails, error);
            drop(until_it_holds(end).await);
            tokio::time::sleep(Duration::from_mins(1)).await;
            assert_eq!(tries.load(Ordering::SeqCst), tried);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_given_up_after_an_hour() {
        let (end, tries) = end(usize::MAX, StoreError::Busy);
        drop(until_it_holds(end).await);
        tokio::time::sleep(FOR + Duration::from_mins(1)).await;
        let until_then = tries.load(Ordering::SeqCst);
        assert!(until_then > 7000, "{until_then}");
        tokio::time::sleep(Duration::from_mins(5)).await;
        assert_eq!(tries.load(Ordering::SeqCst), until_then);
    }
}
