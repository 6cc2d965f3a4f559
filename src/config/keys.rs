//! The keys of an endpoint, read and parsed, and what its events have to name.

use std::time::Duration;

use super::document::{Table, Value, quoted};
use super::download;
use super::problem::Findings;
use super::reference::Outside;
use crate::clock::UnixTime;
use crate::keyring;
use crate::secret::Secret;
use crate::wechat::key::{ApiV2Key, ApiV3Key, KeyError, SharedKeys, VerifyingKey};
use crate::wechat::{pay_v2, pay_v3};

const API_V3_HINT: &str =
    "the APIv3 key is set on WeChat's merchant platform, beside the APIv2 key, and is another one";
const API_V2_HINT: &str =
    "the APIv2 key (API密钥) is set on WeChat's merchant platform, beside the APIv3 key, and is another one";
/// A certificate that ends sooner is warned of. WeChat begins to sign with the next one some days before.
const EXPIRES_SOON: Duration = Duration::from_hours(30 * 24);

pub(super) const MISSING_HINT: &str = "pay-v3 takes `keys.api_v3`, and `keys.public`, `keys.certificates` or `keys.download`, \
    or several of them while WeChat changes from one to the other";

pub(super) const MISSING_V2_HINT: &str = "pay-v2 takes `keys.api_v2`: keys.api_v2 = { env = \"SHOP_API_V2_KEY\" }";

/// `expect`: merchants and apps; empty: any.
#[derive(Default)]
pub(super) struct Expect {
    mchids: Vec<String>,
    appids: Vec<String>,
}

/// Reads `expect`.
pub(super) fn expect(value: &Value<'_>, findings: &mut Findings<'_>) -> Option<Expect> {
    let mut table = value.table(findings, "expect = { mchid = [\"1900000001\"], appid = [\"wxd678efh567hg6787\"] }")?;
    let mchids = table.take("mchid").map(|v| identifiers(&v, findings, "a merchant number")).unwrap_or_default();
    let appids = table.take("appid").map(|v| identifiers(&v, findings, "an app id")).unwrap_or_default();
    table.finish(findings);
    Some(Expect { mchids, appids })
}

fn identifiers(value: &Value<'_>, findings: &mut Findings<'_>, what: &str) -> Vec<String> {
    let hint = "in quotes, as WeChat's merchant platform shows it";
    let is_identifier =
        |text: &str| !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric());
    let items = value.one_or_more().into_iter();
    items.filter_map(|v| v.parsed(findings, what, hint, |text| is_identifier(text).then(|| text.to_owned()))).collect()
}

/// Reads the keys of `pay-v3`.
pub(super) fn pay_v3(
    value: &Value<'_>,
    expect: Expect,
    window: Duration,
    outside: &mut Outside<'_>,
    findings: &mut Findings<'_>,
) -> Option<(pay_v3::Settings, Option<keyring::Settings>)> {
    let mut table = value.table(findings, MISSING_HINT)?;
    let hint = "the APIv3 key, 32 characters, is set on WeChat's merchant platform: keys.api_v3 = { env = \"SHOP_API_V3_KEY\" }";
    let api_v3 =
        table.require("api_v3", findings, hint).map(|v| secrets(&v, ApiV3Key::new, API_V3_HINT, outside, findings));
    let (public, certificates) = (table.take("public"), table.take("certificates"));
    let download = table.take("download");
    if public.is_none() && certificates.is_none() && download.is_none() {
        let message = format!(
            "none of `{}`, `certificates` and `download` is there: no signature could be verified",
            table.name_of("public")
        );
        findings.problem(table.at(), message, MISSING_HINT);
    }
    let mut keys = Keys { ring: Vec::new(), faults: 0 };
    if let Some(value) = &public {
        let hint = "keys.public = [{ id = \"PUB_KEY_ID_…\", file = \"keys/wechatpay_pub.pem\" }]";
        for item in value.items(findings, "an array of tables", hint) {
            if let Some(mut table) = item.table(findings, hint) {
                let key = public_key(&mut table, outside, findings);
                table.finish(findings);
                keys.add(key, &item, outside.now, findings);
            }
        }
    }
    if let Some(value) = &certificates {
        for item in value.items(findings, "an array of paths", "keys.certificates = [\"keys/wechatpay_cert.pem\"]") {
            let key = certificate(&item, outside, findings);
            keys.add(key, &item, outside.now, findings);
        }
    }
    if let (Some(value), None, [], 0) = (public.or(certificates), &download, keys.ring.as_slice(), keys.faults) {
        findings.problem(
            value.at(),
            format!("`{}` holds no key: no signature could be verified", table.name_of("public")),
            MISSING_HINT,
        );
    }
    table.finish(findings);
    let download = download.map(|value| download::read(&value, outside, findings));
    let (Expect { mchids, appids }, api_v3) = (expect, api_v3?);
    let download = match download {
        Some(found) => {
            let download::Found { merchant, url, every, min_interval, cache } = found?;
            let (api_v3, trusted) = (api_v3.clone(), keys.ring.clone());
            Some(keyring::Settings { merchant, api_v3, trusted, url, every, min_interval, cache })
        }
        None => None,
    };
    let downloaded = SharedKeys::default();
    let pay = pay_v3::Settings { window, verifying_keys: keys.ring, downloaded, api_v3, mchids, appids };
    Some((pay, download))
}

/// Reads the keys of `pay-v2`.
pub(super) fn pay_v2(
    value: &Value<'_>,
    expect: Expect,
    sign_type: pay_v2::SignType,
    max_age: Option<Duration>,
    outside: &mut Outside<'_>,
    findings: &mut Findings<'_>,
) -> Option<pay_v2::Settings> {
    let mut table = value.table(findings, MISSING_V2_HINT)?;
    let api_v2 = table.require("api_v2", findings, MISSING_V2_HINT);
    let api_v2 = api_v2.map(|v| secrets(&v, ApiV2Key::new, API_V2_HINT, outside, findings));
    table.finish(findings);
    let Expect { mchids, appids } = expect;
    Some(pay_v2::Settings { api_v2: api_v2?, sign_type, mchids, appids, max_age })
}

/// One secret key of WeChat's, or several while it rotates.
pub(super) fn secrets<K>(
    value: &Value<'_>,
    parse: fn(&Secret) -> Result<K, KeyError>,
    hint: &str,
    outside: &mut Outside<'_>,
    findings: &mut Findings<'_>,
) -> Vec<K> {
    let mut keys = Vec::new();
    for (secret, at) in outside.secrets(value, findings) {
        match parse(&secret) {
            Ok(key) => keys.push(key),
            Err(error) => findings.problem(&at, format!("`{}`: {error}", value.name()), hint),
        }
    }
    keys
}

/// The keys of an endpoint as they are found, each id once.
struct Keys {
    ring: Vec<VerifyingKey>,
    faults: usize,
}

impl Keys {
    fn add(&mut self, key: Option<VerifyingKey>, item: &Value<'_>, now: UnixTime, findings: &mut Findings<'_>) {
        let Some(key) = key else {
            self.faults = self.faults.saturating_add(1);
            return;
        };
        if self.ring.iter().any(|known| known.id().eq_ignore_ascii_case(key.id())) {
            let message = format!("`{}` holds the key {} a second time", item.name(), quoted(key.id()));
            findings.problem(item.at(), message, "a serial or id names one key: remove the other");
        }
        warn_of_expiry(&key, item, now, findings);
        self.ring.push(key);
    }
}

fn public_key(table: &mut Table<'_>, outside: &mut Outside<'_>, findings: &mut Findings<'_>) -> Option<VerifyingKey> {
    let id_hint = "the id stands beside the key on WeChat's merchant platform: \"PUB_KEY_ID_…\"";
    let id = table.require("id", findings, id_hint);
    let file = table.require("file", findings, "the key as it was downloaded: \"keys/wechatpay_pub.pem\"");
    let id = id?.parsed(findings, "the id of a public key", id_hint, |id| (!id.is_empty()).then_some(id));
    let file = file?;
    let pem = outside.text(&file, findings)?;
    parsed(VerifyingKey::from_public_key_pem(id?, &pem), &file, findings)
}

fn certificate(file: &Value<'_>, outside: &mut Outside<'_>, findings: &mut Findings<'_>) -> Option<VerifyingKey> {
    let pem = outside.text(file, findings)?;
    parsed(VerifyingKey::from_certificate_pem(&pem), file, findings)
}

fn parsed(key: Result<VerifyingKey, KeyError>, file: &Value<'_>, findings: &mut Findings<'_>) -> Option<VerifyingKey> {
    key.map_err(|error| {
        let message = format!("`{}` {}: {error}", file.name(), quoted(file.as_str().unwrap_or_default()));
        findings.problem(file.at(), message, "docs/configuration.md says which file of WeChat's is which");
    })
    .ok()
}

fn warn_of_expiry(key: &VerifyingKey, item: &Value<'_>, now: UnixTime, findings: &mut Findings<'_>) {
    let Some(end) = key.not_after().filter(|end| *end <= now.plus(EXPIRES_SOON)) else { return };
    let day = super::day(end);
    let id = key.id();
    let message = if end <= now {
        format!("the certificate {id} expired on {day}")
    } else {
        format!("the certificate {id} expires on {day}")
    };
    let hint = "get the next one from WeChat's merchant platform and name both, or change to WeChat's public key, which does not expire";
    findings.warning(item.at(), message, hint);
}
