//! Counters, orders and lists on the disk: whatever a crash leaves, a counter says how many events are known.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::risk::ask::{Amount, CounterAsk, ListAsk, Measure, Order};
use crate::store::Registered;
use crate::store::engine::PutOrder;
use crate::store::file::recovery::recover;
use crate::store::index::Record;

fn counters(id: u8, add: Option<Amount>) -> [CounterAsk; 1] {
    let (window, slice) = (Duration::from_hours(1), Duration::from_mins(1));
    [CounterAsk { id: [id; 16], measure: Measure::Count, add, window, slice, at: NOW }]
}

const ONE: Option<Amount> = Some(Amount::Number(1));

async fn count_and_forward(engine: &FileEngine, number: u64) {
    let counters = counters(1, ONE);
    let reply = engine.claim(&Ask { counters: &counters, ..ask(number) }).await.unwrap();
    let Reply::Claimed { lease, .. } = reply else { panic!("event {number}: {reply:?}") };
    engine.settle(&done(number, lease)).await.unwrap();
}

/// How many of the events are known, and what the counter says.
fn known_and_counted(index: &Index, events: impl Iterator<Item = u64>) -> (i64, i64) {
    let mut known = 0;
    for number in events {
        let reply = index.claim(&retry(number), Lease(u64::MAX), |_| ()).unwrap();
        known += i64::from(!matches!(reply, Reply::Claimed { attempt: 1, .. }));
    }
    let read = counters(1, None);
    let reply = index.claim(&Ask { counters: &read, ..ask(1 << 50) }, Lease(1), |_| ()).unwrap();
    let Reply::Claimed { answers, .. } = reply else { panic!("{reply:?}") };
    (known, answers.counters[0].unwrap().after)
}

#[tokio::test]
async fn i7_cut_at_every_byte_as_many_events_are_known_as_were_counted() {
    let dir = tempfile::tempdir().unwrap();
    let engine = FileEngine::open(dir.path()).unwrap();
    for number in 0..3 {
        count_and_forward(&engine, number).await;
    }
    let copy = copy_of(dir.path());
    let journal = newest_journal(copy.path());
    let whole = fs::read(&journal).unwrap();
    let end = frame::scan(&whole, |_| ()).unwrap().end;
    for cut in 100..=end {
        fs::write(&journal, &whole[..cut]).unwrap();
        let (known, counted) = known_and_counted(&recover(copy.path()).unwrap().index, 0..3);
        assert_eq!(known, counted, "cut at {cut}");
        assert!(cut < end || known == 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i7_killed_at_any_time_of_concurrent_claims_and_compactions_as_many_are_known_as_were_counted() {
    let dir = tempfile::tempdir().unwrap();
    let bounds = Bounds { compact_least: 15_000, ..BOUNDS };
    let engine = Arc::new(FileEngine::open_on(Box::new(SystemDisk), dir.path(), bounds).unwrap());
    let is_done = Arc::new(AtomicBool::new(false));
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..4 {
        let engine = Arc::clone(&engine);
        tasks.spawn(async move {
            for number in 0..100 {
                count_and_forward(&engine, task * 1000 + number).await;
            }
        });
    }
    let (path, stop) = (dir.path().to_owned(), Arc::clone(&is_done));
    let killed = thread::spawn(move || {
        let mut copies = Vec::new();
        while !stop.load(Ordering::Acquire) {
            copies.push(copy_of(&path));
            thread::sleep(Duration::from_millis(50));
        }
        copies
    });
    tasks.join_all().await;
    is_done.store(true, Ordering::Release);
    let mut copies = killed.join().unwrap();
    copies.push(copy_of(dir.path()));
    let mut last = 0;
    for copy in &copies {
        let events = (0..4).flat_map(|task| (0..100).map(move |number| task * 1000 + number));
        let (known, counted) = known_and_counted(&recover(copy.path()).unwrap().index, events);
        assert_eq!(known, counted);
        last = known;
    }
    assert_eq!(last, 400);
    assert!(contents(dir.path()).iter().any(|(name, _)| name.starts_with("snapshot-")), "never compacted");
}

#[tokio::test]
async fn a_snapshot_holds_counters_and_what_was_told_and_orders_and_lists() {
    let dir = tempfile::tempdir().unwrap();
    let engine = FileEngine::open(dir.path()).unwrap();
    count_and_forward(&engine, 1).await;
    let counting = counters(1, ONE);
    let tried = Ask { counters: &counting, ..ask(2) };
    let reply = engine.claim(&tried).await.unwrap();
    let order = Order { amount_total: 8800, currency: "CNY".to_owned(), ..Order::default() };
    let put = || vec![PutOrder { order: [3; 16], says: order.clone(), until: NOW.plus(Duration::from_hours(1)) }];
    let entry = ListAsk { list: "blocked".to_owned(), value: "o1".to_owned() };
    engine.put_orders("pay", put(), NOW).await.unwrap();
    engine.list_add(&entry, NOW.plus(Duration::from_hours(1)), NOW).await.unwrap();
    engine.close().await;

    let recovered = recover(dir.path()).unwrap();
    Journal::create(&SystemDisk, dir.path(), recovered.next).unwrap().publish(dir.path()).unwrap();
    let stop = AtomicBool::new(false);
    snapshot::write(dir.path(), recovered.next, &recovered.index, NOW, &stop, || Ok(())).unwrap();
    let engine = FileEngine::open(dir.path()).unwrap();
    assert!(!dir.path().join(journal::name(1)).exists(), "only the snapshot is left");
    let Reply::Claimed { answers: told, .. } = reply else { panic!("{reply:?}") };
    let lists = [entry];
    let again = Ask {
        now: NOW.plus(Duration::from_secs(10)),
        nonce: retry(2).nonce,
        order: Some([3; 16]),
        lists: &lists,
        ..tried
    };
    let Reply::Claimed { answers, attempt: 2, .. } = engine.claim(&again).await.unwrap() else { panic!("not claimed") };
    assert_eq!(answers.counters, told.counters);
    assert_eq!((answers.order.as_ref(), &answers.lists[..]), (Some(&order), &[true][..]));
    assert_eq!(engine.put_orders("pay", put(), NOW).await.unwrap(), [Registered::Unchanged]);
}

#[tokio::test]
async fn a_snapshot_has_no_name_before_the_journals_are_durable() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::new();
    let stop = AtomicBool::new(false);
    let path = dir.path().join(snapshot::name(2));
    let not_durable = || {
        assert!(!path.exists());
        Err(io::Error::other("the disk hangs"))
    };
    snapshot::write(dir.path(), 2, &index, NOW, &stop, not_durable).unwrap_err();
    assert_eq!(contents(dir.path()), []);
    snapshot::write(dir.path(), 2, &index, NOW, &stop, || Ok(())).unwrap();
    assert!(path.exists());
}

#[tokio::test]
async fn counting_costs_no_sync_and_neither_does_a_duplicate_that_brings_nothing_new() {
    let dir = tempfile::tempdir().unwrap();
    let disk = TestDisk::default();
    let engine = FileEngine::open_on(Box::new(disk.clone()), dir.path(), BOUNDS).unwrap();
    count_and_forward(&engine, 1).await;
    let syncs = || disk.fault.get(|fault| fault.syncs);
    let before = syncs();
    count_and_forward(&engine, 2).await;
    assert_eq!(syncs() - before, 1, "for the claim, its counters and its end");
    let duplicate = Ask { nonce: None, ..ask(2) };
    assert_eq!(engine.claim(&duplicate).await.unwrap(), Reply::Duplicate);
    assert_eq!(syncs() - before, 1);
}

/// A journal as version 1 of this gateway wrote it, byte by byte: one event done, one in flight, one released.
fn journal_of_version_1() -> Vec<u8> {
    let key = |number: u64| {
        // As the index mixes names with their endpoint: what is looked up is known only to it.
        let mut runs = Vec::new();
        let index = Index::new();
        index.claim(&ask(number), Lease(number), |claim| runs.extend([claim.used, claim.change])).unwrap();
        match runs[..] {
            [Some(Record::Nonce { key: nonce, .. }), Some(Record::InFlight { key: event, .. })] => (nonce.0, event.0),
            _ => panic!("{runs:?}"),
        }
    };
    let until = u32::try_from(NOW.secs() + 1000).unwrap().to_le_bytes();
    let ends = NOW.plus(Duration::from_secs(10)).millis().to_le_bytes();
    let mut rows = Vec::new();
    for number in 1..=3_u64 {
        let (nonce, event) = key(number);
        let lease = number.to_le_bytes();
        rows.extend([&[1][..], &nonce, &until].concat());
        rows.extend([&[3][..], &event, &[1; 8], &until, &[1, 0], &lease, &ends].concat());
        match number {
            1 => rows.extend([&[4][..], &event, &[1; 8], &until, &[1, 0]].concat()),
            3 => rows.extend([&[5][..], &event, &lease].concat()),
            _ => {}
        }
    }
    let mut file = Vec::new();
    frame::frame(&[&[16][..], &1_u32.to_le_bytes(), &1_u64.to_le_bytes()].concat(), 0, &mut file);
    frame::frame(&rows, 0, &mut file);
    file
}

#[tokio::test]
async fn a_store_of_version_1_is_opened_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(journal::name(1)), journal_of_version_1()).unwrap();
    for round in 0..2 {
        let engine = FileEngine::open(dir.path()).unwrap();
        assert_eq!(engine.claim(&ask(1)).await.unwrap(), Reply::Replayed);
        assert_eq!(engine.claim(&Ask { nonce: None, ..ask(1) }).await.unwrap(), Reply::Duplicate);
        assert_eq!(engine.claim(&Ask { nonce: None, ..ask(2) }).await.unwrap(), Reply::InFlight);
        if round == 0 {
            let reply = engine.claim(&Ask { nonce: None, ..ask(3) }).await.unwrap();
            assert!(matches!(reply, Reply::Claimed { attempt: 2, .. }), "{reply:?}");
        }
        count_and_forward(&engine, 100 + round).await;
        engine.close().await;
    }
    let read = |number| fs::read(dir.path().join(journal::name(number))).unwrap();
    assert_eq!(read(1)[frame::HEAD + 1], 1);
    assert_eq!(read(2)[frame::HEAD + 1], 2);
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut newer = journal_of_version_1();
    newer[frame::HEAD + 1] = 3;
    let rows = newer[frame::HEAD..frame::HEAD + 13].to_vec();
    newer.clear();
    frame::frame(&rows, 0, &mut newer);
    fs::write(dir.path().join(journal::name(1)), &newer).unwrap();
    let error = FileEngine::open(dir.path()).err().unwrap().to_string();
    assert!(error.contains("is of version 3 ") && error.contains("start the newer gateway"), "{error}");
    assert_eq!(read_journal(dir.path()), newer);
}

fn read_journal(dir: &Path) -> Vec<u8> {
    fs::read(dir.join(journal::name(1))).unwrap()
}
