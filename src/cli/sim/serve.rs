//! `wxgate sim serve`.

use std::path::PathBuf;

use super::{By, Exit};
use crate::cli::report::talk;
use crate::sim::keys::Keys;
use crate::sim::wechat::{Settings, Wechat};

/// The simulated WeChat: Native orders, certificates, queries, payments, notifications with retries.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Where it listens
    #[arg(long, default_value = "127.0.0.1:9700")]
    listen: String,
    /// Folder of keys; made with new keys if it is not there. The bundled test keys, if left out
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// Merchant number of new keys
    #[arg(long, default_value = "1900000001")]
    mchid: String,
    /// App of new keys
    #[arg(long, default_value = "wxd678efh567hg6787")]
    appid: String,
    /// Where orders are notified that name no `notify_url`
    #[arg(long, value_name = "URL")]
    notify: Option<String>,
    /// How much faster than in life the gaps between tries pass: 15s/15s/30s/3m/10m/…, at 200 75ms/75ms/150ms/…
    #[arg(long, default_value_t = 1.0)]
    time_scale: f64,
    /// With which key notifications are signed
    #[arg(long, value_enum, default_value = "certificate")]
    by: By,
}

pub(super) async fn run(args: &Args) -> Result<Exit, String> {
    if !(args.time_scale > 0.0 && args.time_scale.is_finite()) {
        return Err("--time-scale must be above 0".to_owned());
    }
    let settings = Settings {
        listen: args.listen.clone(),
        keys: keys(args)?,
        notify_url: args.notify.clone(),
        time_scale: args.time_scale,
        ..Settings::local("")
    };
    let merchant = settings.keys.merchant.clone();
    let wechat = Wechat::start(settings).await.map_err(|error| format!("cannot listen on {}: {error}", args.listen))?;
    wechat.sign_with(args.by.into());
    let address = wechat.addr();
    talk(format_args!("simulated WeChat on http://{address}, merchant {} with app {}", merchant.mchid, merchant.appid));
    talk(
        "  for merchants  POST /v3/pay/transactions/native, GET /v3/pay/transactions/out-trade-no/…, GET /v3/certificates",
    );
    talk(format_args!(
        "  a user pays    curl http://{address}/sim/pay -d '{{\"code_url\":\"weixin://wxpay/bizpayurl?pr=…\"}}'"
    ));
    talk(format_args!("  what was told  curl http://{address}/sim/deliveries"));
    tokio::signal::ctrl_c().await.map_err(|error| format!("signals cannot be listened to: {error}"))?;
    wechat.stop();
    Ok(Exit::Good)
}

fn keys(args: &Args) -> Result<Keys, String> {
    let Some(dir) = &args.keys else { return Ok(Keys::bundled()) };
    if dir.exists() {
        return Keys::load(dir).map_err(|error| error.to_string());
    }
    let keys = Keys::generate(&args.mchid, &args.appid).map_err(|error| error.to_string())?;
    keys.save(dir).map_err(|error| error.to_string())?;
    talk(format_args!("new keys are in {}", dir.display()));
    Ok(keys)
}
