//! The queues by themselves: rows on every engine, the seal, and what a crash leaves.

#![allow(clippy::arithmetic_side_effects, clippy::wildcard_enum_match_arm, reason = "a test may panic")]

pub(in crate::store) mod conformance;
mod crash;
mod desk;
mod differential;
mod measure;
mod redis;
mod seal;

use std::path::Path;
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;

use super::*;
use conformance::{Fixture, conformance};

const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

fn later(secs: u64) -> UnixTime {
    NOW.plus(Duration::from_secs(secs))
}

/// The head of a pending row of its own lane.
fn head(number: u8) -> Head {
    Head {
        id: RowId([number; 24]),
        queue: Queue::Pending,
        endpoint: Arc::from("pay"),
        reason: Reason::Queued,
        received_at: NOW,
        entered_at: NOW,
        next_at: NOW,
        attempts: 0,
        lane: [number; 8],
    }
}

fn row(head: Head) -> Stored {
    let sealed = vec![head.id.0[0]; 40].into();
    Stored { head, sealed }
}

fn ids(page: &Page) -> Vec<u8> {
    page.rows.iter().map(|listed| listed.head.id.0[0]).collect()
}

fn copy_of(dir: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

struct Forgetful;

impl Fixture for Forgetful {
    fn new() -> Self {
        Self
    }

    async fn open(&self) -> Rows {
        Rows::Memory(Box::default())
    }

    async fn crash(&self, _rows: Rows) -> Option<Rows> {
        None
    }
}

/// A process that is killed: what it wrote stays.
struct Killed {
    dir: TempDir,
    after: Mutex<Vec<TempDir>>,
}

impl Fixture for Killed {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), after: Mutex::default() }
    }

    async fn open(&self) -> Rows {
        Rows::File(FileRows::open(self.dir.path()).unwrap())
    }

    async fn crash(&self, rows: Rows) -> Option<Rows> {
        let latest = self.after.lock().last().map_or(self.dir.path().to_owned(), |dir| dir.path().to_owned());
        let after = copy_of(&latest); // taken while the engine runs
        drop(rows);
        let rows = FileRows::open(after.path()).unwrap();
        self.after.lock().push(after);
        Some(Rows::File(rows))
    }
}

mod memory_engine {
    super::conformance!(super::Forgetful, 256);
}

mod file_engine {
    super::conformance!(super::Killed, 32);
}

#[test]
fn ids_and_cursors_are_read_back_as_they_are_shown() {
    let id = RowId([0xa5; 24]);
    assert_eq!(id.to_string().parse(), Ok(id));
    for wrong in ["", "a5", &"g".repeat(48), &"a".repeat(49), "ä".repeat(24).as_str()] {
        assert_eq!(wrong.parse::<RowId>(), Err(NotAnId), "{wrong}");
    }
    for wrong in ["", ".", "1", "x.a5"] {
        assert_eq!(wrong.parse::<Cursor>(), Err(NotAnId), "{wrong}");
    }
}

#[test]
fn a_full_queue_refuses_and_forgets_nothing() {
    let mut table = table::Table::new(table::Bounds { rows: 2, bytes: 100 });
    table.put(head(1), (), 60);
    assert!(matches!(table.check_room(Queue::Pending, 60), Err(StoreError::QueueFull { rows: 1, .. })));
    assert!(table.check_room(Queue::Held, 60).is_ok(), "each queue has its own room");
    table.put(head(2), (), 40);
    assert!(table.check_room(Queue::Pending, 0).is_err());
    table.remove(RowId([1; 24]));
    assert!(table.check_room(Queue::Pending, 60).is_ok());
    assert!(table.contains(RowId([2; 24])));
}
