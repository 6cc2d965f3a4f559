//! The commands as a user runs them.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn wxgate(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wxgate")).args(args).current_dir(dir).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Configures one endpoint with the keys of a vector.
fn configure(dir: &Path, vector: &Value) {
    let keys = &vector["keys"];
    match vector["protocol"].as_str().unwrap() {
        "pay-v3" => configure_v3(dir, keys),
        "pay-v2" => configure_v2(dir, keys),
        push => configure_push(dir, push, keys),
    }
}

fn configure_v3(dir: &Path, keys: &Value) {
    let write = |name: &str, text: &Value| std::fs::write(dir.join(name), text.as_str().unwrap()).unwrap();
    write("apiv3.key", &keys["apiv3_key"]);
    let (mut certificates, mut public) = (Vec::new(), Vec::new());
    for (index, verifier) in keys["verifiers"].as_array().unwrap().iter().enumerate() {
        let name = format!("key{index}.pem");
        if verifier["kind"] == "platform-cert" {
            write(&name, &verifier["cert_pem"]);
            certificates.push(format!("\"{name}\""));
        } else {
            write(&name, &verifier["public_key_pem"]);
            public.push(format!("{{ id = {}, file = \"{name}\" }}", verifier["serial"]));
        }
    }
    let text = format!(
        "[endpoint.pay]\npath = \"/notify/wxpay/v3\"\nprotocol = \"pay-v3\"\nkeys.api_v3 = {{ file = \"apiv3.key\" }}\n\
         keys.certificates = [{}]\nkeys.public = [{}]\nexpect = {{ mchid = {}, appid = {} }}\n\
         [endpoint.pay.upstream]\nurl = [\"http://127.0.0.1:9/\"]\n",
        certificates.join(", "),
        public.join(", "),
        keys["mchids"],
        keys["appids"],
    );
    std::fs::write(dir.join("wxgate.toml"), text).unwrap();
}

fn configure_v2(dir: &Path, keys: &Value) {
    std::fs::write(dir.join("apiv2.key"), keys["api_key"].as_str().unwrap()).unwrap();
    let text = format!(
        "[endpoint.pay]\npath = \"/notify/wxpay/v2\"\nprotocol = \"pay-v2\"\nsign_type = {}\n\
         keys.api_v2 = {{ file = \"apiv2.key\" }}\nexpect = {{ mchid = [{}], appid = {} }}\n\
         [endpoint.pay.upstream]\nurl = [\"http://127.0.0.1:9/\"]\n",
        keys["sign_type"], keys["mch_id"], keys["appids"],
    );
    std::fs::write(dir.join("wxgate.toml"), text).unwrap();
}

fn configure_push(dir: &Path, protocol: &str, keys: &Value) {
    std::fs::write(dir.join("push.token"), keys["token"].as_str().unwrap()).unwrap();
    let mut aes = Vec::new();
    for name in ["encoding_aes_key", "encoding_aes_key_previous"] {
        let Some(key) = keys[name].as_str() else { continue };
        std::fs::write(dir.join(name), key).unwrap();
        aes.push(format!("{{ file = \"{name}\" }}"));
    }
    if aes.is_empty() && keys["mode"] != "plain" {
        // Checks of the URL need none; the endpoint does.
        std::fs::write(dir.join("any"), "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG").unwrap();
        aes.push("{ file = \"any\" }".to_owned());
    }
    let aes = if aes.is_empty() { String::new() } else { format!("keys.aes = [{}]\n", aes.join(", ")) };
    let mode = match (protocol, keys["mode"].as_str()) {
        ("message", Some("compat")) => "mode = \"compatible\"\n".to_owned(),
        ("message", Some(mode)) => format!("mode = \"{mode}\"\n"),
        _ => String::new(),
    };
    let id = if protocol == "wecom" { "receive_id" } else { "appid" };
    let text = format!(
        "[endpoint.pay]\npath = \"/push\"\nprotocol = \"{protocol}\"\n{mode}keys.token = {{ file = \"push.token\" }}\n{aes}\
         expect = {{ {id} = [{}] }}\n[endpoint.pay.upstream]\nurl = [\"http://127.0.0.1:9/\"]\n",
        keys[id],
    );
    std::fs::write(dir.join("wxgate.toml"), text).unwrap();
}

#[test]
fn verify_agrees_with_every_vector() {
    let vectors = [
        include_str!("../vectors/pay_v3.json"),
        include_str!("../vectors/pay_v2.json"),
        include_str!("../vectors/message.json"),
        include_str!("../vectors/wecom.json"),
    ];
    let vectors: Vec<Value> =
        vectors.into_iter().flat_map(|text| serde_json::from_str::<Vec<Value>>(text).unwrap()).collect();
    assert!(vectors.len() >= 94 + 56 + 69 + 32);
    for vector in &vectors {
        let name = vector["name"].as_str().unwrap();
        let dir = tempfile::tempdir().unwrap();
        configure(dir.path(), vector);
        std::fs::write(dir.path().join("request.json"), vector["request"].to_string()).unwrap();
        let now = vector["now"].to_string();
        let output = wxgate(dir.path(), &["verify", "--endpoint", "pay", "--now", &now, "--json", "request.json"]);
        let line: Value =
            serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{name}: {}", stderr(&output)));
        let expect = &vector["expect"];
        assert_eq!(line["verdict"], expect["verdict"], "{name}: {line}");
        let allowed = expect["reason_alt"].as_array().unwrap().contains(&line["reason"]);
        assert!(line["reason"] == expect["reason"] || allowed, "{name}: {line}");
        assert_eq!(output.status.code(), Some(i32::from(expect["verdict"] != "accept")), "{name}");
        if expect["verdict"] == "accept" {
            assert_eq!(line["event"], expect["event"], "{name}");
            assert_eq!(line["reply"]["status"], 200);
            if let Some(reply) = expect.get("reply") {
                assert_eq!(line["reply"]["body"], reply["body"], "{name}");
                let content_type = line["reply"]["content_type"].as_str().unwrap();
                let wanted = reply["content_type"].as_str().unwrap_or_default();
                assert!(content_type.starts_with(wanted), "{name}: {content_type}");
            }
        }
    }
}

#[test]
fn verify_reads_raw_messages_too_and_says_what_it_cannot_read() {
    let dir = tempfile::tempdir().unwrap();
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../vectors/pay_v3.json")).unwrap();
    let vector = &vectors[0];
    configure(dir.path(), vector);
    let request = &vector["request"];
    let mut raw = format!("POST {} HTTP/1.1\r\nHost: x\r\n", request["path"].as_str().unwrap()).into_bytes();
    for header in request["headers"].as_array().unwrap() {
        raw.extend(format!("{}: {}\r\n", header[0].as_str().unwrap(), header[1].as_str().unwrap()).bytes());
    }
    raw.extend(b"\r\n");
    raw.extend(base64_simd::STANDARD.decode_to_vec(request["body_b64"].as_str().unwrap()).unwrap());
    std::fs::write(dir.path().join("request.http"), raw).unwrap();
    let output = wxgate(dir.path(), &["verify", "--now", &vector["now"].to_string(), "request.http"]);
    assert!(stdout(&output).starts_with("request.http: accept ok"), "{}{}", stdout(&output), stderr(&output));

    std::fs::write(dir.path().join("rubbish"), "what?").unwrap();
    let output = wxgate(dir.path(), &["verify", "rubbish"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("rubbish"), "{}", stderr(&output));
}

#[test]
fn init_writes_what_check_accepts_and_run_can_use() {
    let dir = tempfile::tempdir().unwrap();
    let output = wxgate(dir.path(), &["init", "shop"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let shop = dir.path().join("shop");
    let output = wxgate(&shop, &["check"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let again = wxgate(dir.path(), &["init", "shop"]);
    assert_ne!(again.status.code(), Some(0), "it does not overwrite");
}

#[test]
fn check_says_all_problems_at_once_with_place_and_remedy() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(wxgate(dir.path(), &["init", "."]).status.code(), Some(0));
    let keys = dir.path().join("keys");
    std::fs::copy(keys.join("pub_key.pem"), keys.join("not_a_cert.pem")).unwrap();
    let text = r#"
[endpoint.one]
path = "/notify"
protocol = "pay-v3"
windw = "5m"
keys.api_v3 = { env = "WXGATE_TEST_NO_SUCH_VARIABLE" }
keys.certificates = ["keys/absent.pem", "keys/not_a_cert.pem"]

[endpoint.one.upstream]
url = ["http://127.0.0.1:9000/"]

[endpoint.two]
path = "/notify"
protocol = "pay-v3"
keys.api_v3 = { file = "keys/apiv3.key" }
keys.certificates = ["keys/wechatpay_cert.pem"]

[endpoint.two.upstream]
url = ["http://127.0.0.1:9000/"]
"#;
    std::fs::write(dir.path().join("wxgate.toml"), text).unwrap();
    let output = wxgate(dir.path(), &["check"]);
    let all = format!("{}{}", stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(1), "{all}");
    for (place, words) in [
        ("wxgate.toml:5:1:", "window"),
        ("wxgate.toml:6:", "WXGATE_TEST_NO_SUCH_VARIABLE"),
        ("wxgate.toml:7:", "absent.pem"),
        ("wxgate.toml:7:", "not_a_cert.pem"),
        ("wxgate.toml:13:", "/notify"),
    ] {
        assert!(
            all.lines().any(|line| line.contains(place)) && all.contains(words),
            "{place} {words} is not in\n{all}"
        );
    }
}

#[test]
fn demo_holds_every_expectation() {
    let dir = tempfile::tempdir().unwrap();
    let output = wxgate(dir.path(), &["demo", "--orders", "20", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", stdout(&output), stderr(&output));
    let outcome: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(outcome["held"], true);
    assert_eq!(outcome["payments"]["delivered_once"], 20);
    assert!(outcome["payments"]["attempts"].as_u64().unwrap() > 20, "some first attempts failed");
    assert!(outcome["attacks"].as_array().unwrap().len() > 100);
    assert!(outcome["reasons"]["replayed"].as_u64().unwrap() > 0);
}

#[test]
fn sim_send_prints_what_verify_accepts() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(wxgate(dir.path(), &["init", "."]).status.code(), Some(0));
    let to = "http://127.0.0.1:9/notify/shop-pay";
    let output = wxgate(dir.path(), &["sim", "send", "--to", to, "--keys", "keys", "--print"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    std::fs::write(dir.path().join("request.http"), &output.stdout).unwrap();
    let output = wxgate(dir.path(), &["verify", "request.http"]);
    assert!(stdout(&output).starts_with("request.http: accept ok"), "{}{}", stdout(&output), stderr(&output));
    let output = wxgate(dir.path(), &["sim", "send", "--to", to]);
    assert_eq!(output.status.code(), Some(2), "nobody listens there");
    assert!(stderr(&output).contains("127.0.0.1:9"), "{}", stderr(&output));
}

#[test]
fn the_doctor_names_what_was_done_to_a_request() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(wxgate(dir.path(), &["init", "."]).status.code(), Some(0));
    let to = "http://127.0.0.1:9/notify/shop-pay";
    let sent = wxgate(dir.path(), &["sim", "send", "--to", to, "--keys", "keys", "--print"]).stdout;
    let sent = String::from_utf8(sent).unwrap();
    let (head, body) = sent.split_once("\r\n\r\n").unwrap();
    let head: Vec<&str> = head.lines().filter(|line| !line.starts_with("Content-Length")).collect();
    let spaced = format!("{}\r\n\r\n{}", head.join("\r\n"), body.trim_end().replace(":{", ": {"));
    std::fs::write(dir.path().join("genuine.http"), &sent).unwrap();
    std::fs::write(dir.path().join("spaced.http"), spaced).unwrap();
    let output = wxgate(dir.path(), &["doctor", "genuine.http"]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "genuine.http: passes\n"));
    let output = wxgate(dir.path(), &["doctor", "--json", "spaced.http"]);
    let told: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((output.status.code(), &told["cause"]), (Some(1), &"body-rewritten".into()));
    let output = wxgate(dir.path(), &["doctor", "--causes"]);
    assert!(stdout(&output).lines().count() > 60, "{}", stdout(&output));
}

#[test]
fn the_doctor_knows_every_protocol_and_looks_at_the_other_endpoints() {
    let dir = tempfile::tempdir().unwrap();
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../vectors/message.json")).unwrap();
    let vector = vectors.iter().find(|vector| vector["name"] == "mp-safe-xml-pad-17").unwrap();
    configure(dir.path(), vector);
    std::fs::write(dir.path().join("other.token"), "AnotherToken").unwrap();
    let other = "\n[endpoint.other]\npath = \"/other\"\nprotocol = \"wecom\"\nkeys.token = { file = \"other.token\" }\n\
         keys.aes = { file = \"encoding_aes_key\" }\nexpect = { receive_id = \"\" }\n\
         [endpoint.other.upstream]\nurl = [\"http://127.0.0.1:9/\"]\n";
    let config = dir.path().join("wxgate.toml");
    std::fs::write(&config, std::fs::read_to_string(&config).unwrap() + other).unwrap();
    std::fs::write(dir.path().join("request.json"), vector["request"].to_string()).unwrap();
    let now = vector["now"].as_i64().unwrap();
    for (endpoint, now, cause) in [
        ("pay", now, "passes"),
        ("pay", now + 3600, "clock"),
        ("other", now, "other-endpoint"),
        ("other", now + 3600, "unexplained"),
    ] {
        let args = ["doctor", "--json", "--endpoint", endpoint, "--now", &now.to_string(), "request.json"];
        let output = wxgate(dir.path(), &args);
        let told: Value = serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{}", stderr(&output)));
        assert_eq!(told["cause"], cause, "{told}");
        assert_eq!(output.status.code(), Some(i32::from(cause != "passes")));
        assert!(told["meaning"].as_str().unwrap().len() > 10 && told["remedy"].as_str().unwrap().len() > 10, "{told}");
    }
}

#[test]
fn sim_lists_its_attacks_and_events() {
    let dir = tempfile::tempdir().unwrap();
    let attacks = stdout(&wxgate(dir.path(), &["sim", "attack", "--list"]));
    for name in
        ["forged-signature", "replayed", "signature-probe", "body-reencoded", "other-mchid", "oversize", "method-get"]
    {
        assert!(attacks.lines().any(|line| line.split(' ').next() == Some(name)), "{name} is not in\n{attacks}");
    }
    assert!(stdout(&wxgate(dir.path(), &["sim", "send", "--list"])).contains("payment-native"));
}
