//! Endpoints of message push and WeCom: tokens and EncodingAESKeys, the mode, and for whom messages have to be.

use std::time::Duration;

use super::document::{Table, Value};
use super::keys;
use super::problem::Findings;
use super::reference::Outside;
use crate::gate::endpoint::ProtocolSettings;
use crate::wechat::key::{EncodingAesKey, Token};
use crate::wechat::message::{self, Mode};
use crate::wechat::wecom;

pub(super) const MISSING_HINT: &str = "message push takes `keys.token` and `keys.aes`: keys.token = { env = \"PUSH_TOKEN\" }, \
    keys.aes = { env = \"PUSH_AES_KEY\" }";
const TOKEN_HINT: &str = "the token (令牌) is the one that was typed into WeChat's console, 3 to 32 letters and digits";
const AES_HINT: &str = "the EncodingAESKey (消息加解密密钥) stands in WeChat's console, 43 letters and digits";
const MODE_HINT: &str =
    "as in WeChat's console: \"safe\" (安全模式), \"compatible\" (兼容模式) or \"plain\" (明文模式)";
const SINGLE_USE_HINT: &str = "true or false; in plain mode it has to be true";
/// Longest id at the end of a message, in bytes.
const MAX_ID: usize = 64;

/// Whose pushes an endpoint takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// `message`
    Message,
    /// `open-platform`
    OpenPlatform,
    /// `wecom`
    WeCom,
}

/// Reads what an endpoint of `family` needs.
pub(super) fn settings(
    family: Family,
    table: &mut Table<'_>,
    (keys, expect): (Option<Value<'_>>, Option<Value<'_>>),
    window: Duration,
    outside: &mut Outside<'_>,
    findings: &mut Findings<'_>,
) -> Option<ProtocolSettings> {
    let mode = if family == Family::Message { mode(table, findings) } else { Some(Mode::Safe) };
    let is_plain = mode == Some(Mode::Plain);
    let single_use = single_use(table, family, is_plain, findings);
    let secrets = keys.and_then(|keys| read_keys(&keys, is_plain, outside, findings));
    let ids = if is_plain && expect.is_none() { Some(Vec::new()) } else { ids(family, table, expect, findings) };
    let ((tokens, aes), ids, single_use) = (secrets?, ids?, single_use?);
    Some(match family {
        Family::WeCom => ProtocolSettings::WeCom(wecom::Settings { window, tokens, aes, single_use, receive_ids: ids }),
        Family::Message | Family::OpenPlatform => ProtocolSettings::Message(message::Settings {
            window,
            tokens,
            aes,
            mode: mode?,
            single_use,
            appids: ids,
            is_open_platform: family == Family::OpenPlatform,
        }),
    })
}

fn mode(table: &mut Table<'_>, findings: &mut Findings<'_>) -> Option<Mode> {
    let value = table.require("mode", findings, MODE_HINT)?;
    let choices = [("safe", Mode::Safe), ("compatible", Mode::Compatible), ("plain", Mode::Plain)];
    let mode = value.choice(findings, &choices);
    if mode == Some(Mode::Plain) {
        let message =
            format!("`{}` \"plain\" authenticates no body: whoever sees one query can write any", value.name());
        findings.warning(value.at(), message, "set safe mode (安全模式) in WeChat's console, and `keys.aes`");
    }
    mode
}

/// Of an encrypted message the identity is enough, and whether an official account's retry is signed afresh is documented
/// nowhere; WeCom promises that nonces do not repeat (protocol 4).
fn single_use(table: &mut Table<'_>, family: Family, is_plain: bool, findings: &mut Findings<'_>) -> Option<bool> {
    let Some(value) = table.take("single_use") else { return Some(is_plain || family == Family::WeCom) };
    let single_use = value.flag(findings, SINGLE_USE_HINT)?;
    if is_plain && !single_use {
        let message = format!("`{}` is false in plain mode, where nothing else is against a replay", value.name());
        findings.problem(value.at(), message, "remove it, or set safe mode");
    }
    Some(single_use)
}

fn read_keys(
    value: &Value<'_>,
    is_plain: bool,
    outside: &mut Outside<'_>,
    findings: &mut Findings<'_>,
) -> Option<(Vec<Token>, Vec<EncodingAesKey>)> {
    let mut table = value.table(findings, MISSING_HINT)?;
    let tokens = table.require("token", findings, TOKEN_HINT);
    let tokens = tokens.map(|value| keys::secrets(&value, Token::new, TOKEN_HINT, outside, findings));
    let aes = if is_plain { table.take("aes") } else { table.require("aes", findings, AES_HINT) };
    let aes = aes.map(|value| keys::secrets(&value, EncodingAesKey::new, AES_HINT, outside, findings));
    table.finish(findings);
    if is_plain { Some((tokens?, aes.unwrap_or_default())) } else { Some((tokens?, aes?)) }
}

/// The ids that messages may end with. There is no default: a token and key that two accounts share would let each speak
/// for the other.
fn ids(
    family: Family,
    endpoint: &Table<'_>,
    expect: Option<Value<'_>>,
    findings: &mut Findings<'_>,
) -> Option<Vec<String>> {
    let (key, what, hint) = match family {
        Family::Message => {
            ("appid", "an app id", "the account's app id: expect = { appid = [\"wxd678efh567hg6787\"] }")
        }
        Family::OpenPlatform => (
            "appid",
            "an app id",
            "the app id of the platform itself (component), not of an account: expect = { appid = [\"wx134c8103faa5a59e\"] }",
        ),
        Family::WeCom => (
            "receive_id",
            "a corp id or suite id",
            "the corp id, of a suite's command URL the suite id, of a bot \"\"; never the agent id: expect = { receive_id = [\"ww1436e0e65a779aee\"] }",
        ),
    };
    let Some(expect) = expect else {
        let message = format!("`{}` is missing: nobody would be expected", endpoint.name_of("expect"));
        findings.problem(endpoint.at(), message, hint);
        return None;
    };
    let mut table = expect.table(findings, hint)?;
    let listed = table.require(key, findings, hint);
    table.finish(findings);
    let listed = listed?;
    let is_id = |text: &str| {
        (!text.is_empty() || family == Family::WeCom)
            && text.len() <= MAX_ID
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let items = listed.one_or_more();
    if items.is_empty() {
        findings.problem(listed.at(), format!("`{}` is empty: nobody would be expected", listed.name()), hint);
    }
    Some(items.iter().filter_map(|v| v.parsed(findings, what, hint, |id| is_id(id).then(|| id.to_owned()))).collect())
}
