//! `store.url` with Redis, and the keys beside it.

use std::time::Duration;

use super::{SECRET, SHORT, config, problems, refuses, site};
use crate::config::Config;
use crate::store::EngineSettings;
use crate::store::redis::{Address, OnOutage, RedisSettings, Topology};

/// Keys that only a store of Redis has.
pub(super) const KEYS: [&str; 5] = ["timeout", "prefix", "password", "sentinel_password", "ca"];

/// A configuration with that store.
pub(super) fn store(url: &str, more: &str) -> String {
    format!("[store]\nurl = \"{url}\"\n{more}\nseal_key = {{ file = \"keys/seal.key\" }}\n{SHORT}")
}

fn settings(config: &Config) -> RedisSettings {
    let EngineSettings::Redis(settings) = &config.store.engine else { panic!("{:?}", config.store.engine) };
    RedisSettings::clone(settings)
}

fn at(host: &str, port: u16) -> Address {
    Address { host: host.to_owned(), port }
}

#[test]
fn urls_say_which_servers_make_the_store() {
    let site = site();
    let read = |url: &str| settings(&config(&site, &store(url, "")));
    let single = read("redis://redis.internal");
    assert_eq!(single.topology, Topology::Single(at("redis.internal", 6379)));
    assert_eq!((single.tls, single.database, single.user), (None, 0, None));
    assert_eq!((single.timeout, single.on_outage), (Duration::from_millis(200), OnOutage::Refuse));
    let secured = read("rediss://[2001:db8::1]:7000/3");
    assert_eq!(secured.topology, Topology::Single(at("2001:db8::1", 7000)));
    assert!(secured.tls.is_some_and(|tls| tls.authorities.is_none()));
    assert_eq!(secured.database, 3);
    let sentinel = read("redis-sentinel://s1,s2:7001/gateways/2");
    let sentinels = vec![at("s1", 26379), at("s2", 7001)];
    assert_eq!(sentinel.topology, Topology::Sentinel { sentinels, master: "gateways".to_owned() });
    assert_eq!(sentinel.database, 2);
    let cluster = read("rediss-cluster://n1,n2,n3:7002");
    assert_eq!(cluster.topology, Topology::Cluster(vec![at("n1", 6379), at("n2", 6379), at("n3", 7002)]));
    assert!(cluster.tls.is_some());
}

#[test]
fn what_is_no_url_of_redis_is_refused_where_it_stands() {
    let site = site();
    for url in [
        "redis:127.0.0.1",
        "redis://",
        "redis://a:0",
        "redis://a:70000",
        "redis://a,b",
        "redis://a/x",
        "redis://[::1",
        "redis-sentinel://s1",
        "redis-sentinel://s1//1",
        "redis-cluster://n1/2",
        "redis-other://n1",
        "redisx://n1",
        "redis-cluster://n1,,n2",
    ] {
        refuses(&site, &store(url, ""), 2, "a URL of Redis");
    }
    refuses(&site, &store("redis://:hunter2@a", ""), 2, "holds a password");
    let said = format!("{:?}", problems(&site, &store("redis://user:hunter2@a", "")));
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn keys_of_redis_are_read() {
    let site = site();
    let more = "on_outage = \"local\"\ntimeout = \"50ms\"\nprefix = \"pay\"\nca = \"keys/wechatpay_cert.pem\"\n\
        password = { file = \"keys/admin.token\" }\nsentinel_password = { file = \"keys/admin.token\" }";
    let read = settings(&config(&site, &store("rediss-sentinel://gateway@s1/m", more)));
    assert_eq!((read.on_outage, read.timeout, &*read.prefix), (OnOutage::Local, Duration::from_millis(50), "pay"));
    assert_eq!(read.user.as_deref(), Some("gateway"));
    assert_eq!(read.password.as_ref().unwrap().expose(), SECRET.as_bytes());
    assert_eq!(read.sentinel_password, read.password);
    assert!(read.tls.as_ref().unwrap().authorities.as_ref().unwrap().starts_with("-----BEGIN"));
    assert!(!format!("{read:?}").contains(SECRET));
}

#[test]
fn keys_that_do_not_fit_the_store_are_refused() {
    let site = site();
    let password = "password = { file = \"keys/admin.token\" }";
    refuses(&site, &store("redis://user@a", ""), 2, "`store.password` is missing");
    refuses(&site, &store("rediss://a", "ca = \"keys/pub_key.pem\""), 3, "holds no certificate");
    refuses(&site, &store("redis://a", "ca = \"keys/wechatpay_cert.pem\""), 3, "without TLS");
    refuses(
        &site,
        &store("redis://a", "sentinel_password = { file = \"keys/admin.token\" }"),
        3,
        "only for `redis-sentinel:`",
    );
    refuses(&site, &store("redis://a", "timeout = \"5s\""), 3, "from 10ms to 2s");
    refuses(&site, &store("redis://a", "prefix = \"a{b}\""), 3, "1 to 32 letters");
    refuses(&site, &store("redis://a", "on_outage = \"ignore\""), 3, "\"refuse\" or \"local\"");
    refuses(&site, &format!("[store]\nurl = \"redis://a\"\n{SHORT}"), 1, "`store.seal_key` is missing");
    for line in ["timeout = \"200ms\"", "prefix = \"x\"", password, "on_outage = \"local\""] {
        refuses(&site, &format!("[store]\n{line}\n{SHORT}"), 2, "only for a store of Redis");
    }
}
