//! The rules that are quiet for some events. They stand on a list of the store, so that all nodes have them and a restart
//! keeps them; each node reads that list every few seconds, and at once when it is changed here. An event is never late for
//! them, and a store that does not answer leaves what was known until it ends by itself.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::clock::UnixTime;
use crate::risk::Snooze;
use crate::store::{RegisterError, Store, StoreError};

/// The list. No list of a rule file can have this name.
const LIST: &str = "wxgate.snoozes";
/// Most snoozes at a time.
pub const MOST: usize = 1000;
/// How often the list is read.
pub const EVERY: Duration = Duration::from_secs(5);

/// The snoozes at work.
#[derive(Default)]
pub struct Snoozes {
    current: ArcSwap<Vec<Snooze>>,
}

impl Snoozes {
    /// Those that this node knows.
    pub fn current(&self) -> Arc<Vec<Snooze>> {
        self.current.load_full()
    }

    /// Reads them from the store.
    pub async fn refresh(&self, store: &Store, now: UnixTime) -> Result<(), StoreError> {
        let page = store.list_show(LIST, None, MOST).await?;
        let read = page.values.iter().filter_map(|listed| Snooze::of_entry(&listed.value, listed.until, now));
        self.current.store(Arc::new(read.collect()));
        Ok(())
    }

    /// Begins a snooze, or gives it another end.
    pub async fn begin(&self, store: &Store, snooze: &Snooze, now: UnixTime) -> Result<(), RegisterError> {
        store.list_add(LIST, &snooze.entry(), snooze.until()).await?;
        Ok(self.refresh(store, now).await?)
    }

    /// Ends a snooze. Tells whether there was one.
    pub async fn end(&self, store: &Store, snooze: &Snooze, now: UnixTime) -> Result<bool, StoreError> {
        let was_there = store.list_remove(LIST, &snooze.entry()).await?;
        self.refresh(store, now).await?;
        Ok(was_there)
    }
}
