//! WeChat changes its keys and the merchant its own, while callbacks come: none that is authentic is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use wxgate::app::App;
use wxgate::clock::Clock;
use wxgate::sim::keys::{Keys, SignedBy};
use wxgate::sim::notify::unix_now;
use wxgate::sim::sample::{self, Order};
use wxgate::sim::shop::{Behaviour, Shop};
use wxgate::sim::wechat::{Settings, Wechat};

use crate::downloads::{keys, until, write_config};
use crate::gateway::{PATH, SIGNING, Site, send};

/// Callbacks of each phase.
const ENOUGH: usize = 40;

/// Whose turn it is to sign, in turns.
type Signers = std::sync::Mutex<Vec<(Arc<Keys>, SignedBy)>>;

/// Callbacks without end, signed by whoever signs at the moment.
struct Load {
    signers: Arc<Signers>,
    sent: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(address: std::net::SocketAddr, by: (Arc<Keys>, SignedBy)) -> Self {
        let signers = Arc::new(Signers::new(vec![by]));
        let (sent, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let tasks = (0..3).map(|_| {
            let (signers, sent, stop) = (Arc::clone(&signers), Arc::clone(&sent), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let number = sent.load(Ordering::Relaxed);
                    let (keys, by) = {
                        let signers = signers.lock().unwrap();
                        signers[number % signers.len()].clone()
                    };
                    let event = sample::find("payment-native").unwrap();
                    let event = event.event(&Order::new(&keys.merchant, unix_now()));
                    let callback = event.callback(&keys, by, PATH, unix_now());
                    let answer = send(address, &callback).await;
                    assert_eq!(answer.status, 200, "callback {number}, signed with {by:?}: {}", answer.body);
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let tasks = tasks.collect();
        Self { signers, sent, stop, tasks }
    }

    /// From now on these sign, in turns; ends when enough of their callbacks were answered.
    async fn signed_by(&self, signers: &[(&Arc<Keys>, SignedBy)]) {
        *self.signers.lock().unwrap() = signers.iter().map(|(keys, by)| (Arc::clone(keys), *by)).collect();
        self.go_on().await;
    }

    async fn go_on(&self) {
        let before = self.sent.load(Ordering::Relaxed);
        until("the load", || {
            assert!(self.tasks.iter().all(|task| !task.is_finished()), "a callback was refused");
            self.sent.load(Ordering::Relaxed) > before + ENOUGH
        })
        .await;
    }

    async fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("no callback was refused");
        }
        self.sent.load(Ordering::Relaxed)
    }
}

struct Rotation {
    site: Site,
    shop: Shop,
    wechat: Wechat,
}

impl Rotation {
    /// The configuration as it is written, but for downloads that come as fast as a test needs them.
    fn load(&self) -> wxgate::config::Config {
        let mut config = self.site.load();
        for download in config.endpoints.iter_mut().filter_map(|endpoint| endpoint.download.as_mut()) {
            (download.every, download.min_interval) = (Duration::from_millis(200), Duration::from_millis(100));
        }
        config
    }

    fn reload(&self, app: &App, more: &str) {
        write_config(&self.site, self.wechat.addr(), self.shop.address(), more);
        app.reload(self.load().endpoints);
    }
}

fn trusts(app: &App, id: &str) -> bool {
    keys(app).keys.iter().any(|key| key.id == id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_public_keys_and_api_v3_keys_rotate_under_load_without_a_refusal() {
    use SignedBy::{Certificate, PublicKey};
    let site = Site::new();
    let shop = Shop::start("127.0.0.1:0", SIGNING, Behaviour::Healthy).await.unwrap();
    let wechat = Wechat::start(Settings::local("http://127.0.0.1:9/")).await.unwrap();
    write_config(&site, wechat.addr(), shop.address(), "");
    let (old, rotation) = (Arc::new(site.keys.clone()), Rotation { site, shop, wechat });
    let app = App::start(rotation.load(), Clock::System).await.unwrap();
    until("the old certificate", || trusts(&app, &old.platform.certificate_serial)).await;
    let load = Load::start(app.addresses()[0], (Arc::clone(&old), Certificate));
    load.go_on().await;

    // A new certificate is listed; then both sign; then the new one alone, and the old one is listed no more.
    let new = Arc::new(old.with_new_certificate().unwrap());
    rotation.wechat.list_certificates(vec![new.platform.listed(), old.platform.listed()]);
    until("the new certificate", || trusts(&app, &new.platform.certificate_serial)).await;
    load.signed_by(&[(&old, Certificate), (&new, Certificate)]).await;
    rotation.wechat.change_keys(Keys::clone(&new));
    rotation.wechat.list_certificates(vec![new.platform.listed()]);
    load.signed_by(&[(&new, Certificate)]).await;
    let asked = rotation.wechat.downloads();
    until("further downloads", || rotation.wechat.downloads() > asked + 2).await;
    assert!(trusts(&app, &old.platform.certificate_serial), "a day longer than it is listed");

    // From certificates to the public key: both are accepted, then the public key alone signs.
    let public = format!("keys.public = [{{ id = \"{}\", file = \"keys/pub_key.pem\" }}]", new.platform.public_key_id);
    rotation.reload(&app, &public);
    load.signed_by(&[(&new, Certificate), (&new, PublicKey)]).await;
    rotation.wechat.sign_with(PublicKey);
    rotation.wechat.list_certificates(Vec::new());
    load.signed_by(&[(&new, PublicKey)]).await;
    assert!(keys(&app).keys.iter().filter(|key| key.verified > 0).count() == 3, "{:?}", keys(&app));

    // The APIv3 key: both are configured, WeChat changes, the old one goes.
    let changed = Arc::new(new.with_api_v3_key(*b"another APIv3 key of 32 letters!"));
    let config = std::fs::read_to_string(rotation.site.config()).unwrap();
    let folder = rotation.site.config().with_file_name("keys");
    std::fs::write(folder.join("new.key"), changed.merchant.api_v3_key).unwrap();
    let reload = |api_v3: &str| {
        let changed = config.replace("{ file = \"keys/apiv3.key\" }", api_v3);
        std::fs::write(rotation.site.config(), changed).unwrap();
        app.reload(rotation.load().endpoints);
    };
    reload("[{ file = \"keys/new.key\" }, { file = \"keys/apiv3.key\" }]");
    load.signed_by(&[(&new, PublicKey), (&changed, PublicKey)]).await;
    load.signed_by(&[(&changed, PublicKey)]).await;
    reload("{ file = \"keys/new.key\" }");
    load.go_on().await;
    let sent = load.stop().await;
    assert!(sent > 7 * ENOUGH, "{sent}");
    app.shutdown().await;
}
