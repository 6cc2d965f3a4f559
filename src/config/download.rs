//! `keys.download`: the merchant's own API key, by which the gateway fetches WeChat's platform certificates.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;

use super::document::Value;
use super::problem::Findings;
use super::reference::Outside;
use crate::store::EngineSettings;
use crate::wechat::key::MerchantKey;
use crate::{keyring, store};

const HINT: &str = "keys.download = { mchid = \"1900000001\", serial = \"5157F0…\", private_key = { file = \"keys/apiclient_key.pem\" } }";
/// Where WeChat Pay in mainland China has them (protocol 1.12).
const URL: &str = "https://api.mch.weixin.qq.com/v3/certificates";
const PATH: &str = "/v3/certificates";
/// WeChat asks for less than 12 h between two; jitter only shortens it.
const EVERY: Duration = Duration::from_hours(12);
const MIN_INTERVAL: Duration = Duration::from_mins(1);
/// Digits of a certificate's serial (protocol 6.22).
const SERIAL_DIGITS: std::ops::RangeInclusive<usize> = 16..=64;

/// What the table says.
pub(super) struct Found {
    pub(super) merchant: MerchantKey,
    pub(super) url: Uri,
    pub(super) every: Duration,
    pub(super) min_interval: Duration,
    pub(super) cache: Option<PathBuf>,
}

pub(super) fn read(value: &Value<'_>, outside: &mut Outside<'_>, findings: &mut Findings<'_>) -> Option<Found> {
    let mut table = value.table(findings, HINT)?;
    let mchid = table.require("mchid", findings, HINT);
    let serial =
        table.require("serial", findings, "the serial of your own API certificate, as the merchant platform shows it");
    let private_key = table.require("private_key", findings, HINT);
    let url = table.take("url").map_or_else(|| Some(Uri::from_static(URL)), |v| read_url(&v, findings));
    let every = table.take_or("every", EVERY, |v| {
        let hint =
            "WeChat asks to look more often than every 12 hours, and announces a certificate days before it uses it";
        v.duration(findings, Duration::from_mins(10)..=Duration::from_hours(24), hint)
    });
    let min_interval = table.take_or("min_interval", MIN_INTERVAL, |v| {
        let hint = "the shortest time between two downloads, since callbacks of strangers may ask for one";
        v.duration(findings, Duration::from_secs(1)..=Duration::from_hours(1), hint)
    });
    let cache = table.take("cache").map(|v| {
        let path = v.parsed(findings, "the path of a file", "\"certificates.cache\"", |path| {
            (!path.is_empty()).then_some(path)
        });
        path.map(|path| outside.path(path))
    });
    table.finish(findings);
    let is_number = |text: &&str| (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let mchid = mchid?.parsed(findings, "a merchant number", HINT, |text| Some(text).filter(is_number));
    let is_serial = |text: &&str| SERIAL_DIGITS.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    let serial = serial?.parsed(findings, "the serial of a certificate in hex", "without colons and blanks", |text| {
        Some(text).filter(is_serial)
    });
    let private_key = private_key?;
    let pem = outside.secret(&private_key, findings)?;
    let merchant = MerchantKey::from_pem(mchid?, serial?, &pem).map_err(|error| {
        let hint = "apiclient_key.pem came with your API certificate: a private key in PEM, without a password";
        findings.problem(private_key.at(), format!("`{}`: {error}", private_key.name()), hint);
    });
    let cache = match cache {
        Some(cache) => Some(cache?),
        None => None,
    };
    Some(Found { merchant: merchant.ok()?, url: url?, every, min_interval, cache })
}

/// `https`; without it anybody on the way could keep the certificates from us, so only this machine is asked so.
fn read_url(value: &Value<'_>, findings: &mut Findings<'_>) -> Option<Uri> {
    let hint = "\"https://api.mch.weixin.qq.com\"; http:// only to this machine";
    value.parsed(findings, "an https:// URL", hint, |text| {
        let url: Uri = text.parse().ok()?;
        let authority = url.authority()?;
        let has_good_port = authority.as_str() == authority.host() || authority.port_u16().is_some_and(|port| port > 0);
        let is_allowed =
            url.scheme() == Some(&Scheme::HTTPS) || (url.scheme() == Some(&Scheme::HTTP) && is_here(authority.host()));
        if !is_allowed || !has_good_port || authority.host().is_empty() || text.contains(['#', '@']) {
            return None;
        }
        if url.path() == "/" && url.query().is_none() {
            let mut parts = url.into_parts();
            parts.path_and_query = Some(http::uri::PathAndQuery::from_static(PATH));
            return Uri::from_parts(parts).ok();
        }
        Some(url)
    })
}

fn is_here(host: &str) -> bool {
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
}

/// Where nothing else is said, certificates are kept beside a `file:` store: `wxgate.db.keys/1900000001.certificates`.
pub(super) fn keep_beside<'a>(store: &store::Settings, downloads: impl Iterator<Item = &'a mut keyring::Settings>) {
    let EngineSettings::File(store) = &store.engine else { return };
    for download in downloads.filter(|download| download.cache.is_none()) {
        let mut dir = store.clone().into_os_string();
        dir.push(".keys");
        download.cache = Some(PathBuf::from(dir).join(format!("{}.certificates", download.merchant.mchid())));
    }
}
