//! Journals are put together while claims go on, and a crash at any point of that loses nothing.

use super::*;

const SMALL: Bounds = Bounds { compact_least: 40_000, ..BOUNDS };

fn engine(dir: &Path, bounds: Bounds) -> FileEngine {
    FileEngine::open_on(Box::new(SystemDisk), dir, bounds).unwrap()
}

fn size_of_dir(dir: &Path) -> usize {
    contents(dir).iter().map(|(_, bytes)| bytes.len()).sum()
}

#[tokio::test]
async fn the_directory_stays_small_and_everything_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(engine(dir.path(), SMALL));
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for number in 0..400 {
                forward(&store, task * 400 + number).await;
            }
        });
    }
    tasks.join_all().await;
    let copied_while_it_runs = copy_of(dir.path());
    store.close().await;
    let names: Vec<String> = contents(dir.path()).into_iter().map(|(name, _)| name).collect();
    assert!(names.iter().any(|name| name.starts_with("snapshot-")), "{names:?}");
    // 6400 events are 6400 × (35 + 31) bytes in a snapshot, and at most that and a bit in journals.
    assert!(size_of_dir(dir.path()) < 6400 * 66 * 4 + 200_000, "{} bytes", size_of_dir(dir.path()));
    for dir in [dir.path(), copied_while_it_runs.path()] {
        let recovered = recovery::recover(dir).unwrap();
        for number in 0..6400 {
            assert_eq!(known(&recovered.index, number), DONE, "event {number}");
        }
    }
}

#[tokio::test]
async fn what_was_forgotten_is_not_in_the_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let store = engine(dir.path(), BOUNDS);
    for number in 0..1000 {
        forward(&store, number).await;
    }
    store.close().await;
    let store = engine(dir.path(), Bounds { compact_least: 0, ..BOUNDS });
    let now = NOW.plus(Duration::from_hours(73));
    let mut snapshot = None;
    for nonce in 0..200_u8 {
        let ask = Ask {
            nonce: Some(NonceUse { digest: [nonce; 16], signed_at: now, until: now.plus(Duration::from_mins(5)) }),
            now,
            ..ask(5000)
        };
        store.claim(&ask).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        snapshot = contents(dir.path()).into_iter().find(|(name, _)| name.starts_with("snapshot-"));
        if snapshot.is_some() {
            break;
        }
    }
    let (_, snapshot) = snapshot.expect("never compacted");
    assert!(snapshot.len() < 6000, "{} bytes, 1000 forgotten events take 56000", snapshot.len());
}

/// A directory before it was compacted, the same one after, and how many events are in it.
async fn before_and_after() -> (TempDir, TempDir, u64) {
    let dir = tempfile::tempdir().unwrap();
    let store = engine(dir.path(), BOUNDS);
    for number in 0..200 {
        forward(&store, number).await;
    }
    store.close().await;
    let before = copy_of(dir.path());
    let recovered = recovery::recover(dir.path()).unwrap();
    let (index, next) = (recovered.index, recovered.next);
    Journal::create(&SystemDisk, dir.path(), next).unwrap().publish(dir.path()).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    snapshot::write(dir.path(), next, &index, NOW, &stop, || Ok(())).unwrap();
    (before, dir, 200)
}

fn assert_all_known(dir: &Path, events: u64, when: &str) {
    let recovered = recovery::recover(dir).unwrap_or_else(|error| panic!("{when}: {error}"));
    for number in 0..events {
        assert_eq!(known(&recovered.index, number), DONE, "event {number}, {when}");
    }
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_compaction_loses_nothing() {
    let (before, after, events) = before_and_after().await;
    let snapshot = after.path().join("snapshot-0000000002");
    let whole = fs::read(&snapshot).unwrap();

    let unfinished = copy_of(before.path());
    fs::write(unfinished.path().join("journal-0000000002.new"), b"half").unwrap();
    assert_all_known(unfinished.path(), events, "before the next journal has its name");

    let unfinished = copy_of(after.path());
    fs::remove_file(unfinished.path().join("snapshot-0000000002")).unwrap();
    fs::write(unfinished.path().join("snapshot-0000000002.new"), &whole[..whole.len() / 2]).unwrap();
    assert_all_known(unfinished.path(), events, "while the snapshot is written");
    assert!(!unfinished.path().join("snapshot-0000000002.new").exists(), "what is unfinished goes");

    assert!(after.path().join("journal-0000000001").exists());
    assert_all_known(after.path(), events, "before the old journals are removed");
    assert!(!after.path().join("journal-0000000001").exists(), "what was replaced goes");
    assert_all_known(after.path(), events, "after");
}

#[tokio::test]
async fn a_damaged_snapshot_is_told_and_nothing_is_removed() {
    let (_, dir, _) = before_and_after().await;
    let snapshot = dir.path().join("snapshot-0000000002");
    let whole = fs::read(&snapshot).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [&flipped[..], &whole[..whole.len() - 1], &whole[..whole.len() / 2], &[]] {
        fs::write(&snapshot, damaged).unwrap();
        let before = contents(dir.path());
        let error = recovery::recover(dir.path()).err().expect("damage was not seen");
        assert!(matches!(&error, OpenError::Damaged { path, .. } if *path == snapshot), "{error}");
        assert_eq!(contents(dir.path()), before);
    }
}

#[tokio::test]
async fn many_restarts_leave_few_journals() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..40 {
        let store = engine(dir.path(), BOUNDS);
        forward(&store, number).await;
        tokio::time::sleep(Duration::from_millis(20)).await; // for a compaction that began, to end before the close
        store.close().await;
    }
    let files = contents(dir.path()).len();
    assert!(files <= 25, "{files} files after 40 restarts");
    assert_all_known(dir.path(), 40, "after 40 restarts");
}
