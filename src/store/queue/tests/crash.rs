//! What a crash may leave of the log, at every byte.

use std::fs;

use super::*;

fn log_of(dir: &Path) -> std::path::PathBuf {
    let mut logs: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    logs.sort();
    logs.pop().unwrap()
}

/// A log of some changes, and its length after each was answered.
async fn written() -> (TempDir, Vec<usize>) {
    let dir = tempfile::tempdir().unwrap();
    let rows = FileRows::open(dir.path()).unwrap();
    let mut ends = Vec::new();
    for number in 1..=6 {
        rows.put(row(head(number))).await.unwrap();
        if number == 4 {
            rows.remove(Queue::Pending, RowId([2; 24])).await.unwrap();
        }
        ends.push(usize::try_from(fs::metadata(log_of(dir.path())).unwrap().len()).unwrap());
    }
    (copy_of(dir.path()), ends)
}

fn opened(dir: &Path) -> Result<Vec<u8>, OpenError> {
    let rows = FileRows::open(dir)?;
    let query =
        Query { queue: Queue::Pending, endpoint: None, reason: None, since: None, until: None, after: None, limit: 99 };
    Ok(ids(&rows.list(&query).unwrap()))
}

#[tokio::test]
async fn cut_at_every_byte_it_knows_every_row_that_was_confirmed_before() {
    let (dir, ends) = written().await;
    let log = log_of(dir.path());
    let whole = fs::read(&log).unwrap();
    for cut in ends[3]..=whole.len() {
        fs::write(&log, &whole[..cut]).unwrap();
        let known = opened(dir.path()).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        let confirmed: Vec<u8> =
            (1..=6).filter(|number| *number != 2 && ends[usize::from(*number) - 1] <= cut).collect();
        assert_eq!(known, confirmed, "cut at {cut}");
    }
}

#[tokio::test]
async fn damage_at_every_byte_is_told_or_loses_nothing() {
    let (dir, ends) = written().await;
    let log = log_of(dir.path());
    let whole = fs::read(&log).unwrap();
    for at in 0..ends[4] {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&log, &damaged).unwrap();
        match FileRows::open(dir.path()).err() {
            Some(OpenError::Damaged { path, at: told, .. }) => {
                assert_eq!(path, log);
                assert!(told <= at as u64);
                assert_eq!(fs::read(&log).unwrap(), damaged, "nothing may be changed");
            }
            other => panic!("byte {at} was damaged and nobody noticed: {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_comes_after_a_torn_tail_is_kept() {
    let (dir, _) = written().await;
    let log = log_of(dir.path());
    let whole = fs::read(&log).unwrap();
    fs::write(&log, &whole[..whole.len() - 3]).unwrap();
    for number in [7, 8] {
        let rows = FileRows::open(dir.path()).unwrap();
        rows.put(row(head(number))).await.unwrap();
    }
    assert_eq!(opened(dir.path()).unwrap(), [1, 3, 4, 5, 7, 8]);
}

#[tokio::test]
async fn a_log_of_rows_that_have_gone_is_written_anew_and_keeps_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    let rows = FileRows::open(dir.path()).unwrap();
    let large = |number| Stored { sealed: vec![number; 8 << 20].into(), ..row(head(number)) };
    let mut waits = large(1);
    waits.head.attempts = 3;
    rows.put(waits.clone()).await.unwrap();
    for number in 2..=12 {
        rows.put(large(number)).await.unwrap();
        if number > 2 {
            rows.remove(Queue::Pending, RowId([number; 24])).await.unwrap();
        }
    }
    let log = log_of(dir.path());
    assert!(!log.ends_with("log-0000000001"), "{log:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "the earlier log has gone");
    assert_eq!(rows.get(Queue::Pending, RowId([1; 24])).unwrap(), Some(waits.clone()));
    let after = copy_of(dir.path());
    let rows = FileRows::open(after.path()).unwrap();
    assert_eq!(rows.get(Queue::Pending, RowId([1; 24])).unwrap(), Some(waits));
    assert_eq!(opened(after.path()).unwrap(), [1, 2]);
}
