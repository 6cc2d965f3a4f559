//! The link by itself: what it does when a server forgets scripts, dies, hangs, loads or refuses.

use std::time::{Duration, Instant};

use redis::Value;

use super::super::link::Link;
use super::super::script::Script;
use super::super::servers::{Server, free_port};
use super::super::{Address, RedisSettings, Topology};
use crate::store::StoreError;

static ECHO: Script = Script::new("echo", "redis.call('SET', KEYS[1] .. 'seen', ARGV[1]) return ARGV[1]");
static BROKEN: Script = Script::new("broken", "return redis.call('NO-SUCH-COMMAND')");

const TIMEOUT: Duration = Duration::from_millis(200);

fn settings(port: u16) -> RedisSettings {
    let topology = Topology::Single(Address { host: "127.0.0.1".to_owned(), port });
    RedisSettings { prefix: "link".to_owned(), timeout: TIMEOUT, ..RedisSettings::new(topology) }
}

async fn echo(link: &Link, text: &str) -> Result<Value, StoreError> {
    link.run(&ECHO, &[link.tag("pay").as_bytes()], &[text.as_bytes()]).await
}

fn text(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

/// Until the link has found the server again.
async fn until_up(link: &Link) -> Duration {
    let began = Instant::now();
    while echo(link, "x").await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "it was never found again: {:?}", link.failures());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    began.elapsed()
}

#[tokio::test]
async fn a_script_runs_whether_the_server_has_it_or_not() {
    let server = Server::start();
    let link = Link::open(&settings(server.port)).unwrap();
    assert_eq!(echo(&link, "1").await.unwrap(), text("1"));
    server.tell(&["SCRIPT", "FLUSH"]).unwrap();
    assert_eq!(echo(&link, "2").await.unwrap(), text("2"), "sent again by its text");
    assert_eq!(server.tell(&["GET", "{link:pay}seen"]).unwrap(), "$1\r\n2\r\n");
    assert_eq!(server.info("errorstats", "errorstat_NOSCRIPT"), "count=2");
    assert_eq!(link.failures(), []);
}

#[tokio::test]
async fn what_the_server_refuses_is_told_and_is_no_outage() {
    let server = Server::start();
    let link = Link::open(&settings(server.port)).unwrap();
    let refused = link.run(&BROKEN, &[b"{link:pay}"], &[]).await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::Refused { cause } if cause.contains("NO-SUCH-COMMAND")
        || cause.contains("Unknown Redis command")),
        "{refused}"
    );
    assert!(link.is_up());
    assert_eq!(link.failures(), [("broken", "refused", 1)]);
    server.tell(&["CONFIG", "SET", "maxmemory", "1"]).unwrap();
    assert!(matches!(echo(&link, "1").await, Err(StoreError::OutOfMemory)));
    assert!(link.is_up());
}

#[tokio::test]
async fn a_server_that_was_restarted_is_found_again() {
    let mut server = Server::start();
    let link = Link::open(&settings(server.port)).unwrap();
    echo(&link, "1").await.unwrap();
    server.restart();
    assert_eq!(echo(&link, "2").await.unwrap(), text("2"), "the broken connection costs nobody an error");
    server.kill();
    assert!(matches!(echo(&link, "3").await, Err(StoreError::Unreachable { .. })));
    assert!(!link.is_up());
    server.restart();
    until_up(&link).await;
    assert!(link.is_up());
}

#[tokio::test]
async fn a_store_that_hangs_costs_one_request_its_time_and_the_others_none() {
    let server = Server::start();
    let link = Link::open(&settings(server.port)).unwrap();
    echo(&link, "1").await.unwrap();
    server.pause();
    let began = Instant::now();
    assert!(matches!(echo(&link, "2").await, Err(StoreError::Late { .. })));
    assert!((TIMEOUT..TIMEOUT * 5).contains(&began.elapsed()), "{:?}", began.elapsed());
    let began = Instant::now();
    for _ in 0..1000 {
        assert!(matches!(echo(&link, "3").await, Err(StoreError::Unreachable { .. })));
    }
    assert!(began.elapsed() < TIMEOUT, "{:?} for 1000 requests", began.elapsed());
    server.resume();
    until_up(&link).await;
}

#[tokio::test]
async fn a_store_that_is_not_there_when_the_gateway_starts_is_found_when_it_comes() {
    let port = free_port();
    let link = Link::open(&settings(port)).unwrap();
    assert!(matches!(echo(&link, "1").await, Err(StoreError::Unreachable { .. })));
    let server = Server::start_with(|_, _| vec!["--port".to_owned(), port.to_string()]);
    until_up(&link).await;
    drop(server);
}

#[test]
fn each_thread_has_a_connection_of_its_own() {
    let server = Server::start();
    let link = Link::open(&settings(server.port)).unwrap();
    let both_have_one = std::sync::Barrier::new(3);
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(echo(&link, "1")).unwrap();
                both_have_one.wait();
                both_have_one.wait(); // what ends with the thread is counted before
            });
        }
        both_have_one.wait();
        assert_eq!(server.info("clients", "connected_clients"), "3", "and the one that asks");
        both_have_one.wait();
    });
    // Their runtimes are gone, and their connections with them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(echo(&link, "2")).unwrap(), text("2"));
}

#[tokio::test]
async fn after_close_everything_fails() {
    let server = Server::start();
    let link = Link::open(&settings(server.port)).unwrap();
    echo(&link, "1").await.unwrap();
    link.close();
    assert!(!link.is_up());
    assert!(matches!(echo(&link, "2").await, Err(StoreError::Closed)));
}
