//! The index by itself.

use super::table::LEAST_SWEEP;
use super::*;

use std::time::Duration;

fn ask(number: u64, now: UnixTime) -> Ask<'static> {
    let digest = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_le_bytes();
    Ask {
        endpoint: "pay",
        nonce: Some(NonceUse { digest: digest, until: now.plus(Duration::from_mins(5)) }),
        event: digest,
        content: [1; 8],
        lease: Duration::from_secs(10),
        retention: Duration::from_hours(1),
        now,
        counters: &[],
        order: None,
        lists: &[],
    }
}

fn rows(index: &Index) -> usize {
    index.shards.iter().map(|shard| shard.lock().events.rows.len()).sum()
}

#[test]
fn memory_stays_bounded_under_steady_traffic() {
    let index = Index::new();
    let start = UnixTime::from_secs(1_700_000_000);
    // One event each 20 ms for ten retentions: at any time 180,000 live ones.
    let mut most = 0;
    for number in 0..1_800_000 {
        let now = start.plus(Duration::from_millis(number * 20));
        assert!(matches!(index.claim(&ask(number, now), Lease(number), |_| ()), Ok(Reply::Claimed { .. })));
        if number % 50_000 == 0 {
            most = most.max(rows(&index));
        }
    }
    assert!(most <= 2 * 180_000 + SHARDS * LEAST_SWEEP, "{most} rows for 180000 live events");
}

#[test]
fn a_full_index_refuses_new_events_and_forgets_none() {
    let index = Index::bounded(Most { rows: SHARDS * 2, ..MOST });
    let now = UnixTime::from_secs(1_700_000_000);
    let taken: Vec<u64> = (0..10_000).filter(|n| index.claim(&ask(*n, now), Lease(*n), |_| ()).is_ok()).collect();
    assert!(taken.len() <= SHARDS * 2 && taken.len() > SHARDS, "{}", taken.len());
    for number in taken {
        assert_eq!(index.claim(&ask(number, now), Lease(0), |_| ()).unwrap(), Reply::Replayed);
    }
    let later = now.plus(Duration::from_hours(2));
    assert!(index.claim(&ask(77, later), Lease(0), |_| ()).is_ok(), "what has expired makes room");
}

#[test]
fn records_applied_again_over_their_own_result_change_nothing() {
    let now = UnixTime::from_secs(1_700_000_000);
    let index = Index::new();
    let mut journal = Vec::new();
    for number in 0..100 {
        let claim = |claim: Claim| journal.extend([claim.used, claim.change].into_iter().flatten());
        index.claim(&ask(number, now), Lease(number), claim).unwrap();
        let end = if number % 2 == 0 { End::Done } else { End::Released };
        let ask = ask(number, now);
        let settlement = Settlement {
            endpoint: ask.endpoint,
            event: ask.event,
            content: ask.content,
            lease: Lease(number),
            end,
            retention: ask.retention,
            now,
        };
        if number % 3 != 0 {
            index.settle(&settlement, |record| journal.push(record));
        }
    }
    let mut again = Index::new();
    let mut runs = Runs::new();
    journal.iter().chain(&journal).for_each(|record| runs.push(*record));
    again.apply(&mut runs);
    assert_eq!(all(&again, now), all(&index, now));
}

#[test]
fn a_clock_that_was_set_back_after_the_claim_forgets_nothing() {
    let index = Index::new();
    let now = UnixTime::from_secs(1_700_000_000);
    let ask = ask(1, now);
    index.claim(&ask, Lease(1), |_| ()).unwrap();
    let settlement = Settlement {
        endpoint: ask.endpoint,
        event: ask.event,
        content: ask.content,
        lease: Lease(1),
        end: End::Done,
        retention: ask.retention,
        now: UnixTime::from_secs(0),
    };
    index.settle(&settlement, |_| ());
    let retried = Ask { nonce: Some(NonceUse { digest: [9; 16], until: now }), ..ask };
    assert_eq!(index.claim(&retried, Lease(2), |_| ()).unwrap(), Reply::Duplicate);
}

fn all(index: &Index, now: UnixTime) -> Vec<String> {
    let mut all = Vec::new();
    index
        .for_each(now, |records| {
            all.extend(records.iter().map(|record| format!("{record:?}")));
            Ok::<(), ()>(())
        })
        .unwrap();
    all.sort();
    all
}
