//! A disk that fills up, fails or hangs: never a silent pass.

use super::*;

fn engine(dir: &TempDir, fault: &Fault, bounds: Bounds) -> FileEngine {
    let disk = Box::new(TestDisk { fault: fault.clone() });
    FileEngine::open_on(disk, dir.path(), bounds).unwrap()
}

async fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain");
}

/// Forwards until the allocated space is used up, and gives the event that failed.
async fn fill(engine: &FileEngine) -> u64 {
    for number in 0.. {
        // Claims are held back while the writer is in trouble, so the first to hear of it is a commit or a claim.
        let Ok(Reply::Claimed { lease, .. }) = engine.claim(&ask(number)).await else { return number };
        if engine.settle(&done(number, lease)).await.is_err() {
            return number;
        }
    }
    unreachable!("numbers end later than disks")
}

#[tokio::test]
async fn a_full_disk_refuses_and_goes_on_by_itself_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let fault = Fault::default();
    let engine = engine(&dir, &fault, BOUNDS);
    fault.breaks(Broken::NoSpace);
    let failed = fill(&engine).await;
    assert!(failed > 1000, "the allocated space was not used: {failed}");
    assert!(!engine.is_up());
    assert!(matches!(engine.claim(&ask(1 << 30)).await, Err(StoreError::DiskFull)));

    fault.mends();
    until(|| engine.is_up()).await;
    forward(&engine, 1 << 30).await;
    // The event whose commit was answered with an error: the upstream has it, and its record was written after all.
    let another = Ask { nonce: retry(1 << 50).nonce, ..ask(failed) };
    assert_eq!(engine.claim(&another).await.unwrap(), Reply::Duplicate);
    let after = copy_of(dir.path());
    let recovered = recovery::recover(after.path()).unwrap();
    for number in (0..=failed).chain([1 << 30]) {
        assert_eq!(known(&recovered.index, number), DONE, "event {number}");
    }
}

#[tokio::test]
async fn after_a_failed_sync_nothing_passes_until_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let fault = Fault::default();
    let engine = engine(&dir, &fault, BOUNDS);
    forward(&engine, 1).await;
    let lease = claim(&engine, 2).await;
    fault.breaks(Broken::Syncs);
    assert!(matches!(engine.settle(&done(2, lease)).await, Err(StoreError::Failed { .. })));
    fault.mends();
    for number in 3..6 {
        assert!(matches!(engine.claim(&ask(number)).await, Err(StoreError::Failed { .. })));
    }
    assert!(!engine.is_up());
    engine.close().await;
    let recovered = recovery::recover(dir.path()).unwrap();
    assert_eq!(known(&recovered.index, 1), DONE);
}

#[tokio::test]
async fn after_a_failed_write_nothing_passes_until_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let fault = Fault::default();
    let engine = engine(&dir, &fault, BOUNDS);
    forward(&engine, 1).await;
    fault.breaks(Broken::Writes);
    // A claim waits for nothing, so the failure shows at its end, before its answer.
    let lease = claim(&engine, 2).await;
    assert!(matches!(engine.settle(&done(2, lease)).await, Err(StoreError::Failed { .. })));
    fault.mends();
    assert!(matches!(engine.claim(&ask(3)).await, Err(StoreError::Failed { .. })));
}

#[tokio::test]
async fn a_disk_that_hangs_refuses_and_goes_on_when_it_answers() {
    let dir = tempfile::tempdir().unwrap();
    let fault = Fault::default();
    let bounds = Bounds { sync_within: Duration::from_millis(50), ..BOUNDS };
    let engine = engine(&dir, &fault, bounds);
    let lease = claim(&engine, 1).await;
    fault.breaks(Broken::SyncsHang);
    assert!(matches!(engine.settle(&done(1, lease)).await, Err(StoreError::Stalled { .. })));
    assert!(matches!(engine.claim(&ask(2)).await, Err(StoreError::Stalled { .. })));
    fault.mends();
    until(|| engine.is_up()).await;
    assert_eq!(engine.claim(&retry(1)).await.unwrap(), Reply::Duplicate);
}

#[tokio::test]
async fn a_full_queue_refuses_claims_at_once_and_still_takes_their_ends() {
    let dir = tempfile::tempdir().unwrap();
    let fault = Fault::default();
    let engine = engine(&dir, &fault, Bounds { queue: 8, ..BOUNDS });
    let lease = claim(&engine, 1).await;
    fault.breaks(Broken::SyncsHang);
    let end = done(1, lease);
    let waiting = engine.settle(&end);
    tokio::pin!(waiting);
    let mut claimed = Vec::new();
    let busy = loop {
        // Polled by turns: the writer is in its sync as soon as it has seen the first end.
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("settled by a disk that hangs"),
            () = tokio::task::yield_now() => {}
        }
        let number = 100 + claimed.len() as u64;
        match engine.claim(&ask(number)).await {
            Ok(Reply::Claimed { lease, .. }) => claimed.push((number, lease)),
            other => break other,
        }
        assert!(claimed.len() < 10_000, "the queue has no bound");
    };
    assert!(matches!(busy, Err(StoreError::Busy)));
    for (number, lease) in &claimed {
        engine.abandon(&done(*number, *lease));
    }
    fault.mends();
    waiting.await.unwrap();
    until(|| engine.queued.load(Ordering::Acquire) == 0).await;
    for (number, _) in claimed {
        assert_eq!(engine.claim(&retry(number)).await.unwrap(), Reply::Duplicate);
    }
}

#[tokio::test]
async fn whatever_ends_a_callback_waits_for_its_nonce() {
    let dir = tempfile::tempdir().unwrap();
    let fault = Fault::default();
    let engine = engine(&dir, &fault, Bounds { sync_within: Duration::from_millis(50), ..BOUNDS });
    forward(&engine, 1).await;
    claim(&engine, 2).await;
    let conflict = Ask { content: [2; 8], ..retry(3) };
    forward(&engine, 3).await;
    for ask in [retry(1), retry(2), conflict] {
        fault.breaks(Broken::SyncsHang);
        assert!(matches!(engine.claim(&ask).await, Err(StoreError::Stalled { .. })), "answered before it was durable");
        fault.mends();
        until(|| engine.is_up()).await;
    }
}

#[tokio::test]
async fn callbacks_that_wait_together_share_a_sync() {
    let dir = tempfile::tempdir().unwrap();
    let fault = Fault::default();
    let engine = Arc::new(engine(&dir, &fault, BOUNDS));
    let mut leases = Vec::new();
    for number in 0..200 {
        leases.push((number, claim(&engine, number).await));
    }
    fault.breaks(Broken::SyncsHang);
    let before = fault.get(|fault| fault.syncs);
    let waiting = Arc::new(AtomicUsize::new(0));
    let mut ends = tokio::task::JoinSet::new();
    for (number, lease) in leases {
        let (engine, waiting) = (Arc::clone(&engine), Arc::clone(&waiting));
        ends.spawn(async move {
            waiting.fetch_add(1, Ordering::AcqRel);
            engine.settle(&done(number, lease)).await.unwrap();
        });
    }
    until(|| waiting.load(Ordering::Acquire) == 200).await;
    fault.mends();
    ends.join_all().await;
    let syncs = fault.get(|fault| fault.syncs) - before;
    assert!(syncs <= 10, "{syncs} syncs for 200 callbacks");
}
