//! Endpoints of message push and WeCom.

use super::*;
use crate::wechat::message::Mode;

/// The shortest endpoint of message push.
pub(super) const SHORT: &str = r#"[endpoint.push]
path = "/push"
protocol = "message"
mode = "safe"
keys.token = { file = "keys/push.token" }
keys.aes = { file = "keys/push.aes" }
expect = { appid = ["wxd678efh567hg6787"] }
[endpoint.push.upstream]
url = ["http://127.0.0.1:9000/events"]
signing = { file = "keys/signing.key" }
"#;

/// The shortest endpoint of WeCom.
pub(super) const WECOM: &str = r#"[endpoint.push]
path = "/push"
protocol = "wecom"
keys.token = { file = "keys/push.token" }
keys.aes = { file = "keys/push.aes" }
expect = { receive_id = ["ww1436e0e65a779aee"] }
[endpoint.push.upstream]
url = ["http://127.0.0.1:9000/events"]
signing = { file = "keys/signing.key" }
"#;

fn push_site() -> TempDir {
    let site = site();
    for (name, secret) in [("push.token", "PushToken\n"), ("push.aes", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG\n")]
    {
        fs::write(site.path().join("keys").join(name), secret).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(site.path().join("keys").join(name), mode).unwrap();
    }
    site
}

fn warnings(text: &str) -> Vec<String> {
    let examined = examined(&push_site(), text);
    assert!(examined.outcome.is_ok(), "{text}");
    examined.warnings.iter().map(ToString::to_string).collect()
}

fn protocol(text: &str) -> ProtocolSettings {
    config(&push_site(), text).endpoints.into_iter().next().unwrap().protocol
}

#[test]
fn an_account_a_platform_and_a_corp_are_configured_each_by_its_own_ids() {
    let ProtocolSettings::Message(push) = protocol(SHORT) else { panic!("another protocol") };
    assert_eq!((push.mode, push.single_use, push.is_open_platform), (Mode::Safe, false, false));
    assert_eq!((push.tokens.len(), push.aes.len(), push.appids), (1, 1, vec!["wxd678efh567hg6787".to_owned()]));
    let platform = SHORT.replace("\"message\"\nmode = \"safe\"", "\"open-platform\"");
    let ProtocolSettings::Message(push) = protocol(&platform) else { panic!("another protocol") };
    assert!(push.is_open_platform);
    let ProtocolSettings::WeCom(push) = protocol(WECOM) else { panic!("another protocol") };
    assert_eq!((push.single_use, push.receive_ids), (true, vec!["ww1436e0e65a779aee".to_owned()]));
    let bot = WECOM.replace("[\"ww1436e0e65a779aee\"]", "\"\"");
    let ProtocolSettings::WeCom(push) = protocol(&bot) else { panic!("another protocol") };
    assert_eq!(push.receive_ids, [""]);
    assert!(warnings(SHORT).is_empty() && warnings(WECOM).is_empty());
}

#[test]
fn tokens_and_keys_may_be_several_while_they_rotate() {
    let text =
        SHORT.replace("{ file = \"keys/push.aes\" }", "[{ file = \"keys/push.aes\" }, { file = \"keys/push.aes\" }]");
    let ProtocolSettings::Message(push) = protocol(&text) else { panic!("another protocol") };
    assert_eq!(push.aes.len(), 2);
}

#[test]
fn plain_mode_is_chosen_not_fallen_into_and_warned_of() {
    refuses(&push_site(), &SHORT.replace("mode = \"safe\"\n", ""), 1, "`endpoint.push.mode` is missing");
    let plain = SHORT.replace("\"safe\"", "\"plain\"").replace("keys.aes = { file = \"keys/push.aes\" }\n", "");
    let warned = warnings(&plain);
    assert!(warned.len() == 1 && warned[0].contains("authenticates no body"), "{warned:?}");
    let ProtocolSettings::Message(push) = protocol(&plain) else { panic!("another protocol") };
    assert_eq!((push.mode, push.single_use, push.aes.len()), (Mode::Plain, true, 0));
    refuses(&push_site(), &plain.replace("mode", "single_use = false\nmode"), 4, "nothing else is against a replay");
}

#[test]
fn what_is_missing_or_malformed_is_said_with_its_remedy() {
    let site = push_site();
    refuses(&site, &SHORT.replace("keys.aes = { file = \"keys/push.aes\" }\n", ""), 5, "43 letters and digits");
    refuses(
        &site,
        &SHORT.replace("keys/push.aes", "keys/push.token"),
        6,
        "exactly 43 letters and digits, this one has 9",
    );
    refuses(
        &site,
        &SHORT.replace("keys/push.token", "keys/push.aes"),
        5,
        "3 to 32 letters and digits, this one has 43",
    );
    refuses(
        &site,
        &SHORT.replace("expect = { appid = [\"wxd678efh567hg6787\"] }\n", ""),
        1,
        "`endpoint.push.expect` is missing",
    );
    refuses(&site, &SHORT.replace("[\"wxd678efh567hg6787\"]", "[]"), 7, "nobody would be expected");
    refuses(&site, &SHORT.replace("wxd678efh567hg6787", ""), 7, "an app id");
    for (text, words) in [
        (SHORT.replace("appid =", "receive_id ="), "unknown key `receive_id`, expected one of `appid`"),
        (WECOM.replace("receive_id =", "appid ="), "unknown key `appid`, expected one of `receive_id`"),
    ] {
        assert!(problems(&site, &text).iter().any(|problem| problem.message == words), "{words}");
    }
    refuses(&site, &WECOM.replace("keys.token", "mode = \"plain\"\nkeys.token"), 4, "unknown key `mode`");
    refuses(&site, &SHORT.replace("mode", "single_use = 1\nmode"), 4, "true or false");
}

#[test]
fn an_app_id_in_the_path_is_for_open_platforms_and_leads_to_one_endpoint() {
    let site = push_site();
    let messages = SHORT
        .replace("\"message\"\nmode = \"safe\"", "\"open-platform\"")
        .replace("\"/push\"", "\"/open/{appid}/callback\"");
    assert_eq!(config(&site, &messages).endpoints[0].path.to_string(), "/open/{appid}/callback");
    let elsewhere = SHORT.replace("\"/push\"", "\"/push/{appid}\"");
    refuses(&site, &elsewhere, 2, "`endpoint.push.path` has an `{appid}`, which only open platforms have");
    refuses(&site, &WECOM.replace("\"/push\"", "\"/{appid}\""), 2, "which only open platforms have");
    for path in ["/open/wx{appid}", "/open/{mchid}", "/{appid}/{appid}", "/open/{appid"] {
        refuses(&site, &messages.replace("/open/{appid}/callback", path), 2, "one whole segment");
    }
    refuses(&site, &messages.replace("/open/{appid}", "open/{appid}"), 2, "a path");

    let beside = |path: &str, more: &str| {
        let second = messages.replace("endpoint.push", "endpoint.second").replace("/open/{appid}/callback", path);
        format!("{messages}{}", second.replace("protocol", &format!("{more}protocol")))
    };
    assert_eq!(config(&site, &beside("/open/auth", "")).endpoints.len(), 2);
    assert_eq!(config(&site, &beside("/open/auth/callback", "")).endpoints.len(), 2, "the exact one stands before");
    assert_eq!(config(&site, &beside("/open/{appid}/callback", "host = \"a.example\"\n")).endpoints.len(), 2);
    refuses(&site, &beside("/open/{appid}/callback", ""), 11, "is the path of endpoint `push` already");
    refuses(&site, &beside("/open/auth/{appid}", ""), 11, "have paths in common");
}
