//! The binary as a process of its own: what only a real one shows.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wxgate::sim::shop::{Behaviour, Shop};

use crate::gateway::{SIGNING, Site, send};
use crate::http_client;

/// `wxgate run` on a site's configuration.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

/// Resident memory of a process.
pub(crate) struct Memory {
    pub(crate) resident: usize,
    pub(crate) most_resident: usize,
}

impl Process {
    pub(crate) fn start(site: &Site) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wxgate"))
            .args(["run", "--log-json", "--config"])
            .arg(site.config())
            .env("WXGATE_LOG", "info")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = Vec::new();
        let mut address_after = |message: &str| {
            loop {
                let line = lines.next().unwrap_or_else(|| panic!("it ended: {seen:#?}")).unwrap();
                if line.contains(message) {
                    let from = line.find("127.0.0.1:").unwrap();
                    break line[from..].split('"').next().unwrap().parse().unwrap();
                }
                seen.push(line);
            }
        };
        let address = address_after("\"taking callbacks\"");
        let admin = address_after("\"admin\"");
        // The pipe must be read on, or the process would block on a full one.
        let log = Arc::new(Mutex::new(seen));
        let further = Arc::clone(&log);
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| further.lock().unwrap().push(line)));
        Self { child, address, admin, log }
    }

    /// What it takes now, and the most that it took, in bytes.
    pub(crate) fn memory(&self) -> Memory {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
        };
        Memory { resident: of("VmRSS:"), most_resident: of("VmHWM:") }
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Ends it in good order, so that every record is written.
    pub(crate) async fn terminate(mut self) {
        self.signal("-TERM");
        let status = tokio::task::spawn_blocking(move || self.child.wait().unwrap()).await.unwrap();
        assert_eq!(status.code(), Some(0));
    }

    /// Whether it has said that in its log, without the lines of its start.
    pub(crate) fn has_logged(&self, words: &str) -> bool {
        self.log.lock().unwrap().iter().any(|line| line.contains(words))
    }

    pub(crate) fn kill_9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test]
async fn i6_the_same_bytes_are_replayed_after_kill_9_and_restart() {
    let site = Site::new();
    let shop = Shop::start("127.0.0.1:0", SIGNING, Behaviour::Healthy).await.unwrap();
    site.write_config("file:store.db", shop.address(), "");
    let process = Process::start(&site);
    let event = site.event();
    let callback = site.sign(&event);
    assert_eq!(send(process.address, &callback).await.status, 200);
    process.kill_9();

    let process = Process::start(&site);
    assert_eq!(send(process.address, &callback).await.status, 409, "the nonce is remembered");
    let retry = site.sign(&event);
    assert_eq!(send(process.address, &retry).await.status, 200, "the event is a duplicate (I1)");
    assert_eq!(shop.deliveries().len(), 1);
    process.terminate().await;
    let audit = site.audit();
    let reasons: Vec<_> = audit.iter().map(|record| record["reason"].as_str().unwrap()).collect();
    // What the first process had not yet written of its audit may have died with it; the event itself did not.
    assert!(reasons.ends_with(&["replayed", "duplicate"]), "{reasons:?}");
}

#[tokio::test]
async fn i4_a_crash_in_the_middle_of_a_forward_loses_no_event() {
    let site = Site::new();
    let shop = Shop::start("127.0.0.1:0", SIGNING, Behaviour::Slow(Duration::from_millis(1500))).await.unwrap();
    site.write_config("file:store.db", shop.address(), "");
    let process = Process::start(&site);
    let event = site.event();
    let callback = site.sign(&event);
    let address = process.address;
    let sent = tokio::spawn(async move {
        http_client::request(address, "POST", &callback.path, &callback.headers, &callback.body).await
    });
    tokio::time::sleep(Duration::from_millis(400)).await;
    process.kill_9();
    assert!(sent.await.unwrap().is_err(), "nothing was promised");

    shop.behave(Behaviour::Healthy);
    let process = Process::start(&site);
    // The lease of the dead process ends by itself: WeChat's tries are answered `in-flight` until then.
    let begun = Instant::now();
    loop {
        match send(process.address, &site.sign(&event)).await.status {
            200 => break,
            503 | 504 => {
                assert!(begun.elapsed() < Duration::from_secs(15), "the lease outlives WeChat's first retry gap");
            }
            other => panic!("{other}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(!shop.accepted().is_empty());
    process.kill_9();
}

#[tokio::test]
async fn sigterm_ends_it_with_exit_code_0_after_what_is_in_flight() {
    let site = Site::new();
    let shop = Shop::start("127.0.0.1:0", SIGNING, Behaviour::Slow(Duration::from_millis(600))).await.unwrap();
    site.write_config("file:store.db", shop.address(), "");
    let mut process = Process::start(&site);
    let callback = site.sign(&site.event());
    let address = process.address;
    let sent = tokio::spawn(async move { send(address, &callback).await.status });
    tokio::time::sleep(Duration::from_millis(300)).await;
    process.signal("-TERM");
    assert_eq!(sent.await.unwrap(), 200);
    let status = tokio::task::spawn_blocking(move || process.child.wait().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(site.audit().len(), 1, "the record is written before the end");
}

#[tokio::test]
async fn sighup_takes_a_good_file_and_keeps_the_last_good_one_over_a_bad() {
    let site = Site::new();
    let shop = Shop::start("127.0.0.1:0", SIGNING, Behaviour::Healthy).await.unwrap();
    site.write_config("file:store.db", shop.address(), "");
    let process = Process::start(&site);
    let good = std::fs::read_to_string(site.config()).unwrap();

    std::fs::write(site.config(), good.replace("path = \"/notify", "windw = 1\npath = \"/notify")).unwrap();
    process.signal("-HUP");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(send(process.address, &site.sign(&site.event())).await.status, 200, "the last good one goes on");

    std::fs::write(site.config(), good.replace("/notify/shop-pay", "/notify/renamed")).unwrap();
    process.signal("-HUP");
    let begun = Instant::now();
    let mut renamed = site.sign(&site.event());
    "/notify/renamed".clone_into(&mut renamed.path);
    loop {
        match send(process.address, &renamed).await.status {
            200 => break,
            404 => assert!(begun.elapsed() < Duration::from_secs(5), "not reloaded"),
            other => panic!("{other}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(send(process.address, &site.sign(&site.event())).await.status, 404);
    process.kill_9();
}

/// Waits until the metrics hold all of these lines.
async fn until_told(process: &Process, lines: &[&str]) {
    let begun = Instant::now();
    loop {
        let told = http_client::get(process.admin, "/metrics").await.body;
        if lines.iter().all(|line| told.lines().any(|one| one == *line)) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{lines:?} is not in\n{told}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn metrics_tell_a_rejected_configuration_and_a_change_that_takes_a_restart_until_they_are_mended() {
    let site = Site::new();
    site.write_config("memory:", SocketAddr::from(([127, 0, 0, 1], 9)), "");
    let process = Process::start(&site);
    let good = std::fs::read_to_string(site.config()).unwrap();
    let (ok, bad) = ("wxgate_config_reload_ok 1", "wxgate_config_reload_ok 0");
    let (waits, waits_not) = ("wxgate_config_restart_needed 1", "wxgate_config_restart_needed 0");
    until_told(&process, &[ok, waits_not]).await;
    for (text, lines) in [
        (good.replace("threads = 2", "threads = 3"), [ok, waits]),
        (good.replace("threads = 2", "thraeds = 3"), [bad, waits]),
        (good, [ok, waits_not]),
    ] {
        std::fs::write(site.config(), text).unwrap();
        process.signal("-HUP");
        until_told(&process, &lines).await;
    }
    process.kill_9();
}

#[tokio::test]
async fn sigterm_under_load_is_told_by_readyz_first_and_fails_no_callback() {
    let site = Site::new();
    let shop = Shop::start("127.0.0.1:0", SIGNING, Behaviour::Slow(Duration::from_millis(100))).await.unwrap();
    site.write_config("file:store.db", shop.address(), "");
    let text = std::fs::read_to_string(site.config()).unwrap();
    std::fs::write(site.config(), text.replace("threads = 2", "threads = 2\nshutdown_delay = \"2s\"")).unwrap();
    let mut process = Process::start(&site);
    let ready = async |admin| http_client::get(admin, "/readyz").await.status;
    assert_eq!(ready(process.admin).await, 200);

    // A load balancer that looks every 500 ms: it sends on until it has seen that the gateway is not ready.
    let (told, noticed) = tokio::sync::watch::channel(false);
    let site = Arc::new(site);
    let mut senders = Vec::new();
    for _ in 0..4 {
        let (site, address, noticed) = (Arc::clone(&site), process.address, noticed.clone());
        senders.push(tokio::spawn(async move {
            let mut statuses = Vec::new();
            while !*noticed.borrow() {
                statuses.push(send(address, &site.sign(&site.event())).await.status);
            }
            statuses
        }));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    process.signal("-TERM");
    let begun = Instant::now();
    while ready(process.admin).await == 200 {
        assert!(begun.elapsed() < Duration::from_secs(1), "still ready");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(send(process.address, &site.sign(&site.event())).await.status, 200, "not ready, and at work");
    tokio::time::sleep(Duration::from_millis(500)).await;
    told.send_replace(true);
    for sender in senders {
        let statuses = sender.await.unwrap();
        assert!(!statuses.is_empty() && statuses.iter().all(|status| *status == 200), "{statuses:?}");
    }
    let status = tokio::task::spawn_blocking(move || process.child.wait().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(begun.elapsed() >= Duration::from_millis(1900), "the delay was waited for");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let site = Site::new();
    site.write_config("memory:", SocketAddr::from(([127, 0, 0, 1], 9)), "");
    let text = std::fs::read_to_string(site.config()).unwrap();
    std::fs::write(site.config(), text.replace("threads = 2", "threads = 2\nshutdown_delay = \"5m\"")).unwrap();
    let mut process = Process::start(&site);
    process.signal("-TERM");
    let begun = Instant::now();
    while http_client::get(process.admin, "/readyz").await.status == 200 {
        assert!(begun.elapsed() < Duration::from_secs(5), "still ready");
    }
    process.signal("-INT");
    let status = tokio::task::spawn_blocking(move || process.child.wait().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_changed_secret_file_is_taken_without_a_signal() {
    let site = Site::new();
    let shop = Shop::start("127.0.0.1:0", SIGNING, Behaviour::Healthy).await.unwrap();
    site.write_config("file:store.db", shop.address(), "");
    let process = Process::start(&site);
    let mut changed = Site::new();
    changed.keys = site.keys.with_api_v3_key(*b"another APIv3 key of 32 letters!");
    let sent = async || send(process.address, &changed.sign(&changed.event())).await.status;
    assert_eq!(sent().await, 400, "it does not open");
    std::fs::write(site.config().with_file_name("keys/apiv3.key"), changed.keys.merchant.api_v3_key).unwrap();
    let begun = Instant::now();
    while sent().await != 200 {
        assert!(begun.elapsed() < Duration::from_secs(20), "not reloaded");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    process.kill_9();
}
