//! Dynamic lists: values that operators put on a list until a time. One lock for all: every event reads them, and only an
//! operator's hand writes.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use parking_lot::RwLock;

use super::record::{Registration, Seconds};
use super::table::Expires as _;
use crate::clock::UnixTime;
use crate::risk::ask::ListAsk;
use crate::store::{ListPage, Listed, StoreError};

/// Most values on all lists together: at most half a gigabyte, since a value has at most 256 bytes.
pub(super) const MOST_LISTED: usize = 1 << 20;

/// The lists.
pub(super) struct Lists {
    tables: RwLock<Tables>,
    most: usize,
}

#[derive(Default)]
struct Tables {
    lists: HashMap<Box<str>, BTreeMap<Box<str>, Seconds>>,
    /// On all lists.
    values: usize,
}

impl Lists {
    pub(super) fn with_most(most: usize) -> Self {
        Self { tables: RwLock::default(), most }
    }

    /// Whether each value is on its list.
    pub(super) fn contain(&self, asks: &[ListAsk], now: UnixTime) -> Vec<bool> {
        if asks.is_empty() {
            return Vec::new();
        }
        let tables = self.tables.read();
        asks.iter().map(|ask| tables.until(ask).is_some_and(|until| until.is_live(now))).collect()
    }

    /// Puts a value on a list; `journal` sees it while the lists are locked. Tells whether it was not there.
    pub(super) fn add(
        &self,
        entry: &ListAsk,
        until: UnixTime,
        now: UnixTime,
        journal: impl FnOnce(Registration),
    ) -> Result<bool, StoreError> {
        let mut tables = self.tables.write();
        let known = tables.until(entry);
        if known.is_none() && tables.values >= self.most {
            tables.sweep(now);
            if tables.values >= self.most {
                return Err(StoreError::ListsFull { most: self.most });
            }
        }
        let (list, value, until) = (Box::from(&*entry.list), Box::from(&*entry.value), Seconds::up(until));
        let registration = Registration::Listed { list, value, until };
        tables.apply(registration.clone());
        journal(registration);
        Ok(!known.is_some_and(|until| until.is_live(now)))
    }

    /// Takes a value off a list; `journal` as in [`Lists::add`]. Tells whether it was there.
    pub(super) fn remove(&self, entry: &ListAsk, now: UnixTime, journal: impl FnOnce(Registration)) -> bool {
        let mut tables = self.tables.write();
        let known = tables.until(entry);
        let registration = Registration::Unlisted { list: Box::from(&*entry.list), value: Box::from(&*entry.value) };
        tables.apply(registration.clone());
        journal(registration);
        known.is_some_and(|until| until.is_live(now))
    }

    /// See [`crate::store::engine::Engine::list_show`].
    pub(super) fn show(&self, list: &str, after: Option<&str>, most: usize, now: UnixTime) -> ListPage {
        let tables = self.tables.read();
        let Some(values) = tables.lists.get(list) else { return ListPage::default() };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut live = values.range::<str, _>((from, Bound::Unbounded)).filter(|(_, until)| until.is_live(now));
        let page = live.by_ref().take(most);
        let values = page.map(|(value, until)| Listed { value: value.to_string(), until: until.time() }).collect();
        ListPage { values, has_more: live.next().is_some() }
    }

    /// Takes a change of a journal or a snapshot over.
    pub(super) fn apply(&mut self, registration: Registration) {
        self.tables.get_mut().apply(registration);
    }

    /// Hands out everything that is not forgotten at `now`, a list at a time.
    pub(super) fn copies(&self, now: UnixTime) -> impl Iterator<Item = Vec<Registration>> {
        let names: Vec<Box<str>> = self.tables.read().lists.keys().cloned().collect();
        names.into_iter().map(move |list| {
            let tables = self.tables.read();
            let values = tables.lists.get(&list).into_iter().flatten().filter(|(_, until)| until.is_live(now));
            let list = &list;
            values
                .map(|(value, &until)| Registration::Listed { list: list.clone(), value: value.clone(), until })
                .collect()
        })
    }
}

impl Tables {
    fn until(&self, entry: &ListAsk) -> Option<Seconds> {
        self.lists.get(&*entry.list)?.get(&*entry.value).copied()
    }

    fn apply(&mut self, registration: Registration) {
        match registration {
            Registration::Listed { list, value, until } => {
                if self.lists.entry(list).or_default().insert(value, until).is_none() {
                    self.values = self.values.saturating_add(1);
                }
            }
            Registration::Unlisted { list, value } => {
                let Some(values) = self.lists.get_mut(&list) else { return };
                if values.remove(&value).is_some() {
                    self.values = self.values.saturating_sub(1);
                }
                if values.is_empty() {
                    self.lists.remove(&list);
                }
            }
            Registration::Order { .. } => {}
        }
    }

    fn sweep(&mut self, now: UnixTime) {
        self.lists.retain(|_, values| {
            values.retain(|_, until| until.is_live(now));
            !values.is_empty()
        });
        self.values = self.lists.values().map(BTreeMap::len).fold(0, usize::saturating_add);
    }
}
