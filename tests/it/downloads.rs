//! Certificates that the gateway fetches for itself, from a WeChat that counts how often it is asked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use wxgate::app::App;
use wxgate::clock::Clock;
use wxgate::keyring::report::{Download, EndpointKeys, Key, Source};
use wxgate::sim::keys::SignedBy;
use wxgate::sim::notify::{Callback, unix_now};
use wxgate::sim::shop::{Behaviour, Shop};
use wxgate::sim::sign;
use wxgate::sim::wechat::{Settings, Wechat};

use crate::gateway::{PATH, SIGNING, Site, send};
use crate::http_client;
use crate::process::Process;

const DEADLINE: Duration = Duration::from_secs(20);

/// A site whose gateway downloads from `api`; `more` goes to the keys of the endpoint.
pub(crate) fn write_config(site: &Site, api: SocketAddr, shop: SocketAddr, more: &str) {
    site.write_config("file:store.db", shop, "");
    let merchant = &site.keys.merchant;
    let download = format!(
        "keys.download = {{ mchid = \"{}\", serial = \"{}\", private_key = {{ file = \"keys/apiclient_key.pem\" }}, \
         url = \"http://{api}\", min_interval = \"1s\" }}\n{more}",
        merchant.mchid, merchant.serial
    );
    let text = std::fs::read_to_string(site.config()).unwrap();
    let with = text
        .lines()
        .filter(|line| !line.starts_with("keys.public"))
        .map(|line| if line.starts_with("keys.certificates") { &download } else { line });
    let with = with.collect::<Vec<_>>().join("\n");
    std::fs::write(site.config(), with).unwrap();
}

pub(crate) fn keys(app: &App) -> EndpointKeys {
    app.gate().keys().endpoints.remove(0)
}

fn download(app: &App) -> Download {
    keys(app).download.unwrap()
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "{what} does not come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

struct Running {
    site: Site,
    _shop: Shop,
    wechat: Wechat,
    app: App,
}

impl Running {
    /// A gateway with nothing but a download, which has come.
    async fn start() -> Self {
        let running = Self::with("").await;
        until("the first download", || download(&running.app).taken_at.is_some()).await;
        running
    }

    async fn with(more: &str) -> Self {
        let site = Site::new();
        let shop = Shop::start("127.0.0.1:0", SIGNING, Behaviour::Healthy).await.unwrap();
        let wechat = Wechat::start(Settings::local("http://127.0.0.1:9/")).await.unwrap();
        if !more.is_empty() {
            wechat.list_certificates(Vec::new());
        }
        write_config(&site, wechat.addr(), shop.address(), more);
        let app = App::start(site.load(), Clock::System).await.unwrap();
        Self { site, _shop: shop, wechat, app }
    }

    fn address(&self) -> SocketAddr {
        self.app.addresses()[0]
    }

    fn genuine(&self) -> Callback {
        self.site.sign(&self.site.event())
    }

    async fn send_with_serial(&self, serial: &str) -> u16 {
        send(self.address(), &self.genuine().with("Wechatpay-Serial", serial)).await.status
    }
}

#[tokio::test]
async fn a_downloaded_certificate_verifies_and_is_told_of() {
    let running = Running::start().await;
    assert_eq!(send(running.address(), &running.genuine()).await.status, 200);
    let [Key { id, source, verified, share, .. }] = keys(&running.app).keys.try_into().unwrap();
    assert_eq!((id, source), (running.site.keys.platform.certificate_serial.clone(), Source::Download));
    assert_eq!((verified, share), (1, Some(1.0)));
    let admin = running.app.admin_address().unwrap();
    let metrics = http_client::get(admin, "/metrics").await.body;
    for line in [
        r#"wxgate_keys_downloads_total{mchid="1900000001",result="taken"} 1"#,
        r#"wxgate_key_expires_timestamp_seconds{endpoint="shop-pay",key="5A1C7E20D4B90F3366A8214C9D70B5E8137F2C64"} "#,
        r#"wxgate_keys_downloaded_timestamp_seconds{mchid="1900000001"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    let told: serde_json::Value = serde_json::from_str(&http_client::get(admin, "/v1/keys").await.body).unwrap();
    assert_eq!(told["endpoints"][0]["keys"][0]["source"], "download");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_unknown_serials_causes_at_most_one_download_an_interval() {
    let running = Arc::new(Running::start().await);
    let (before, begun) = (running.wechat.downloads(), Instant::now());
    let mut senders = Vec::new();
    for _ in 0..4 {
        let running = Arc::clone(&running);
        senders.push(tokio::spawn(async move {
            let mut sent = 0_usize;
            while begun.elapsed() < Duration::from_millis(3500) {
                let serial = sign::hex(&sign::random::<20>()).to_ascii_uppercase();
                assert_eq!(running.send_with_serial(&serial).await, 401);
                sent += 1;
            }
            sent
        }));
    }
    let mut sent = 0;
    for sender in senders {
        sent += sender.await.unwrap();
    }
    let (downloads, most) =
        (running.wechat.downloads() - before, usize::try_from(begun.elapsed().as_secs()).unwrap() + 1);
    assert!(sent > 100, "{sent} is no flood");
    assert!((1..=most).contains(&downloads), "{downloads} downloads for {sent} callbacks");
    assert_eq!(send(running.address(), &running.genuine()).await.status, 200, "what is held stays trusted");
}

#[tokio::test]
async fn one_serial_that_nobody_has_is_looked_for_once_and_a_public_keys_never() {
    let running = Running::start().await;
    let before = running.wechat.downloads();
    assert_eq!(running.send_with_serial("PUB_KEY_ID_0000000000000024101100397200000006").await, 401);
    let vain = "0123456789ABCDEF0123456789ABCDEF01234567";
    assert_eq!(running.send_with_serial(vain).await, 401);
    until("the download", || running.wechat.downloads() > before).await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2500) {
        assert_eq!(running.send_with_serial(vain).await, 401);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(running.wechat.downloads(), before + 1);
}

#[tokio::test]
async fn a_new_certificate_that_a_callback_names_first_is_there_for_the_next_try() {
    let running = Running::start().await;
    let new = running.site.keys.with_new_certificate().unwrap();
    running.wechat.list_certificates(vec![running.site.keys.platform.listed(), new.platform.listed()]);
    let event = running.site.event();
    let tried = || event.callback(&new, SignedBy::Certificate, PATH, unix_now());
    assert_eq!(send(running.address(), &tried()).await.status, 401);
    until("the new certificate", || keys(&running.app).keys.len() == 2).await;
    assert_eq!(send(running.address(), &tried()).await.status, 200);
}

#[tokio::test]
async fn no_callback_waits_for_a_download() {
    let site = Site::new();
    let shop = Shop::start("127.0.0.1:0", SIGNING, Behaviour::Healthy).await.unwrap();
    // It takes connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    write_config(&site, silent.local_addr().unwrap(), shop.address(), "");
    let app = App::start(site.load(), Clock::System).await.unwrap();
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(send(app.addresses()[0], &site.sign(&site.event())).await.status, 401);
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(download(&app).taken_at, None);
}

#[tokio::test]
async fn a_restart_needs_no_network_and_trusts_no_changed_file() {
    let running = Running::start().await;
    let cache = running.site.config().with_file_name("store.db.keys/1900000001.certificates");
    until("the cache", || cache.exists()).await;
    let Running { site, _shop, wechat, app } = running;
    app.shutdown().await;
    wechat.stop();

    let app = App::start(site.load(), Clock::System).await.unwrap();
    assert_eq!(send(app.addresses()[0], &site.sign(&site.event())).await.status, 200);
    assert_eq!(keys(&app).keys[0].source, Source::Cache);
    app.shutdown().await;

    let text = std::fs::read_to_string(&cache).unwrap();
    // Somebody who may write files, and nothing else, puts another certificate there.
    let other = site.keys.with_new_certificate().unwrap();
    let pem = |keys: &wxgate::sim::keys::Keys| serde_json::to_string(&keys.platform.certificate_pem).unwrap();
    let forged = text.replace(&pem(&site.keys), &pem(&other));
    assert_ne!(forged, text);
    std::fs::write(&cache, forged).unwrap();
    let app = App::start(site.load(), Clock::System).await.unwrap();
    assert_eq!(keys(&app).keys, []);
    let by_other = site.event().callback(&other, SignedBy::Certificate, PATH, unix_now());
    assert_eq!(send(app.addresses()[0], &by_other).await.status, 401);
}

#[tokio::test]
async fn a_merchant_with_public_keys_alone_has_no_certificates_and_no_error() {
    let id = "PUB_KEY_ID_0000000000000024101100397200000006";
    let more = format!("keys.public = [{{ id = \"{id}\", file = \"keys/pub_key.pem\" }}]");
    let running = Running::with(&more).await;
    let ended = || download(&running.app).last_result;
    until("the answer", || ended().is_some()).await;
    assert_eq!(ended().as_deref(), Some("no-certificates"));
    assert_eq!((download(&running.app).failures, download(&running.app).detail), (0, None));
    let by_public_key = running.site.event().callback(&running.site.keys, SignedBy::PublicKey, PATH, unix_now());
    assert_eq!(send(running.address(), &by_public_key).await.status, 200);
}

#[tokio::test]
async fn what_wechat_refuses_is_said_and_what_is_held_stays() {
    let running = Running::start().await;
    // The merchant's key is another one from now on, and WeChat's list is for another APIv3 key.
    running.wechat.change_keys(running.site.keys.with_api_v3_key(*b"another APIv3 key of 32 letters!"));
    assert_eq!(running.send_with_serial("0123456789ABCDEF0123456789ABCDEF01234567").await, 401);
    until("the failure", || download(&running.app).failures == 1).await;
    let Download { last_result, detail, .. } = download(&running.app);
    assert_eq!(last_result.as_deref(), Some("invalid"));
    assert!(detail.unwrap().contains("keys.api_v3"));
    assert_eq!(send(running.address(), &running.genuine()).await.status, 200);
}

#[tokio::test]
async fn the_command_asks_the_running_gateway_and_knows_the_cache_without_it() {
    let running = Running::start().await;
    assert_eq!(send(running.address(), &running.genuine()).await.status, 200);
    // The configuration says port 0; a command finds the gateway by a configuration that says the real one.
    let admin = running.app.admin_address().unwrap();
    let path = running.site.config();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("[admin]\nlisten = \"127.0.0.1:0\"", &format!("[admin]\nlisten = \"{admin}\"")))
        .unwrap();
    let told = async |more: &'static [&'static str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wxgate"));
        command.arg("keys").arg("--config").arg(&path).args(more);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let id = &running.site.keys.platform.certificate_serial;
    let text = told(&[]).await;
    for words in [
        "endpoint shop-pay",
        id,
        "certificate from download, until 2044",
        "verified 1 (100.0 %), last at ",
        "counted since",
    ] {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
    running.app.shutdown().await;
    let json: serde_json::Value = serde_json::from_str(&told(&["--json"]).await).unwrap();
    assert_eq!(
        (&json["since"], &json["endpoints"][0]["keys"][0]["source"]),
        (&serde_json::Value::Null, &"cache".into())
    );
}

#[tokio::test]
async fn a_merchant_without_certificates_and_without_a_public_key_is_told_what_to_do() {
    let site = Site::new();
    let wechat = Wechat::start(Settings::local("http://127.0.0.1:9/")).await.unwrap();
    wechat.list_certificates(Vec::new());
    write_config(&site, wechat.addr(), SocketAddr::from(([127, 0, 0, 1], 9)), "");
    let process = Process::start(&site);
    until("the error", || process.has_logged("every callback is refused")).await;
    assert!(process.has_logged("\"ERROR\"") && process.has_logged("in keys.public"));
    process.kill_9();
}
