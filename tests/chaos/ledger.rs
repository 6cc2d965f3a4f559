//! The ledger: what WeChat was promised, what the app got, and whether the two agree.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::shop::Taken;
use crate::site::Endpoint;

/// What was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sent {
    /// WeChat's own try.
    Genuine,
    /// Signed by somebody else, or changed under way.
    Forged,
    /// Bytes that were answered with success, again.
    Replayed,
    /// Signed by WeChat's key, under an id that stands for something else.
    Conflict,
}

pub(crate) struct Ledger {
    begun: Instant,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    accounts: HashMap<String, Account>,
    answers: BTreeMap<(Sent, String), usize>,
    /// What was forged or replayed and yet told success.
    passed: Vec<String>,
    troubles: Vec<Trouble>,
    accepted: usize,
    longest_lag: Duration,
}

/// One event.
#[derive(Clone, Debug)]
struct Account {
    endpoint: Endpoint,
    says: String,
    first_try: Instant,
    accepted: Option<Instant>,
    /// The rules hold it.
    is_held: bool,
    /// Other content under its id was told success, so it has to be held.
    has_conflict: bool,
}

/// Something was broken for a while.
#[derive(Clone, Debug)]
struct Trouble {
    from: Instant,
    until: Instant,
    what: String,
}

/// How a campaign ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Events that WeChat was told are taken.
    pub(crate) accepted: usize,
    /// Events that the app took.
    pub(crate) delivered: usize,
    /// Accepted, and the app has them not; or other content under a known id that was told success and is not held.
    pub(crate) lost: usize,
    /// Deliveries beyond the first of each event.
    pub(crate) doubled: usize,
    /// Deliveries of what WeChat never sent, and forgeries that were told success.
    pub(crate) forged: usize,
    /// Events that were not taken although nothing was broken for longer than a lease and the next try need.
    pub(crate) stuck: usize,
    /// Events that WeChat never got rid of.
    pub(crate) unaccepted: usize,
    /// Events whose deliveries had more than one `webhook-id`.
    pub(crate) renamed: usize,
    /// The longest that an event waited while nothing was broken, and which.
    pub(crate) longest_wait: (Duration, String),
    /// For people: what is behind the numbers.
    pub(crate) notes: Vec<String>,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self { begun: Instant::now(), books: Mutex::default() }
    }

    /// An event that WeChat will tell, and whether the rules hold it.
    pub(crate) fn open(&self, id: &str, endpoint: Endpoint, says: &str, is_held: bool) {
        let (first_try, says) = (Instant::now(), says.to_owned());
        let account = Account { endpoint, says, first_try, accepted: None, is_held, has_conflict: false };
        assert!(self.books.lock().accounts.insert(id.to_owned(), account).is_none(), "{id} is told twice");
    }

    /// An answer, or none.
    pub(crate) fn answered(&self, sent: Sent, id: &str, status: Option<u16>) {
        let mut books = self.books.lock();
        let told = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        *books.answers.entry((sent, told)).or_default() += 1;
        if !matches!(status, Some(200 | 204)) {
            return;
        }
        match sent {
            Sent::Genuine => {
                let account = books.accounts.get_mut(id).unwrap();
                let is_first = account.accepted.is_none();
                account.accepted.get_or_insert_with(Instant::now);
                books.accepted += usize::from(is_first);
            }
            Sent::Conflict => books.accounts.get_mut(id).unwrap().has_conflict = true,
            Sent::Forged | Sent::Replayed => books.passed.push(format!("{sent:?} under {id} was told success")),
        }
    }

    /// A try was sent so much later than it was due: this machine has much to do, and nobody else is to blame.
    pub(crate) fn lagged(&self, by: Duration) {
        let mut books = self.books.lock();
        books.longest_lag = books.longest_lag.max(by);
    }

    pub(crate) fn longest_lag(&self) -> Duration {
        self.books.lock().longest_lag
    }

    pub(crate) fn trouble(&self, from: Instant, what: &str) {
        self.books.lock().troubles.push(Trouble { from, until: Instant::now(), what: what.to_owned() });
    }

    pub(crate) fn open_accounts(&self) -> usize {
        let books = self.books.lock();
        books.accounts.len() - books.accepted
    }

    pub(crate) fn accepted(&self) -> usize {
        self.books.lock().accepted
    }

    /// The ids of the taken events that the rules hold.
    pub(crate) fn to_be_held(&self) -> HashSet<String> {
        let books = self.books.lock();
        let held = books.accounts.iter().filter(|(_, account)| account.is_held && account.accepted.is_some());
        held.map(|(id, _)| id.clone()).collect()
    }

    /// How often each answer was given.
    pub(crate) fn answers(&self) -> String {
        let books = self.books.lock();
        let answers = books.answers.iter().map(|((sent, told), count)| format!("{sent:?} {told}: {count}"));
        answers.collect::<Vec<_>>().join(", ")
    }

    /// Compares what was promised with what the app took. `held`: ids of the events of other content that are held;
    /// `patience`: how long an event may wait while nothing is broken, beside what two of its tries were sent too late.
    pub(crate) fn close(&self, taken: &[Taken], held: &HashSet<String>, patience: Duration) -> Outcome {
        let books = self.books.lock();
        let patience = patience + books.longest_lag * 2;
        let mut outcome = Outcome { forged: books.passed.len(), notes: books.passed.clone(), ..Outcome::default() };
        let mut deliveries: HashMap<&str, Vec<&Taken>> = HashMap::new();
        for taken in taken {
            let account = books.accounts.get(&taken.event_id);
            if account.is_some_and(|account| {
                account.says.as_bytes() == taken.body && account.endpoint.name() == taken.endpoint
            }) {
                deliveries.entry(&taken.event_id).or_default().push(taken);
            } else {
                outcome.forged += 1;
                outcome.notes.push(format!("{} reached the app, and WeChat never said that", taken.event_id));
            }
        }
        outcome.delivered = deliveries.len();
        for (id, account) in &books.accounts {
            books.close_account(id, account, self.begun, &mut outcome, patience);
            if account.accepted.is_some() && !deliveries.contains_key(id.as_str()) {
                outcome.lost += 1;
                outcome.notes.push(format!("{id} ({}) is lost", account.endpoint.name()));
            }
            if account.has_conflict && !held.contains(id) {
                outcome.lost += 1;
                outcome.notes.push(format!("what came under the id {id} is not held"));
            }
        }
        for (id, taken) in deliveries.iter().filter(|(_, taken)| taken.len() > 1) {
            outcome.doubled += taken.len() - 1;
            outcome.renamed += usize::from(taken.iter().any(|one| one.webhook_id != taken[0].webhook_id));
            let at: Vec<String> = taken.iter().map(|one| books.moment(one.at, self.begun)).collect();
            outcome.notes.push(format!("{id} ({}) was delivered {}", taken[0].endpoint, at.join(", and ")));
        }
        outcome
    }
}

impl Books {
    fn close_account(&self, id: &str, account: &Account, begun: Instant, outcome: &mut Outcome, patience: Duration) {
        let Some(accepted) = account.accepted else {
            outcome.unaccepted += 1;
            outcome.notes.push(format!("{id} ({}) was never taken", account.endpoint.name()));
            return;
        };
        outcome.accepted += 1;
        if self.troubles.iter().any(|trouble| trouble.from <= accepted && accepted < trouble.until) {
            return;
        }
        let calm_since = self.troubles.iter().map(|trouble| trouble.until).filter(|until| *until <= accepted).max();
        let waited = accepted - calm_since.unwrap_or(account.first_try).max(account.first_try);
        if waited > outcome.longest_wait.0 {
            outcome.longest_wait = (waited, format!("{id} until {}", self.moment(accepted, begun)));
        }
        if waited > patience {
            outcome.stuck += 1;
            let at = self.moment(accepted, begun);
            outcome.notes.push(format!("{id} ({}) waited {waited:?} for nothing, until {at}", account.endpoint.name()));
        }
    }

    /// A time, and what was broken then or just before.
    fn moment(&self, at: Instant, begun: Instant) -> String {
        let near = |trouble: &&Trouble| trouble.from <= at && at < trouble.until + Duration::from_secs(1);
        let broken: Vec<&str> = self.troubles.iter().filter(near).map(|trouble| trouble.what.as_str()).collect();
        format!("at {:.3} s [{}]", (at - begun).as_secs_f64(), broken.join("; "))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, delivered, lost, doubled, forged, .. } = self;
        write!(f, "accepted={accepted} delivered={delivered} lost={lost} doubled={doubled} forged={forged}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(id: &str, body: &'static str) -> Taken {
        let (event_id, webhook_id, endpoint) = (id.to_owned(), format!("evt_{id}"), "now".to_owned());
        Taken { at: Instant::now(), event_id, webhook_id, endpoint, body: body.into() }
    }

    fn ledger() -> Ledger {
        let ledger = Ledger::new();
        for id in ["a", "b"] {
            ledger.open(id, Endpoint::Now, "said", false);
            ledger.answered(Sent::Genuine, id, Some(503));
            ledger.answered(Sent::Genuine, id, Some(200));
        }
        ledger
    }

    fn close(ledger: &Ledger, taken: &[Taken]) -> Outcome {
        ledger.close(taken, &HashSet::new(), Duration::from_secs(5))
    }

    #[test]
    fn a_balanced_ledger_has_nothing_to_say() {
        let outcome = close(&ledger(), &[taken("a", "said"), taken("b", "said")]);
        assert_eq!(outcome.to_string(), "accepted=2 delivered=2 lost=0 doubled=0 forged=0");
        assert!(outcome.notes.is_empty() && outcome.stuck + outcome.unaccepted + outcome.renamed == 0);
    }

    #[test]
    fn what_is_lost_doubled_or_forged_is_counted() {
        let renamed = Taken { webhook_id: "another".to_owned(), ..taken("a", "said") };
        let deliveries = [taken("a", "said"), renamed, taken("a", "other"), taken("c", "said")];
        let outcome = close(&ledger(), &deliveries);
        assert_eq!(outcome.to_string(), "accepted=2 delivered=1 lost=1 doubled=1 forged=2");
        assert_eq!((outcome.renamed, outcome.notes.len()), (1, 4));
        let elsewhere = Taken { endpoint: "later".to_owned(), ..taken("a", "said") };
        assert_eq!(close(&ledger(), &[elsewhere]).forged, 1, "an event of another endpoint");
    }

    #[test]
    fn a_forgery_that_is_told_success_counts_although_it_reached_nobody() {
        let ledger = ledger();
        ledger.answered(Sent::Replayed, "a", Some(409));
        ledger.answered(Sent::Forged, "a", None);
        assert_eq!(close(&ledger, &[]).forged, 0);
        ledger.answered(Sent::Replayed, "a", Some(200));
        ledger.answered(Sent::Forged, "a", Some(200));
        assert_eq!(close(&ledger, &[]).forged, 2);
    }

    #[test]
    fn other_content_that_is_told_success_has_to_be_held() {
        let ledger = ledger();
        ledger.answered(Sent::Conflict, "a", Some(503));
        let both = [taken("a", "said"), taken("b", "said")];
        assert_eq!(close(&ledger, &both).lost, 0);
        ledger.answered(Sent::Conflict, "a", Some(200));
        assert_eq!(close(&ledger, &both).lost, 1);
        let held = HashSet::from(["a".to_owned()]);
        assert_eq!(ledger.close(&both, &held, Duration::from_secs(5)).lost, 0);
    }

    #[test]
    fn an_event_that_waits_while_nothing_is_broken_is_stuck() {
        let ledger = Ledger::new();
        ledger.open("a", Endpoint::Now, "said", false);
        ledger.open("b", Endpoint::Now, "said", false);
        let from = Instant::now();
        std::thread::sleep(Duration::from_millis(60));
        ledger.trouble(from, "broken");
        ledger.answered(Sent::Genuine, "a", Some(200));
        let patience = Duration::from_millis(40);
        let outcome = ledger.close(&[taken("a", "said")], &HashSet::new(), patience);
        assert_eq!((outcome.stuck, outcome.unaccepted), (0, 1), "{outcome:?}");
        std::thread::sleep(Duration::from_millis(60));
        ledger.answered(Sent::Genuine, "b", Some(200));
        assert_eq!(close_within(&ledger, patience).stuck, 1);
    }

    fn close_within(ledger: &Ledger, patience: Duration) -> Outcome {
        ledger.close(&[], &HashSet::new(), patience)
    }
}
