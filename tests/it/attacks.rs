//! The attack corpus and the load against a whole gateway.

use std::time::Duration;

use wxgate::sim::attack::{self, Expectation};
use wxgate::sim::keys::Keys;
use wxgate::sim::load::{self, Settings};

use crate::gateway::Gateway;

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_is_held_off_and_the_app_gets_only_what_it_must() {
    let gateway = Gateway::start().await;
    let mut wrong = Vec::new();
    for case in attack::cases() {
        let before = gateway.shop.deliveries().len();
        let result = case.run(&gateway.url(), &gateway.site.keys).await;
        let delivered = gateway.shop.deliveries().len() - before;
        let allowed = match case.expectation {
            Expectation::Refused | Expectation::Closed => 0,
            Expectation::DeliveredOnce => 1,
        };
        if !result.held || delivered != allowed {
            wrong.push(format!("{}: {:?} {:?}, {delivered} delivered", case.name, result.statuses, result.failure));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(gateway.shop.deliveries().iter().all(|delivery| delivery.signed));
    assert_eq!(gateway.deliver(&gateway.site.event()).await.status, 200, "and it serves on");
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_nothing_forged_passes_and_copies_are_forwarded_once() {
    let gateway = Gateway::start().await;
    let settings = Settings {
        target: gateway.url(),
        connections: 8,
        rate: None,
        callbacks: 600,
        duration: Duration::from_secs(30),
        duplicates: 0.25,
        forged: 0.25,
    };
    let prepared = load::prepare(&settings, &Keys::bundled()).await.unwrap();
    let report = load::send(&settings, prepared).await.unwrap();
    assert!(report.held() && report.unsent == 0, "{report}");
    // A copy that overtakes its event on another connection has it first: then the event is answered `in-flight`.
    let genuine = &report.answers[&load::Kind::Genuine];
    assert_eq!(["200", "503"].iter().filter_map(|status| genuine.get(*status)).sum::<usize>(), 300, "{report}");
    assert_eq!(report.answers[&load::Kind::Forged]["401"], 150);
    let (site, shop) = gateway.stop().await;
    assert_eq!(shop.accepted().len(), 300, "{report}");
    for record in site.audit() {
        let reason = record["reason"].as_str().unwrap();
        assert!(["forwarded", "duplicate", "in-flight", "bad-signature"].contains(&reason), "{record}");
    }
}
