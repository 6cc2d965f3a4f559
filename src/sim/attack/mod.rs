//! What forgers, replayers and broken proxies try, as named cases with what a gateway must do. They need a gateway that
//! trusts the simulator's keys; what the app behind it got is for the caller to compare with [`Expectation`].

mod content;
mod framing;
mod head;
mod pay_v2;
mod replay;
mod scene;
mod signature;

use std::time::Duration;

use serde::Serialize;

use super::keys::Keys;
use super::wire::{self, Target, TargetError};
use scene::{Scene, Shot, Want};

/// Longest time for an answer: beyond a gateway's own limits for heads and bodies.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// What must come of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// Each request is answered 4xx and the app gets nothing.
    Refused,
    /// Not HTTP as a gateway takes it: refused or cut off, and the app gets nothing.
    Closed,
    /// The app gets the event exactly once.
    DeliveredOnce,
}

/// One attack.
#[derive(Clone, Copy)]
pub struct Case {
    /// Kebab-case, stable.
    pub name: &'static str,
    /// What is tried.
    pub about: &'static str,
    /// What must come of it.
    pub expectation: Expectation,
    pace: Pace,
    shots: fn(&Scene<'_>) -> Vec<Shot>,
}

/// How the requests of a case follow each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// Each after the answer to the last.
    InTurn,
    /// All together, each on a connection of its own.
    AtOnce,
}

/// What came of a case, as far as the answers show.
#[derive(Clone, Debug, Serialize)]
pub struct CaseResult {
    /// The case.
    pub name: &'static str,
    /// What was tried.
    pub about: &'static str,
    /// What must come of it.
    pub expectation: Expectation,
    /// The statuses of the answers; a connection that was closed without one has none.
    pub statuses: Vec<u16>,
    /// Whether every answer was as it must be.
    pub held: bool,
    /// Why it did not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// All cases of WeChat Pay APIv3.
pub fn cases() -> Vec<Case> {
    [signature::CASES, head::CASES, replay::CASES, content::CASES, framing::CASES].concat()
}

/// All cases of WeChat Pay v2, for an endpoint that takes MD5.
pub fn pay_v2_cases() -> Vec<Case> {
    pay_v2::CASES.to_vec()
}

impl Case {
    /// One request that must be refused.
    const fn refused(name: &'static str, about: &'static str, shots: fn(&Scene<'_>) -> Vec<Shot>) -> Self {
        Self { name, about, expectation: Expectation::Refused, pace: Pace::InTurn, shots }
    }

    /// Something that is no HTTP as a gateway takes it.
    const fn closed(name: &'static str, about: &'static str, shots: fn(&Scene<'_>) -> Vec<Shot>) -> Self {
        Self { name, about, expectation: Expectation::Closed, pace: Pace::InTurn, shots }
    }

    /// Requests of which one delivers the event.
    const fn delivered(name: &'static str, about: &'static str, shots: fn(&Scene<'_>) -> Vec<Shot>) -> Self {
        Self { name, about, expectation: Expectation::DeliveredOnce, pace: Pace::InTurn, shots }
    }

    /// The requests all together.
    const fn at_once(mut self) -> Self {
        self.pace = Pace::AtOnce;
        self
    }

    /// Sends the case to the endpoint at `target`, a `http://` URL.
    pub async fn run(&self, target: &str, keys: &Keys) -> CaseResult {
        match Target::find(target).await {
            Ok(target) => self.run_at(&target, keys).await,
            Err(error) => self.result(Vec::new(), Some(unreachable_target(&error))),
        }
    }

    async fn run_at(&self, target: &Target, keys: &Keys) -> CaseResult {
        let scene = Scene::new(keys, target);
        let shots = (self.shots)(&scene);
        let statuses = match self.pace {
            Pace::InTurn => {
                let mut statuses = Vec::with_capacity(shots.len());
                for shot in &shots {
                    statuses.push(fire(target, shot).await);
                }
                statuses
            }
            Pace::AtOnce => fire_all(target, &shots).await,
        };
        let wants: Vec<_> = shots.iter().map(|shot| shot.want).collect();
        let failure = self.judge(&wants, &statuses);
        self.result(statuses.into_iter().flatten().collect(), failure)
    }

    fn result(&self, statuses: Vec<u16>, failure: Option<String>) -> CaseResult {
        let Self { name, about, expectation, .. } = *self;
        CaseResult { name, about, expectation, statuses, held: failure.is_none(), failure }
    }

    /// Why the answers are not as they must be.
    fn judge(&self, wants: &[Want], statuses: &[Option<u16>]) -> Option<String> {
        let mut answers = wants.iter().zip(statuses).enumerate();
        let wrong = answers.find(|(_, (want, status))| !want.is_met(**status));
        if let Some((index, (want, status))) = wrong {
            let status = status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
            return Some(format!("request {}: {status}, but {want} is due", index.saturating_add(1)));
        }
        let is_success = |status: &Option<u16>| matches!(status, Some(200 | 204));
        let one_must_succeed = self.expectation == Expectation::DeliveredOnce;
        (one_must_succeed && !statuses.iter().any(is_success)).then(|| "no request was answered 200".to_owned())
    }
}

async fn fire(target: &Target, shot: &Shot) -> Option<u16> {
    let answer = if shot.is_cut {
        wire::exchange_cut(target.address, &shot.message, ANSWER_WITHIN).await
    } else {
        wire::exchange(target.address, &shot.message, ANSWER_WITHIN).await
    };
    answer.ok().map(|answer| answer.status)
}

async fn fire_all(target: &Target, shots: &[Shot]) -> Vec<Option<u16>> {
    let tasks: Vec<_> = shots
        .iter()
        .map(|shot| {
            let (address, message) = (target.address, shot.message.clone());
            tokio::spawn(async move { wire::exchange(address, &message, ANSWER_WITHIN).await })
        })
        .collect();
    let mut statuses = Vec::with_capacity(tasks.len());
    for task in tasks {
        statuses.push(task.await.ok().and_then(Result::ok).map(|answer| answer.status));
    }
    statuses
}

fn unreachable_target(error: &TargetError) -> String {
    format!("nothing was sent: {error}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_kebab_case() {
        let cases = [cases(), pay_v2_cases()].concat();
        let names: HashSet<_> = cases.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), cases.len());
        for name in names {
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
        }
    }

    #[test]
    fn every_case_sends_something_and_no_two_requests_of_refused_cases_are_genuine() {
        let keys = Keys::bundled();
        let target =
            Target { address: "127.0.0.1:9".parse().unwrap(), host: "gateway.test".into(), path: "/notify".into() };
        for case in [cases(), pay_v2_cases()].concat() {
            let shots = (case.shots)(&Scene::new(&keys, &target));
            assert!(!shots.is_empty(), "{}", case.name);
            let wants_success = shots.iter().any(|shot| matches!(shot.want, Want::Success | Want::SuccessOrBusy));
            assert_eq!(wants_success, case.expectation == Expectation::DeliveredOnce, "{}", case.name);
        }
    }

    #[tokio::test]
    async fn a_gateway_that_takes_everything_holds_off_no_attack() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/notify", listener.local_addr().unwrap());
        tokio::spawn(async move {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut rubbish = [0; 4096];
                    let _ = stream.read(&mut rubbish).await;
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
                    // Read on, or the rest of a large request would reset the answer away.
                    while stream.read(&mut rubbish).await.is_ok_and(|read| read > 0) {}
                });
            }
        });
        let keys = Keys::bundled();
        for case in
            [cases(), pay_v2_cases()].concat().into_iter().filter(|case| case.expectation != Expectation::DeliveredOnce)
        {
            let result = case.run(&url, &keys).await;
            assert!(!result.held, "{}: {result:?}", case.name);
        }
    }
}
