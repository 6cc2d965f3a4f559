//! Dynamic lists.

use super::*;
use crate::risk::ask::ListAsk;
use crate::store::Listed;

fn entry(list: &str, value: &str) -> ListAsk {
    ListAsk { list: list.to_owned(), value: value.to_owned() }
}

async fn add(engine: &Engine, list: &str, value: &str, until: UnixTime) -> bool {
    engine.list_add(&entry(list, value), until, START).await.unwrap()
}

/// Which of the values are on which list, as a claim is told.
async fn on(engine: &Engine, event: u16, lists: &[ListAsk], now: UnixTime) -> Vec<bool> {
    let ask = Ask { lists, ..Tries::of(engine, event).at(now).ask(fresh_nonce()) };
    match engine.claim(&ask).await.unwrap() {
        Reply::Claimed { answers, .. } => answers.lists,
        other => panic!("not claimed but {other:?}"),
    }
}

const HOUR: Duration = Duration::from_hours(1);

pub(in crate::store) async fn a_value_is_on_a_list_until_its_time(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let end = START.plus(HOUR);
    assert!(add(&engine, "blocked", "o1", end).await);
    assert!(add(&engine, "trusted", "o1", end).await, "lists are told apart");
    assert!(add(&engine, "blocked", "o2", end).await);
    assert!(!add(&engine, "blocked", "o2", end.plus(HOUR)).await, "it is there already, and stays longer");
    let asks = [entry("blocked", "o1"), entry("blocked", "o2"), entry("blocked", "o3"), entry("nobody's", "o1")];
    assert_eq!(on(&engine, 1, &asks, end).await, [true, true, false, false]);
    let later = end.plus(Duration::from_secs(1));
    assert_eq!(on(&engine, 2, &asks, later).await, [false, true, false, false]);
    assert!(engine.list_add(&entry("blocked", "o1"), later.plus(HOUR), later).await.unwrap(), "it is new again");
}

pub(in crate::store) async fn a_removed_value_is_on_no_list(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    add(&engine, "blocked", "o1", START.plus(HOUR)).await;
    assert!(engine.list_remove(&entry("blocked", "o1"), START).await.unwrap());
    assert!(!engine.list_remove(&entry("blocked", "o1"), START).await.unwrap());
    assert!(!engine.list_remove(&entry("nobody's", "o1"), START).await.unwrap());
    assert_eq!(on(&engine, 1, &[entry("blocked", "o1")], START).await, [false]);
    assert!(engine.list_show("blocked", None, 10, START).await.unwrap().values.is_empty());
}

pub(in crate::store) async fn a_list_is_shown_in_pages(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    let end = START.plus(HOUR);
    for number in (0..25).rev() {
        add(&engine, "blocked", &format!("o{number:02}"), end).await;
    }
    add(&engine, "blocked", "o07", START.plus(HOUR * 2)).await;
    add(&engine, "trusted", "o99", end).await;
    let (mut shown, mut after) = (Vec::new(), None);
    for expected in [10, 10, 5] {
        let page = engine.list_show("blocked", after.as_deref(), 10, START).await.unwrap();
        assert_eq!((page.values.len(), page.has_more), (expected, expected == 10));
        after = page.values.last().map(|listed| listed.value.clone());
        shown.extend(page.values);
    }
    let expected = (0..25).map(|number| Listed {
        value: format!("o{number:02}"),
        until: if number == 7 { START.plus(HOUR * 2) } else { end },
    });
    assert_eq!(shown, expected.collect::<Vec<_>>());
    let later = engine.list_show("blocked", None, 10, end.plus(Duration::from_secs(1))).await.unwrap();
    assert_eq!((later.values.len(), later.has_more), (1, false), "what has ended is not shown");
    assert!(engine.list_show("nobody's", None, 10, START).await.unwrap().values.is_empty());
}

pub(in crate::store) async fn lists_are_known_after_a_crash(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    for value in ["o1", "o2", "o3"] {
        add(&engine, "blocked", value, START.plus(HOUR)).await;
    }
    engine.list_remove(&entry("blocked", "o2"), START).await.unwrap();
    let Some(engine) = fixture.crash(engine, START).await else { return };
    let asks = ["o1", "o2", "o3"].map(|value| entry("blocked", value));
    assert_eq!(on(&engine, 1, &asks, START).await, [true, false, true]);
}
