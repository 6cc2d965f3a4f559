//! `wxgate demo`: the gateway, a simulated WeChat and a sample merchant app in one process. Orders are made and paid by
//! the QR flow, the app fails sometimes so that WeChat tries again, and then everything that a forger may try is tried.
//! Ends with exit code 0 only if each expectation held.

mod outcome;
mod risk;
mod site;

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;

use super::Exit;
use super::report::{self, talk};
use crate::app::App;
use crate::clock::Clock;
use crate::sim::attack;
use crate::sim::keys::{Keys, SignedBy};
use crate::sim::merchant::Client;
use crate::sim::shop::{Behaviour, Shop};
use crate::sim::wechat::{self, Wechat};
use outcome::{Attack, Outcome, Payments};
use site::{NOTIFY_PATH, SIGNING_SECRET, Site};

/// How much faster than in life WeChat's clock of retries runs: 15 s become 75 ms.
const TIME_SCALE: f64 = 200.0;
/// Longest time for all deliveries to end.
const DELIVERED_WITHIN: Duration = Duration::from_secs(15);
/// The app fails the first attempt at every n-th new event.
const FAIL_EVERY: usize = 7;
/// One of so many orders is notified with the public key, the others with the certificate: the change between the two
/// kinds of key as it happens in life.
const BY_PUBLIC_KEY_EVERY: usize = 3;

/// Gateway, simulated WeChat and sample merchant in one process: pays orders, then attacks.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Orders to make and pay
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    orders: u32,
    /// Leave everything running for exploring, until interrupted
    #[arg(long)]
    keep: bool,
    /// The result as JSON
    #[arg(long)]
    json: bool,
}

/// Why the demo could not be given at all.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("the demo's own configuration is refused:\n{0}")]
    Config(crate::config::Problems),
    #[error("the gateway does not start: {0}")]
    Start(#[from] crate::app::StartError),
    #[error("the simulated WeChat refused an order: {0}")]
    Order(#[from] crate::sim::merchant::ClientError),
    #[error("the simulated WeChat refused a payment: {0}")]
    Pay(#[from] crate::sim::api::ApiError),
}

pub(super) fn run(args: &Args) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            talk(format_args!("wxgate demo: no runtime: {error}"));
            return Exit::Failed.into();
        }
    };
    match runtime.block_on(demo(args)) {
        Ok(true) => Exit::Good.into(),
        Ok(false) => Exit::Failed.into(),
        Err(error) => {
            talk(format_args!("wxgate demo: {error}"));
            Exit::Failed.into()
        }
    }
}

/// Everything that runs.
struct Stage {
    site: Site,
    keys: Keys,
    shop: Shop,
    app: App,
    wechat: Wechat,
}

impl Stage {
    async fn set_up(keep: bool) -> Result<Self, DemoError> {
        let keys = Keys::bundled();
        let shop = Shop::start("127.0.0.1:0", SIGNING_SECRET, Behaviour::Flaky(FAIL_EVERY)).await?;
        let site = Site::write(&keys, shop.address(), keep)?;
        let app = App::start(site.load().map_err(DemoError::Config)?, Clock::System).await?;
        let mut settings = wechat::Settings::local(&notify_url(&app));
        settings.keys = keys.clone();
        settings.time_scale = TIME_SCALE;
        let wechat = Wechat::start(settings).await?;
        Ok(Self { site, keys, shop, app, wechat })
    }
}

fn notify_url(app: &App) -> String {
    app.addresses().first().map(|address| format!("http://{address}{NOTIFY_PATH}")).unwrap_or_default()
}

async fn demo(args: &Args) -> Result<bool, DemoError> {
    let begun = Instant::now();
    let stage = Stage::set_up(args.keep).await?;
    talk(format_args!("gateway          {}", notify_url(&stage.app)));
    talk(format_args!("simulated WeChat http://{}", stage.wechat.addr()));
    talk(format_args!(
        "merchant app     http://{}/events, fails every {FAIL_EVERY}th new event once",
        stage.shop.address()
    ));

    let payments = pay_orders(&stage, args.orders).await?;
    let attacks = attack_gateway(&stage).await;
    let acts = risk::play(&stage).await?;
    let Stage { site, keys: _, shop, app, wechat } = stage;
    let admin = app.admin_address();
    if args.keep {
        keep_running(&site.config(), admin, &notify_url(&app)).await;
    }
    let unsigned = shop.deliveries().iter().filter(|delivery| !delivery.signed).count();
    wechat.stop();
    app.shutdown().await;
    let outcome = Outcome::new(payments, attacks, acts, unsigned, &site.path().join("audit.ndjson"), begun.elapsed());
    if args.json {
        report::json(&outcome);
    } else {
        report::result(&outcome);
    }
    Ok(outcome.held())
}

/// Makes orders as a merchant app does, pays each as a user does, and waits until WeChat has told of all.
async fn pay_orders(stage: &Stage, orders: u32) -> Result<Payments, DemoError> {
    let client = Client::new(stage.wechat.addr(), stage.keys.merchant.clone()).with_notify_url(&notify_url(&stage.app));
    let mut paid = Vec::new();
    for number in 1..=orders {
        let out_trade_no = format!("DEMO{number:06}");
        let code_url = client.native_order(&out_trade_no, "wxgate demo", i64::from(number)).await?;
        if number == 1 {
            show_code(&code_url);
            talk(format_args!("paying {orders} orders …"));
        }
        let index = usize::try_from(number).unwrap_or_default();
        let by =
            if index.checked_rem(BY_PUBLIC_KEY_EVERY) == Some(0) { SignedBy::PublicKey } else { SignedBy::Certificate };
        stage.wechat.sign_with(by);
        stage.wechat.pay(&code_url)?;
        paid.push(out_trade_no);
    }
    let mut waited = Duration::ZERO;
    let step = Duration::from_millis(500);
    while waited < DELIVERED_WITHIN && !stage.wechat.wait_idle(step).await {
        waited = waited.saturating_add(step);
        let done = stage.wechat.deliveries().iter().filter(|delivery| delivery.done).count();
        talk(format_args!("{done} of {orders} notifications delivered"));
    }
    let mut got: HashMap<String, usize> = HashMap::new();
    for delivery in stage.shop.accepted() {
        let subject = delivery.headers.get("ce-subject").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let count = got.entry(subject.to_owned()).or_default();
        *count = count.saturating_add(1);
    }
    let attempts = stage.wechat.deliveries().iter().map(|delivery| delivery.attempts.len()).sum();
    Ok(Payments::new(&paid, &got, attempts))
}

/// Runs the attack corpus, looking at the app after each case.
async fn attack_gateway(stage: &Stage) -> Vec<Attack> {
    // From here on the app takes everything: what it gets is the gateway's doing alone.
    stage.shop.behave(Behaviour::Healthy);
    let target = notify_url(&stage.app);
    let cases = attack::cases();
    talk(format_args!("attacking: {} cases …", cases.len()));
    let mut attacks = Vec::new();
    for case in cases {
        let before = stage.shop.deliveries().len();
        let result = case.run(&target, &stage.keys).await;
        let delivered = stage.shop.deliveries().len().saturating_sub(before);
        attacks.push(Attack::new(&result, delivered));
    }
    attacks
}

fn show_code(code_url: &str) {
    match QrCode::new(code_url) {
        Ok(code) => talk(code.render::<Dense1x2>().quiet_zone(true).build()),
        Err(error) => talk(format_args!("(no QR code: {error})")),
    }
    talk(format_args!("scan to pay: {code_url}"));
}

async fn keep_running(config: &Path, admin: Option<std::net::SocketAddr>, notify: &str) {
    talk("everything is left running; interrupt to end");
    talk(format_args!("  configuration  {}", config.display()));
    if let Some(admin) = admin {
        talk(format_args!("  metrics        http://{admin}/metrics"));
    }
    talk(format_args!(
        "  more callbacks wxgate sim send --to {notify} --keys {}",
        config.with_file_name("keys").display()
    ));
    // A failure to listen for the signal ends it as well.
    let _ = tokio::signal::ctrl_c().await;
}
