//! What a crash may leave, at every byte.

use std::os::unix::fs::PermissionsExt as _;

use proptest::prelude::*;

use super::*;
use crate::store::file::recovery::recover;

/// A store that has taken `events` events one by one, and the length of its journal after each answer.
async fn written(events: u64) -> (TempDir, Vec<usize>) {
    let dir = tempfile::tempdir().unwrap();
    let engine = FileEngine::open(dir.path()).unwrap();
    let mut ends = Vec::new();
    for number in 0..events {
        forward(&engine, number).await;
        let journal = fs::read(newest_journal(dir.path())).unwrap();
        ends.push(frame::scan(&journal, |_| ()).unwrap().end);
    }
    (copy_of(dir.path()), ends)
}

#[tokio::test]
async fn cut_at_every_byte_it_knows_every_event_that_was_confirmed_before() {
    let (dir, ends) = written(12).await;
    let journal = newest_journal(dir.path());
    let whole = fs::read(&journal).unwrap();
    for cut in ends[3]..=ends[11] {
        fs::write(&journal, &whole[..cut]).unwrap();
        let recovered = recover(dir.path()).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        for (number, end) in (0..).zip(&ends) {
            if *end <= cut {
                assert_eq!(known(&recovered.index, number), DONE, "event {number}, cut at {cut}");
            }
        }
    }
}

#[tokio::test]
async fn damage_at_every_byte_is_told_or_loses_nothing() {
    let (dir, ends) = written(8).await;
    let journal = newest_journal(dir.path());
    let whole = fs::read(&journal).unwrap();
    let last_confirmed_by_a_later_frame = ends[6];
    for at in 0..last_confirmed_by_a_later_frame {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&journal, &damaged).unwrap();
        let before = contents(dir.path());
        match recover(dir.path()) {
            Err(OpenError::Damaged { path, at: told, .. }) => {
                assert_eq!(path, journal);
                assert!(told <= at as u64);
                assert_eq!(contents(dir.path()), before, "nothing may be changed");
            }
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("byte {at} was damaged and nobody noticed"),
        }
    }
}

#[tokio::test]
async fn what_comes_after_a_torn_tail_is_kept() {
    let (dir, ends) = written(4).await;
    let journal = newest_journal(dir.path());
    let whole = fs::read(&journal).unwrap();
    fs::write(&journal, &whole[..ends[3] - 5]).unwrap();
    for round in 0..3 {
        let engine = FileEngine::open(dir.path()).unwrap();
        forward(&engine, 100 + round).await;
        engine.close().await;
    }
    let recovered = recover(dir.path()).unwrap();
    for number in [0, 1, 2, 100, 101, 102] {
        assert_eq!(known(&recovered.index, number), DONE, "event {number}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]
    /// After a power failure the disk holds any part of what was written and not synced, in sectors.
    #[test]
    fn whatever_part_of_the_unsynced_writes_is_there_the_confirmed_events_are_known(
        confirmed in 1..12_u64,
        unconfirmed in 0..30_u64,
        kept in prop::collection::vec(any::<bool>(), 64),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let disk = TestDisk::default();
        let after = runtime.block_on(async {
            let engine =
                FileEngine::open_on(Box::new(disk.clone()), dir.path(), BOUNDS).unwrap();
            for number in 0..confirmed {
                forward(&engine, number).await;
            }
            for number in 0..unconfirmed {
                claim(&engine, 1000 + number).await;
            }
            while engine.queued.load(Ordering::Acquire) > 0 {
                tokio::task::yield_now().await;
            }
            let after = copy_of(dir.path());
            let journal = File::options().write(true).open(newest_journal(after.path())).unwrap();
            let mut kept = kept.into_iter().cycle();
            disk.fault.get(|fault| {
                for (offset, bytes) in &fault.unsynced {
                    for (at, sector) in (*offset..).step_by(64).zip(bytes.chunks(64)) {
                        if kept.next().unwrap() {
                            journal.write_all_at(sector, at).unwrap();
                        }
                    }
                }
            });
            after
        });
        let recovered = recover(after.path()).unwrap();
        for number in 0..confirmed {
            prop_assert_eq!(known(&recovered.index, number), DONE);
        }
    }
}

#[tokio::test]
async fn a_missing_journal_is_told() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..3 {
        let engine = FileEngine::open(dir.path()).unwrap();
        forward(&engine, number).await;
        engine.close().await;
    }
    fs::remove_file(dir.path().join("journal-0000000002")).unwrap();
    let error = FileEngine::open(dir.path()).err().unwrap();
    assert!(error.to_string().contains("journal-0000000002 is damaged at byte 0: the file is missing"), "{error}");
}

#[tokio::test]
async fn a_second_process_is_told_that_the_directory_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let first = FileEngine::open(dir.path()).unwrap();
    let second = FileEngine::open(dir.path());
    assert!(matches!(second, Err(OpenError::InUse { .. })));
    first.close().await;
    FileEngine::open(dir.path()).unwrap();
}

#[tokio::test]
async fn nobody_else_can_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let _engine = FileEngine::open(&store).unwrap();
    assert_eq!(fs::metadata(&store).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in fs::read_dir(&store).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}
