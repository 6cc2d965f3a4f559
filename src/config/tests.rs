//! The checks as a user meets them: a file in a directory, and what is said about it.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::observe::AuditTarget;
use crate::store::EngineSettings;
use crate::wechat::key::VerifyingKey;
use crate::wechat::pay_v2::SignType;
use gate::endpoint::ProtocolSettings;

mod push;
mod redis;

const DOCS: &str = include_str!("../../docs/configuration.md");
/// The 25 bytes that no message may ever repeat.
const SECRET: &str = "S3cr3t-that-nobody-is-told";
const APIV3_KEY: &str = "2C32Q05S84BwUzHV8BtfWgn4okEQxz0n";

/// A directory with the files that the example of the documentation names.
fn site() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    fs::create_dir(&keys).unwrap();
    let vectors: serde_json::Value = serde_json::from_str(include_str!("../../tests/vectors/pay_v3.json")).unwrap();
    let verifiers = |kind: &'static str, field: &'static str| {
        let all = vectors.as_array().unwrap().iter().flat_map(|v| v["keys"]["verifiers"].as_array().unwrap());
        all.filter(|v| v["kind"] == kind).find_map(|v| v[field].as_str()).unwrap().to_owned()
    };
    fs::write(keys.join("wechatpay_cert.pem"), verifiers("platform-cert", "cert_pem")).unwrap();
    fs::write(keys.join("pub_key.pem"), verifiers("public-key", "public_key_pem")).unwrap();
    for (name, secret) in [
        ("apiclient_key.pem", include_str!("../sim/keys/apiclient_key.pem").to_owned()),
        ("apiv3.key", format!("{APIV3_KEY}\n")),
        ("admin.token", SECRET.to_owned()),
        ("seal.key", "5a".repeat(32)),
        ("signing.key", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned()),
    ] {
        fs::write(keys.join(name), secret).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(keys.join(name), mode).unwrap();
    }
    dir
}

/// The example of the documentation: every key once.
fn example() -> String {
    let (_, from) = DOCS.split_once("```toml\n").unwrap();
    from.split_once("```").unwrap().0.to_owned()
}

/// What `keys.download` needs.
const WHO: &str = "mchid = \"1900009191\", serial = \"5157F09EFDC096DE15EBE81A47057A7232F1B8E1\", private_key = { file = \"keys/apiclient_key.pem\" }";

/// The shortest configuration that is whole.
const SHORT: &str = r#"[endpoint.pay]
path = "/notify"
protocol = "pay-v3"
keys.api_v3 = { file = "keys/apiv3.key" }
keys.certificates = ["keys/wechatpay_cert.pem"]
[endpoint.pay.upstream]
url = ["http://127.0.0.1:9000/events"]
"#;

/// The same for WeChat Pay v2.
const SHORT_V2: &str = r#"[endpoint.pay]
path = "/notify"
protocol = "pay-v2"
sign_type = "MD5"
keys.api_v2 = { file = "keys/apiv3.key" }
[endpoint.pay.upstream]
url = ["http://127.0.0.1:9000/events"]
"#;

fn examined(site: &TempDir, text: &str) -> Examined {
    let path = site.path().join("wxgate.toml");
    fs::write(&path, text).unwrap();
    examine(&path)
}

fn config(site: &TempDir, text: &str) -> Config {
    examined(site, text).outcome.unwrap_or_else(|problems| panic!("{problems}\nin\n{text}"))
}

fn problems(site: &TempDir, text: &str) -> Vec<Problem> {
    match examined(site, text).outcome {
        Ok(_) => panic!("this was accepted:\n{text}"),
        Err(problems) => problems.iter().cloned().collect(),
    }
}

/// Line, and words of the message or hint, of the only problem.
#[track_caller]
fn refuses(site: &TempDir, text: &str, line: usize, words: &str) {
    let problems = problems(site, text);
    let [problem] = problems.as_slice() else { panic!("{problems:#?}") };
    assert_eq!(problem.place.unwrap().line, line, "{problem}");
    assert!(problem.to_string().contains(words), "{problem}");
}

/// Puts `lines` into the short configuration, at the top of the endpoint (line 2) or of its upstream (line 7).
fn in_endpoint(lines: &str) -> String {
    SHORT.replacen("[endpoint.pay]\n", &format!("[endpoint.pay]\n{lines}\n"), 1)
}

fn in_upstream(lines: &str) -> String {
    format!("{SHORT}{lines}\n")
}

#[test]
fn the_documented_example_is_read_as_it_says() {
    let site = site();
    let Config { server, admin, store, audit, endpoints } = config(&site, &example());
    assert_eq!(server.listen, ["0.0.0.0:8080".parse().unwrap()]);
    assert_eq!((server.max_body, server.threads), (1 << 20, 0));
    assert_eq!(server.trusted_proxies, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(admin.unwrap().token.unwrap().expose(), SECRET.as_bytes());
    assert_eq!(store.engine, EngineSettings::File(site.path().join("wxgate.db")));
    assert_eq!(store.retention, Duration::from_hours(72));
    assert_eq!(store.seal_keys[0].len(), 32);
    assert_eq!(audit.target, AuditTarget::File(site.path().join("audit.ndjson")));
    let [endpoint] = endpoints.as_slice() else { panic!() };
    assert_eq!((&*endpoint.name, endpoint.path.to_string().as_str()), ("shop-pay", "/notify/shop-pay"));
    assert_eq!(endpoint.host.as_deref(), Some("pay.example.com"));
    assert_eq!(endpoint.limits.failures_per_ip.unwrap().per, Duration::from_mins(1));
    assert_eq!(endpoint.upstream.urls, ["http://127.0.0.1:9000/events"]);
    assert_eq!(endpoint.upstream.signing[0].len(), 24, "decoded");
    let ProtocolSettings::PayV3(pay) = &endpoint.protocol else { panic!() };
    let ids: Vec<_> = pay.verifying_keys.iter().map(VerifyingKey::id).map(|id| &**id).collect();
    assert_eq!(ids, ["PUB_KEY_ID_0133398532727063893573334618008330", "72A4C2558D72EF0E12648FD52893F68AD6BB7A7A"]);
    assert_eq!(pay.mchids, ["1900009191"]);
}

#[test]
fn trade_types_are_words_of_wechats_and_of_payments_alone() {
    let site = site();
    let of = |lines: &str| config(&site, &in_endpoint(lines)).endpoints.remove(0).trade_types;
    assert_eq!(of(""), None);
    assert_eq!(of("trade_types = [\"NATIVE\", \"JSAPI\"]").unwrap(), ["NATIVE", "JSAPI"]);
    assert_eq!(of("trade_types = \"APP\"").unwrap(), ["APP"]);
    refuses(&site, &in_endpoint("trade_types = [\"NATVE\"]"), 2, "JSAPI, NATIVE, APP, MWEB, MICROPAY, FACEPAY");
    refuses(&site, &in_endpoint("trade_types = []"), 2, "no payment could be by any of it");
    let push = push::SHORT.replace("mode", "trade_types = [\"APP\"]\nmode");
    let told: Vec<String> = problems(&site, &push).iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|problem| problem.contains("only payments have a trade type")), "{told:#?}");
}

#[test]
fn a_download_is_enough_of_a_key_and_is_kept_beside_the_store() {
    let site = site();
    let download = |more: &str| {
        SHORT
            .replace("keys.certificates = [\"keys/wechatpay_cert.pem\"]", &format!("keys.download = {{ {WHO}{more} }}"))
    };
    let found = config(&site, &download("")).endpoints.remove(0).download.unwrap();
    assert_eq!(found.url, "https://api.mch.weixin.qq.com/v3/certificates");
    assert_eq!(found.cache.unwrap(), site.path().join("wxgate.db.keys/1900009191.certificates"));
    assert_eq!((found.trusted.len(), found.api_v3.len()), (0, 1));
    let elsewhere = config(&site, &download(", cache = \"c/k\"")).endpoints.remove(0).download.unwrap();
    assert_eq!(elsewhere.cache.unwrap(), site.path().join("c/k"));
    let memory = format!("[store]\nurl = \"memory:\"\n{}", download(""));
    assert_eq!(config(&site, &memory).endpoints.remove(0).download.unwrap().cache, None);
    for (url, path) in [
        ("https://apihk.mch.weixin.qq.com/v3/global/certificates", "/v3/global/certificates"),
        ("http://127.0.0.1:9700", "/v3/certificates"),
        ("http://[::1]:9700/", "/v3/certificates"),
        ("http://localhost:9700", "/v3/certificates"),
    ] {
        let found = config(&site, &download(&format!(", url = \"{url}\""))).endpoints.remove(0).download.unwrap();
        assert_eq!(found.url.path(), path, "{url}");
    }
    for url in [
        "http://api.mch.weixin.qq.com",
        "http://10.0.0.1",
        "ftp://127.0.0.1",
        "https://",
        "https://a@b",
        "https://a:0",
        "a",
    ] {
        refuses(&site, &download(&format!(", url = \"{url}\"")), 5, "an https:// URL");
    }
    for (from, to, words) in [
        ("5157F0", "51:57:F0", "in hex"),
        ("1900009191", "wx1", "a merchant number"),
        ("apiclient_key.pem", "pub_key.pem", "no RSA private key"),
        ("apiclient_key.pem", "absent.pem", "cannot be read"),
    ] {
        refuses(&site, &download("").replace(from, to), 5, words);
    }
    refuses(&site, &download(", every = \"1s\""), 5, "a duration from 10m to 1d");
}

#[test]
fn a_short_file_is_enough_and_starts_with_what_the_documentation_calls_default() {
    let site = site();
    let config = config(&site, SHORT);
    assert!(config.admin.is_none());
    assert_eq!(config.endpoints[0].upstream.timeout, Duration::from_secs(4));
    let said = |config: &Config| {
        let Config { server, admin, store, audit, endpoints } = config;
        let endpoint = &endpoints[0];
        format!(
            "{server:?}{admin:?}{store:?}{audit:?}{:?}{:?}{:?}{:?}",
            endpoint.limits, endpoint.upstream, endpoint.queue, endpoint.window
        )
    };
    for (section, key, default) in documented() {
        if !default.starts_with('`') {
            continue;
        }
        let line = format!("{key} = {}", default.trim_matches('`'));
        let text = match section.as_str() {
            "[store]" if redis::KEYS.contains(&key.as_str()) => {
                let [without, with] =
                    ["", &line].map(|line| self::config(&site, &redis::store("redis://10.0.0.1", line)));
                assert_eq!(said(&without), said(&with), "{line}");
                continue;
            }
            "[server]" | "[store]" | "[audit]" => format!("{section}\n{line}\n{SHORT}"),
            "[endpoint.NAME]" => in_endpoint(&line),
            "upstream" => in_upstream(&line),
            "queue" => in_endpoint(&format!("queue = {{ {line} }}")),
            "[admin]" => {
                let [without, with] = ["", &line].map(|line| format!("[admin]\n{line}\n{SHORT}"));
                assert_eq!(said(&self::config(&site, &without)), said(&self::config(&site, &with)), "{line}");
                continue;
            }
            "limits" if key == "ban" => {
                let failures = "failures_per_ip = \"20/m\"";
                let [without, with] =
                    [format!("limits = {{ {failures} }}"), format!("limits = {{ {failures}, {line} }}")];
                let [without, with] = [without, with].map(|limits| self::config(&site, &in_endpoint(&limits)));
                assert_eq!(said(&without), said(&with), "{line}");
                continue;
            }
            "limits" => in_endpoint(&format!("limits = {{ {line} }}")),
            "keys.download" => {
                let of = |more: &str| {
                    let text = in_endpoint(&format!("keys.download = {{ {WHO}{more} }}"));
                    self::config(&site, &text).endpoints.remove(0).download.unwrap()
                };
                assert_eq!(of(""), of(&format!(", {line}")), "{line}");
                continue;
            }
            // Lists of keys: their default is the empty one, which another test shows.
            "keys" | "expect" => continue,
            other => panic!("{other}: {key} has a default that nothing compares"),
        };
        assert_eq!(said(&config), said(&self::config(&site, &text)), "{line}");
    }
}

/// Section, key and default of every row of the documentation's tables of keys.
fn documented() -> Vec<(String, String, String)> {
    let mut rows = Vec::new();
    for section in DOCS.split("\n## ").skip(1) {
        let (title, text) = section.split_once('\n').unwrap();
        let Some((_, table)) = text.split_once("| key | type | default | meaning |\n|---|---|---|---|\n") else {
            continue;
        };
        for row in table.lines().take_while(|line| line.starts_with('|')) {
            let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
            assert_eq!(cells.len(), 4, "{row}");
            let key = cells[0].trim_matches('`').to_owned();
            rows.push((title.trim_matches('`').to_owned(), key, cells[2].to_owned()));
        }
    }
    rows
}

#[test]
fn every_key_that_is_known_is_documented_and_every_documented_key_is_known() {
    let site = site();
    // An unknown key names the known ones: what the code says is what it takes.
    let unknown = "zzz = 1";
    let texts = [
        ("[server]", format!("[server]\n{unknown}\n{SHORT}")),
        ("[admin]", format!("[admin]\n{unknown}\n{SHORT}")),
        ("[store]", format!("[store]\n{unknown}\n{SHORT}")),
        ("[audit]", format!("[audit]\n{unknown}\n{SHORT}")),
        ("[rules]", format!("[rules]\n{unknown}\n{SHORT}")),
        ("[endpoint.NAME]", in_endpoint(unknown)),
        ("[endpoint.NAME]", SHORT_V2.replace("sign_type", &format!("{unknown}\nsign_type"))),
        ("[endpoint.NAME]", push::SHORT.replace("mode", &format!("{unknown}\nmode"))),
        ("keys", push::SHORT.replace("mode", &format!("keys.{unknown}\nmode"))),
        ("expect", push::WECOM.replace("receive_id =", &format!("{unknown}, receive_id ="))),
        ("limits", in_endpoint(&format!("limits = {{ {unknown} }}"))),
        ("keys", in_endpoint(&format!("keys.{unknown}"))),
        ("keys", SHORT_V2.replace("keys.", &format!("keys.{unknown}\nkeys."))),
        (
            "keys.public",
            SHORT.replace(
                "keys.cert",
                "keys.public = [{ id = \"PUB_KEY_ID_1\", file = \"keys/pub_key.pem\", zzz = 1 }]\nkeys.cert",
            ),
        ),
        ("queue", in_endpoint(&format!("queue = {{ {unknown} }}"))),
        ("keys.download", in_endpoint(&format!("keys.download = {{ {unknown} }}"))),
        ("expect", in_endpoint(&format!("expect = {{ {unknown} }}"))),
        ("upstream", in_upstream(unknown)),
        ("Secrets", SHORT.replace("apiv3.key\"", "apiv3.key\", zzz = 1")),
    ];
    let mut known = BTreeSet::new();
    for (section, text) in texts {
        let problems = problems(&site, &text);
        let problem = problems
            .iter()
            .find(|p| p.message.starts_with("unknown key `zzz`"))
            .unwrap_or_else(|| panic!("{section}: {problems:#?}"));
        let (_, names) = problem.message.split_once("expected one of ").unwrap();
        known.extend(names.split(", ").map(|name| (section.to_owned(), name.trim_matches('`').to_owned())));
    }
    let documented: BTreeSet<_> = documented().into_iter().map(|(section, key, _)| (section, key)).collect();
    assert_eq!(known, documented);
}

/// Offsets and lengths of the keys of `text`: what stands before `=`, and the parts of headers.
fn keys_of(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut keys = Vec::new();
    let mut start = None;
    let mut in_string = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => in_string = !in_string,
            _ if in_string => {}
            'a'..='z' | '0'..='9' | '_' | '-' => {
                start.get_or_insert(at);
                continue;
            }
            '=' | '.' | ']' | ' ' if start.is_some() => {
                let key = start.unwrap()..at;
                let is_key = c == '.' || c == ']' || text[at..].trim_start_matches(' ').starts_with('=');
                if is_key && text[key.clone()].starts_with(|c: char| c.is_ascii_lowercase()) {
                    keys.push(key);
                }
            }
            _ => {}
        }
        start = None;
    }
    keys
}

#[test]
fn any_key_renamed_is_a_problem_of_its_line() {
    let site = site();
    let text = example();
    let keys = keys_of(&text);
    assert!(keys.len() > 45, "{}", keys.len());
    for key in keys {
        let mut renamed = text.clone();
        renamed.insert(key.end, 'x');
        let line = text[..key.start].lines().count().max(1);
        let line = if text[..key.start].ends_with('\n') { line + 1 } else { line };
        let problems = problems(&site, &renamed);
        assert!(problems.iter().any(|p| p.place.unwrap().line == line), "{}: {problems:#?}", &text[key]);
    }
}

#[test]
fn any_value_of_another_type_is_a_problem_of_its_line() {
    let site = site();
    for (number, line) in example().lines().enumerate() {
        let Some((key, _)) = line.split_once(" = ") else { continue };
        let text: String = example()
            .lines()
            .enumerate()
            .map(|(n, l)| if n == number { format!("{key} = 1979-05-27\n") } else { format!("{l}\n") })
            .collect();
        let problems = problems(&site, &text);
        assert!(problems.iter().any(|p| p.place.unwrap().line == number + 1), "{line}: {problems:#?}");
    }
}

#[test]
fn everything_is_said_at_once_and_in_order() {
    let site = site();
    let text =
        "[server]\nlisten = [\"localhost:80\"]\nmax_body = \"1MB\"\nthreds = 1\n[endpoint.pay]\npath = \"notify\"\n";
    let problems = problems(&site, text);
    let lines: Vec<_> = problems.iter().map(|p| p.place.unwrap().line).collect();
    assert_eq!(lines, [2, 3, 4, 5, 5, 5, 6].as_slice(), "{problems:#?}");
    assert!(problems[2].hint.as_ref().unwrap().contains("`threads`"));
}

#[test]
fn text_that_is_no_toml_is_placed_and_an_absent_file_is_wrong_usage() {
    let site = site();
    let problems = problems(&site, "[server]\nlisten = \n[admin\n");
    assert_eq!(problems[0].place.unwrap().line, 2, "{problems:#?}");
    let absent = load(&site.path().join("absent.toml")).map(drop).unwrap_err();
    assert!(absent.is_unreadable());
    fs::write(site.path().join("latin1.toml"), b"# caf\xe9").unwrap();
    assert!(load(&site.path().join("latin1.toml")).map(drop).unwrap_err().is_unreadable());
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_repeated() {
    let site = site();
    let secret = SECRET;
    for text in [
        SHORT.replace("{ file = \"keys/apiv3.key\" }", &format!("\"{secret}\"")),
        SHORT.replace("{ file = \"keys/apiv3.key\" }", &format!("[\"{secret}\"]")),
        SHORT.replace("file = \"keys/apiv3.key\"", &format!("env = \"{secret}\"")),
        SHORT.replace("keys/apiv3.key", secret),
        SHORT.replace("file = \"keys/apiv3.key\"", &format!("value = \"{secret}\"")),
        SHORT.replace("keys.api_v3 =", &format!("keys.token = \"{secret}\"\nkeys.api_v3 =")),
        SHORT.replace("{ file = \"keys/apiv3.key\" }", secret),
        SHORT.replace("{ file = \"keys/apiv3.key\" }", &format!("\"{secret}")),
        SHORT.replace("http://127.0.0.1", &format!("http://user:{secret}@127.0.0.1")),
        in_upstream(&format!("signing = \"whsec_{secret}\"")),
        format!("[admin]\ntoken = \"{secret}\"\n{SHORT}"),
        format!("[store]\nurl = \"redis://:{secret}@127.0.0.1\"\n{SHORT}"),
        format!("[store]\nurl = \"postgres://:{secret}@127.0.0.1\"\n{SHORT}"),
    ] {
        let said = format!("{:?}", problems(&site, &text));
        assert!(!said.contains(secret), "{said}");
    }
    let text = SHORT.replace("file = \"keys/apiv3.key\"", &format!("env = \"{APIV3_KEY}\"").replace("2C3", "A2C"));
    let said = format!("{:?}", problems(&site, &text));
    assert!(!said.contains("BtfWgn4okEQxz0n"), "{said}");
}

#[test]
fn a_reference_that_leads_nowhere_says_where_it_led() {
    let site = site();
    let with = |reference: &str| SHORT.replace("{ file = \"keys/apiv3.key\" }", reference);
    refuses(&site, &with("{ env = \"WXGATE_TEST_NO_SUCH_VARIABLE\" }"), 4, "`WXGATE_TEST_NO_SUCH_VARIABLE` is not set");
    refuses(&site, &with("{ file = \"keys/absent.key\" }"), 4, "cannot be read: No such file");
    refuses(&site, &with("{ file = \"keys\" }"), 4, "not a regular file");
    refuses(&site, &with("{}"), 4, "exactly one");
    refuses(&site, &with("{ file = \"keys/apiv3.key\", env = \"HOME\" }"), 4, "exactly one");
    refuses(&site, &with("[]"), 4, "at least one");
    fs::write(site.path().join("keys/empty.key"), "\n").unwrap();
    refuses(&site, &with("{ file = \"keys/empty.key\" }"), 4, "empty");
    let several = with("[{ file = \"keys/apiv3.key\" }, { file = \"keys/apiv3.key\" }]");
    let ProtocolSettings::PayV3(pay) = &config(&site, &several).endpoints[0].protocol else { panic!() };
    assert_eq!(pay.api_v3.len(), 2);
}

#[test]
fn pay_v2_has_keys_and_an_algorithm_of_its_own() {
    let site = site();
    let ProtocolSettings::PayV2(pay) = &config(&site, SHORT_V2).endpoints[0].protocol else { panic!() };
    assert_eq!((pay.api_v2.len(), pay.sign_type, pay.max_age), (1, SignType::Md5, None));
    let warnings = examined(&site, SHORT_V2).warnings;
    assert!(warnings.iter().any(|warning| warning.to_string().contains("`endpoint.pay.max_age` is not set")));
    let aged = |age: &str| SHORT_V2.replace("sign_type", &format!("max_age = \"{age}\"\nsign_type"));
    let ProtocolSettings::PayV2(pay) = &config(&site, &aged("72h")).endpoints[0].protocol else { panic!() };
    assert_eq!(pay.max_age, Some(Duration::from_hours(72)));
    refuses(&site, &aged("73h"), 4, "longer than `store.retention`");
    refuses(&site, &aged("24h"), 4, "a duration from 25h to 90d");
    refuses(&site, &SHORT_V2.replace("sign_type = \"MD5\"\n", ""), 1, "`endpoint.pay.sign_type` is missing");
    refuses(&site, &SHORT_V2.replace("\"MD5\"", "\"md5\""), 4, "\"MD5\" or \"HMAC-SHA256\" or \"either\"");
    refuses(&site, &SHORT_V2.replace("sign_type", "window = \"5m\"\nsign_type"), 4, "says nothing about pay-v2");
    let problems = problems(&site, &SHORT_V2.replace("api_v2", "api_v3"));
    assert!(problems.iter().any(|p| p.hint.as_deref() == Some("did you mean `api_v2`?")), "{problems:#?}");
    fs::write(site.path().join("keys/apiv3.key"), "too short").unwrap();
    refuses(&site, SHORT_V2, 5, "an APIv2 key has exactly 32 letters and digits");
}

#[test]
fn key_files_of_the_wrong_kind_are_named() {
    let site = site();
    let certificates = |path: &str| SHORT.replace("keys/wechatpay_cert.pem", path);
    refuses(&site, &certificates("keys/absent.pem"), 5, "`keys/absent.pem` cannot be read");
    refuses(&site, &certificates("keys/pub_key.pem"), 5, "keys/pub_key.pem");
    fs::write(site.path().join("keys/cert.der"), [0x30, 0x82, 0xff]).unwrap();
    refuses(&site, &certificates("keys/cert.der"), 5, "not text");
    let twice = "keys/wechatpay_cert.pem\", \"keys/wechatpay_cert.pem";
    refuses(&site, &certificates(twice), 5, "a second time");
    refuses(
        &site,
        &SHORT.replace("keys.certificates = [\"keys/wechatpay_cert.pem\"]\n", ""),
        4,
        "no signature could be verified",
    );
    refuses(&site, &SHORT.replace("[\"keys/wechatpay_cert.pem\"]", "[]"), 5, "no key");
    fs::write(site.path().join("keys/apiv3.key"), "31 bytes, one less than it needs").unwrap();
    fs::write(site.path().join("keys/apiv3.key"), "short").unwrap();
    refuses(&site, SHORT, 4, "api_v3");
}

#[test]
fn numbers_outside_of_their_bounds_are_refused() {
    let site = site();
    refuses(&site, &in_upstream("timeout = \"5s\""), 8, "WeChat hangs up after 5 s");
    refuses(&site, &in_endpoint("window = \"2h\""), 2, "from 1s to 1h");
    refuses(&site, &format!("[store]\nretention = \"24h\"\n{SHORT}"), 2, "WeChat retries for 24 h 4 min");
    refuses(&site, &format!("[audit]\nkeep = 0\n{SHORT}"), 2, "from 1 to 10000");
    refuses(&site, &format!("[server]\nmax_connections = 0\n{SHORT}"), 2, "from 1 to 1000000");
    refuses(&site, &format!("[server]\nthreads = -1\n{SHORT}"), 2, "`-1`");
    refuses(&site, &format!("[server]\nmax_body = 1048576\n{SHORT}"), 2, "1MiB");
    refuses(&site, &in_endpoint("limits = { per_ip = \"0/s\" }"), 2, "100/s");
    fs::write(site.path().join("keys/short.key"), "5a".repeat(31)).unwrap();
    let seal = |keys: &str| format!("[store]\nseal_key = {keys}\n{SHORT}");
    refuses(&site, &seal("{ file = \"keys/short.key\" }"), 2, "62 characters, expected a key of 32 bytes");
    refuses(&site, &seal("[{ file = \"keys/seal.key\" }, { file = \"keys/seal.key\" }]"), 2, "the same key twice");
    refuses(&site, &in_endpoint("queue = { max_age = \"31d\" }"), 2, "from 1m to 30d");
    refuses(&site, &in_endpoint("queue = { concurrency = 0 }"), 2, "from 1 to 256");
    refuses(&site, &in_upstream("ack = \"after-stor\""), 8, "did you mean \"after-store\"?");
    refuses(&site, &in_endpoint("limits = { ban = \"1h\" }"), 2, "bans nobody");
}

#[test]
fn what_cannot_work_together_is_refused() {
    let site = site();
    let second = SHORT.replace("endpoint.pay", "endpoint.other");
    refuses(&site, &format!("{SHORT}{second}"), 9, "`/notify` is the path of endpoint `pay` already");
    let hosted = second.replace("path =", "host = \"pay.example.com\"\npath =");
    assert_eq!(config(&site, &format!("{SHORT}{hosted}")).endpoints.len(), 2);
    let shouted = hosted.replace("pay.example.com", "PAY.example.com").replace("endpoint.other", "endpoint.third");
    refuses(&site, &format!("{SHORT}{hosted}{shouted}"), 18, "endpoint `other`");

    refuses(&site, &format!("[admin]\nlisten = \"0.0.0.0:9900\"\n{SHORT}"), 2, "`admin.token` is missing");
    refuses(&site, &format!("[admin]\nlisten = \"127.0.0.1:8080\"\n{SHORT}"), 1, "taken by `server.listen`");
    refuses(&site, &format!("[server]\nlisten = [\"127.0.0.1:80\", \"127.0.0.1:80\"]\n{SHORT}"), 2, "twice");
    refuses(&site, &format!("[server]\nlisten = []\n{SHORT}"), 2, "at least one");
    refuses(&site, &format!("[server]\ntrusted_proxies = [\"0.0.0.0/0\"]\n{SHORT}"), 2, "every stranger");
    refuses(&site, &SHORT.replace("127.0.0.1:9000", "localhost:8080"), 7, "the gateway itself");
    fs::create_dir(site.path().join("wxgate.db")).unwrap();
    refuses(&site, &format!("[audit]\npath = \"wxgate.db/audit\"\n{SHORT}"), 1, "inside of the store");
    refuses(&site, &format!("[store]\nurl = \"file:wxgate.toml\"\n{SHORT}"), 2, "expected a directory");
    refuses(&site, "[server]\n", 1, "`endpoint` is missing");
    refuses(&site, "[endpoint]\n", 1, "no endpoint");
}

#[test]
fn what_this_version_does_not_do_is_refused_and_never_ignored() {
    let site = site();
    let not_supported = [
        (format!("[server]\ntls = {{ cert = \"a\", key = \"b\" }}\n{SHORT}"), 2),
        (format!("[server]\nproxy_protocol = true\n{SHORT}"), 2),
        (SHORT.replace("http://", "https://"), 7),
    ];
    for (text, line) in not_supported {
        refuses(&site, &text, line, "not supported by this version");
    }
    refuses(&site, &SHORT.replace("pay-v3", "payv3"), 3, "did you mean \"pay-v3\"?");
}

#[test]
fn paths_urls_and_names_have_a_form() {
    let site = site();
    for path in ["notify", "", "/a b", "/a?b=c", "/a#b", "/订单"] {
        refuses(&site, &SHORT.replace("\"/notify\"", &format!("\"{path}\"")), 2, "expected a path");
    }
    for url in [
        "127.0.0.1:9000",
        "http://",
        "http:///events",
        "http://a:0/",
        "http://a:99999/",
        "http://a/#x",
        "ftp://a/",
        "/events",
    ] {
        refuses(&site, &SHORT.replace("http://127.0.0.1:9000/events", url), 7, "expected an http:// URL");
    }
    for host in ["pay.example.com:443", "https://pay.example.com", "", "*.example.com"] {
        refuses(&site, &in_endpoint(&format!("host = \"{host}\"")), 2, "expected a host name");
    }
    refuses(
        &site,
        &SHORT.replace("endpoint.pay]", "endpoint.Pay]").replace("pay.up", "Pay.up"),
        1,
        "no name of an endpoint",
    );
    refuses(&site, &in_endpoint("expect = { mchid = [1900009191] }"), 2, "in quotes");
    fs::write(site.path().join("keys/plain.key"), "not a webhook secret").unwrap();
    refuses(&site, &in_upstream("signing = { file = \"keys/plain.key\" }"), 8, "whsec_");
}

#[test]
fn warnings_do_not_keep_it_from_starting() {
    let site = site();
    let path = site.path().join("keys/apiv3.key");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let Examined { outcome, warnings, .. } = examined(&site, &format!("[store]\nurl = \"memory:\"\n{SHORT}"));
    assert!(outcome.is_ok());
    let lines: Vec<_> = warnings.iter().map(|w| w.place.unwrap().line).collect();
    assert_eq!(lines, [2, 3, 6, 8], "memory, no expect, wide mode, no signing: {warnings:#?}");
    let Examined { warnings, .. } = examined(&site, &example());
    assert!(warnings.iter().all(|w| w.message.contains("mode 0644")), "{warnings:#?}");
}

#[test]
fn certificates_are_warned_of_thirty_days_before_they_end() {
    let site = site();
    let at = |day: &str| {
        let now = UnixTime::from_secs(day.parse::<jiff::Timestamp>().unwrap().as_second());
        let mut outside = Outside { directory: site.path(), files: Files::default(), now };
        let (outcome, warnings) = check(Path::new("wxgate.toml"), &example(), &mut outside);
        assert!(outcome.is_ok());
        warnings.iter().filter(|w| w.message.contains("certificate")).map(ToString::to_string).collect::<String>()
    };
    // The certificate of the vectors ends on 2034-01-01.
    assert_eq!(at("2033-11-01T00:00:00Z"), "");
    let soon = at("2033-12-10T00:00:00Z");
    assert!(soon.starts_with("wxgate.toml:40:22: the certificate 72A4C2558D72EF0E"), "{soon}");
    assert!(soon.contains("expires on 2034-01-01"), "{soon}");
    assert!(at("2035-01-01T00:00:00Z").contains("expired on"));
}

#[test]
fn every_file_that_was_looked_for_is_watched() {
    let site = site();
    let absent = SHORT.replace("wechatpay_cert", "later");
    let Examined { outcome, files, .. } = examined(&site, &absent);
    assert!(outcome.is_err());
    assert_eq!(files, files.now());
    fs::copy(site.path().join("keys/wechatpay_cert.pem"), site.path().join("keys/later.pem")).unwrap();
    assert_ne!(files, files.now(), "the file that was missing has come");
    let Examined { outcome, files, .. } = examined(&site, &absent);
    assert!(outcome.is_ok());
    fs::write(site.path().join("keys/apiv3.key"), "another secret").unwrap();
    assert_ne!(files, files.now());
}

#[test]
fn what_takes_a_restart_is_named() {
    let site = site();
    let before = config(&site, &example()).fixed();
    assert_eq!(before.changed(&config(&site, &example()).fixed()), Vec::<&str>::new());
    let changed = example()
        .replace("0.0.0.0:8080", "0.0.0.0:8081")
        .replace("threads = 0", "threads = 2")
        .replace("keep = 14", "keep = 15")
        .replace("\"72h\"", "\"96h\"")
        .replace("window = \"5m\"", "window = \"4m\"");
    let now = config(&site, &changed).fixed();
    assert_eq!(before.changed(&now), ["server.listen", "server.threads", "store.retention", "audit.keep"]);
    fs::write(site.path().join("keys/admin.token"), "another").unwrap();
    assert_eq!(before.changed(&config(&site, &example()).fixed()), ["admin.token"]);
    assert_eq!(
        before.changed(&config(&site, SHORT).fixed()),
        ["server.trusted_proxies", "server.shutdown_delay", "admin", "store.seal_key"]
    );
}

/// Pieces that configurations are made of, so that arbitrary text gets past the first character.
fn toml_like() -> impl Strategy<Value = String> {
    let words: Vec<String> = example().split_inclusive([' ', '\n', '.', '"', '[', ']']).map(str::to_owned).collect();
    let piece = prop_oneof![4 => proptest::sample::select(words), 1 => ".{0,4}"];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn arbitrary_text_is_refused_without_a_panic(text in prop_oneof![".{0,200}", toml_like()]) {
        let dir = tempfile::tempdir().unwrap();
        let mut outside = Outside { directory: dir.path(), files: Files::default(), now: UnixTime::default() };
        let (outcome, _) = check(Path::new("wxgate.toml"), &text, &mut outside);
        if let Err(problems) = outcome {
            prop_assert!(problems.iter().all(|p| p.place.is_some() && !p.message.is_empty()));
        }
    }

    #[test]
    fn a_byte_changed_in_the_example_is_read_without_a_panic(at in any::<prop::sample::Index>(), c in any::<char>()) {
        let dir = tempfile::tempdir().unwrap();
        let mut characters: Vec<char> = example().chars().collect();
        let at = at.index(characters.len());
        characters[at] = c;
        let text: String = characters.into_iter().collect();
        let mut outside = Outside { directory: dir.path(), files: Files::default(), now: UnixTime::default() };
        prop_assert!(check(Path::new("wxgate.toml"), &text, &mut outside).0.is_err(), "its key files are not there");
    }
}
