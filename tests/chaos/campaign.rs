//! A whole campaign: events and faults side by side, then calm, then the ledger.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::desk;
use crate::faults;
use crate::ledger::{Ledger, Outcome};
use crate::plan::{self, Breakable};
use crate::seed::Seed;
use crate::shop::Mood;
use crate::site::LEASE;
use crate::stage::Stage;
use crate::wechat::{LONGEST_GAP, Wechat};

/// Longest time after the last fault for WeChat to be rid of every event.
const TAKEN_WITHIN: Duration = Duration::from_mins(1);
/// Longest time after that for the queues to be empty: a row that failed several times waits for its next try.
const DELIVERED_WITHIN: Duration = Duration::from_mins(6);
/// An event that nothing keeps: its lease runs out, its next try comes, is answered, on a machine that has much to do. Less
/// than by what the clocks differ: a lease by the wrong clock is noticed.
const PATIENCE: Duration = LEASE.saturating_add(LONGEST_GAP.saturating_mul(2)).saturating_add(Duration::from_secs(6));

/// How large a campaign is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) events: usize,
    pub(crate) faults: usize,
    pub(crate) seed: u64,
    /// At least so long from one fault to the next.
    pub(crate) period: Duration,
    /// Events told in a second, at most.
    pub(crate) rate: f64,
}

impl Settings {
    /// As `scripts/chaos` says, or else as the test does.
    fn asked(short: Self) -> Self {
        let asked = |name: &str| std::env::var(name).ok().map(|value| value.parse().expect(name));
        let Some(events) = asked("WXGATE_CHAOS_EVENTS") else { return short };
        Self {
            events,
            faults: asked("WXGATE_CHAOS_FAULTS").unwrap_or(short.faults),
            seed: std::env::var("WXGATE_CHAOS_SEED").map_or(short.seed, |seed| seed.parse().expect("a seed")),
            period: Duration::from_secs(9),
            rate: 100.0,
        }
    }

    fn period(&self) -> Duration {
        let events = u32::try_from(self.events / self.faults.max(1)).unwrap();
        self.period.max(Duration::from_secs_f64(f64::from(events) / self.rate))
    }
}

/// For who looks on; tests keep it until they fail.
#[allow(clippy::print_stderr, reason = "a campaign takes minutes and says where it is")]
pub(crate) fn say(what: fmt::Arguments<'_>) {
    eprintln!("{what}");
}

/// Runs the campaign and gives the outcome with the number of kills.
async fn run(mut stage: Stage, settings: Settings) -> (Stage, Outcome, usize) {
    let seed = Seed::new(settings.seed);
    let period = settings.period();
    let longest = (period / 2).min(Duration::from_secs(5));
    let breakable = Breakable { nodes: stage.nodes.len(), has_redis: stage.redis.is_some(), longest };
    let plan = plan::draw(settings.faults, breakable, &mut seed.of(2));
    let kills = plan.iter().map(plan::Fault::kills).sum();
    let ledger = Arc::new(Ledger::new());
    let nodes = stage.nodes.iter().map(|node| node.callbacks).collect();
    let wechat = Wechat::new(&stage.site.keys, nodes, &ledger, seed.of(3));

    let telling =
        tokio::spawn(tell_all(Arc::clone(&wechat), settings.events, period * u32::try_from(settings.faults).unwrap()));
    faults::play(&mut stage, &plan, period, &ledger).await;
    say(format_args!("calm again: {} of {} events taken", ledger.accepted(), settings.events));
    stage.shop.be(Mood::Perfect);
    let calm = Instant::now();
    wechat.give_up_at(calm + TAKEN_WITHIN);
    telling.await.unwrap();
    say(format_args!(
        "{} not taken, {:.1} s after the last fault",
        ledger.open_accounts(),
        calm.elapsed().as_secs_f64()
    ));

    let held = settle(&stage, &ledger).await;
    let mut outcome = ledger.close(&stage.shop.taken(), &held, PATIENCE);
    outcome.forged += stage.shop.unsigned();
    say(format_args!("answers: {}", ledger.answers()));
    let (longest, which) = &outcome.longest_wait;
    say(format_args!("the app failed {} times", stage.shop.refused()));
    say(format_args!("longest wait in calm {longest:?}, {which}; tries up to {:?} too late", ledger.longest_lag()));
    outcome.notes.iter().for_each(|note| say(format_args!("{note}")));
    (stage, outcome, kills)
}

/// Tells every event, spread over `span`, and waits until each is taken.
async fn tell_all(wechat: Arc<Wechat>, events: usize, span: Duration) {
    let begun = Instant::now();
    let gap = span.div_f64(f64::from(u32::try_from(events).unwrap()));
    let mut telling = JoinSet::new();
    for number in 0..events {
        tokio::time::sleep_until((begun + gap.mul_f64(f64::from(u32::try_from(number).unwrap()))).into()).await;
        wechat.has_room().await;
        telling.spawn(Arc::clone(&wechat).tell(number));
        while telling.try_join_next().is_some() {}
    }
    telling.join_all().await;
}

/// Lets go what the rules held, waits until nothing is pending, and tells whose ids other content was held under.
async fn settle(stage: &Stage, ledger: &Ledger) -> HashSet<String> {
    let admin = stage.nodes[0].admin;
    let rows = desk::rows(admin, "held").await.expect("the held events");
    assert!(rows.iter().all(|row| !row.is_quarantined), "every seal holds");
    let (mut judged, mut conflicts) = (HashSet::new(), HashSet::new());
    for row in &rows {
        let id = desk::event_id(admin, row).await.expect("an event");
        match row.reason.as_str() {
            "held" => drop(judged.insert(id)),
            "id-conflict" => drop(conflicts.insert(id)),
            other => panic!("held for {other}"),
        }
    }
    say(format_args!("held: {} by rules, {} under the id of another", judged.len(), conflicts.len()));
    let to_be_held = ledger.to_be_held();
    // More would be events that counted twice (I7), less events that got round the rules.
    assert_eq!(judged, to_be_held, "what the rules hold, and nothing else, is held");
    let passed = stage.shop.taken().iter().filter(|taken| to_be_held.contains(&taken.event_id)).count();
    assert_eq!(passed, 0, "none of it has reached the app");
    for row in rows.iter().filter(|row| row.reason == "held") {
        assert!(desk::release(admin, row).await, "{row:?}");
    }
    let begun = Instant::now();
    while !desk::rows(admin, "pending").await.is_some_and(|rows| rows.is_empty()) {
        if begun.elapsed() > DELIVERED_WITHIN {
            say(format_args!("the queues do not get empty"));
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(desk::rows(admin, "dead").await.map(|rows| rows.len()), Some(0), "nothing is given up within a day");
    conflicts
}

/// Says the one line, and fails unless everything holds.
async fn judge(mut stage: Stage, settings: Settings, outcome: &Outcome, kills: usize) {
    let line = format!("{outcome} faults={} kills={kills}", settings.faults);
    say(format_args!("{line}"));
    if let Ok(report) = std::env::var("WXGATE_CHAOS_REPORT") {
        std::fs::write(report, format!("{line}\n")).unwrap();
    }
    let holds = outcome.lost == 0
        && outcome.forged == 0
        && outcome.doubled <= kills
        && outcome.stuck == 0
        && outcome.unaccepted == 0
        && outcome.renamed == 0;
    if !holds {
        say(format_args!("everything is kept in {}", stage.site.keep().display()));
    }
    for node in &mut stage.nodes {
        assert_eq!(node.terminate().await, Some(0), "{} ends in good order", node.name);
    }
    assert!(holds, "{line}\n{outcome:#?}");
    assert_eq!(outcome.accepted, settings.events, "{line}");
    assert!(outcome.delivered == settings.events, "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_on_a_file_loses_nothing_under_kills_and_a_failing_app() {
    let short = Settings { events: 250, faults: 4, seed: 1, period: Duration::from_millis(2400), rate: 100.0 };
    let settings = Settings::asked(short);
    let stage = Stage::on_file(&Seed::new(settings.seed)).await;
    let (stage, outcome, kills) = run(stage, settings).await;
    judge(stage, settings, &outcome, kills).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_on_one_redis_lose_nothing_under_faults() {
    let short = Settings { events: 300, faults: 6, seed: 1, period: Duration::from_millis(1800), rate: 100.0 };
    let settings = Settings::asked(short);
    let policy = std::env::var("WXGATE_CHAOS_ON_OUTAGE").unwrap_or_else(|_| "refuse".to_owned());
    let stage = Stage::on_redis(3, &policy, &Seed::new(settings.seed)).await;
    let (stage, outcome, kills) = run(stage, settings).await;
    judge(stage, settings, &outcome, kills).await;
}
