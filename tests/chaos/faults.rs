//! Carries out a plan: breaks one thing after the other, puts each right again, and tells the ledger when.

use std::time::{Duration, Instant};

use crate::ledger::Ledger;
use crate::plan::{Fault, Whom};
use crate::proxy::{Proxy, Weather};
use crate::shop::Mood;
use crate::stage::Stage;

/// Plays the plan, one fault in each `period`.
pub(crate) async fn play(stage: &mut Stage, plan: &[Fault], period: Duration, ledger: &Ledger) {
    let begun = Instant::now();
    for (number, fault) in (0_u32..).zip(plan) {
        // The fault stands after the first third of its period, so that the end of the last one has been calm.
        let due = begun + period * number + period / 3;
        tokio::time::sleep_until(due.into()).await;
        let from = Instant::now();
        crate::campaign::say(format_args!("{:.1} s: {fault:?}", (from - begun).as_secs_f64()));
        stage.suffer(fault).await;
        ledger.trouble(from, &format!("{fault:?}"));
    }
    tokio::time::sleep_until((begun + period * u32::try_from(plan.len()).unwrap()).into()).await;
}

impl Stage {
    /// One fault, from its beginning until it is put right.
    async fn suffer(&mut self, fault: &Fault) {
        match fault {
            Fault::KillNode { node, down, offset } => {
                self.nodes[*node].kill_9();
                tokio::time::sleep(*down).await;
                self.nodes[*node].start(*offset).await;
            }
            Fault::KillEveryNode { down, offsets } => {
                self.nodes.iter_mut().for_each(crate::node::Node::kill_9);
                tokio::time::sleep(*down).await;
                for (node, offset) in self.nodes.iter_mut().zip(offsets) {
                    node.start(*offset).await;
                }
            }
            Fault::RestartNode { node, offset } => {
                assert_eq!(self.nodes[*node].terminate().await, Some(0), "a shutdown in good order");
                self.nodes[*node].start(*offset).await;
            }
            Fault::Shop { mood, lasts } => {
                self.shop.be(*mood);
                tokio::time::sleep(*lasts).await;
                self.shop.be(Mood::Well);
            }
            Fault::KillRedis { down } => {
                self.shared().pair.kill_primary();
                tokio::time::sleep(*down).await;
                self.shared().pair.restart_primary().await;
            }
            Fault::ReplaceRedis { down } => {
                // Nobody writes any more when the replica is waited for.
                self.shared().weather(Whom::Everybody, Weather::Refuses);
                self.shared().pair.kill_replicated_primary().await;
                tokio::time::sleep(*down).await;
                self.shared().replace_primary().await;
                self.shared().weather(Whom::Everybody, Weather::Clear);
            }
            Fault::FailOver => self.shared().fail_over().await,
            Fault::Network { whom, weather, lasts } => {
                self.shared().weather(*whom, *weather);
                tokio::time::sleep(*lasts).await;
                self.shared().weather(*whom, Weather::Clear);
            }
            Fault::NetworkAndKill { whom, weather, lasts, node } => {
                self.shared().weather(*whom, *weather);
                tokio::time::sleep(*lasts / 2).await;
                self.nodes[*node].kill_9();
                tokio::time::sleep(*lasts / 2).await;
                self.shared().weather(*whom, Weather::Clear);
                self.nodes[*node].start(0).await;
            }
            Fault::Resets { times, apart } => {
                for _ in 0..*times {
                    self.shared().ways.iter().for_each(Proxy::reset);
                    tokio::time::sleep(*apart).await;
                }
            }
        }
    }
}
