//! Requests made by others' cryptography: a body that was encrypted by an independent implementation (the vectors), signed
//! by the `openssl` command, sent by `curl`.

use std::process::Command;

use serde_json::Value;
use wxgate::app::App;
use wxgate::clock::Clock;
use wxgate::config;
use wxgate::sim::notify::unix_now;
use wxgate::sim::shop::{Behaviour, Shop};

use crate::gateway::SIGNING;

#[tokio::test]
async fn a_callback_signed_by_openssl_and_sent_by_curl_reaches_the_app() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../vectors/pay_v3.json")).unwrap();
    let vector = vectors.iter().find(|vector| vector["name"] == "v3-jsapi-cert-mode").unwrap();
    let verifier = &vector["keys"]["verifiers"][0];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
    file("cert.pem", text(&verifier["cert_pem"]).as_bytes());
    file("key.pem", text(&verifier["test_signing_private_key_pem"]).as_bytes());
    file("apiv3.key", text(&vector["keys"]["apiv3_key"]).as_bytes());
    file("signing.key", format!("whsec_{}", base64_simd::STANDARD.encode_to_string(SIGNING)).as_bytes());
    let body = base64_simd::STANDARD.decode_to_vec(text(&vector["request"]["body_b64"])).unwrap();
    let (timestamp, nonce) = (unix_now().to_string(), "593BEC0C930BF1AFEB40B4A08C8FB242");
    file("body", &body);
    file("message", &[timestamp.as_bytes(), b"\n", nonce.as_bytes(), b"\n", &body, b"\n"].concat());

    let shop = Shop::start("127.0.0.1:0", SIGNING, Behaviour::Healthy).await.unwrap();
    let configuration = format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\n[store]\nurl = \"file:store.db\"\n[audit]\npath = \"audit.ndjson\"\n\
         [endpoint.shop-pay]\npath = \"/notify/wxpay/v3\"\nprotocol = \"pay-v3\"\n\
         keys.api_v3 = {{ file = \"apiv3.key\" }}\nkeys.certificates = [\"cert.pem\"]\n\
         expect = {{ mchid = {}, appid = {} }}\n\
         [endpoint.shop-pay.upstream]\nurl = [\"http://{}/events\"]\nsigning = {{ file = \"signing.key\" }}\n",
        vector["keys"]["mchids"],
        vector["keys"]["appids"],
        shop.address()
    );
    file("wxgate.toml", configuration.as_bytes());
    let config = config::load(&dir.path().join("wxgate.toml")).unwrap_or_else(|problems| panic!("{problems}"));
    let app = App::start(config, Clock::System).await.unwrap();

    let openssl = Command::new("openssl")
        .args(["dgst", "-sha256", "-sign", "key.pem", "message"])
        .current_dir(dir.path())
        .output()
        .expect("scripts/tools installs openssl");
    assert!(openssl.status.success(), "{}", String::from_utf8_lossy(&openssl.stderr));
    let signature = base64_simd::STANDARD.encode_to_string(&openssl.stdout);
    let url = format!("http://{}/notify/wxpay/v3", app.addresses()[0]);
    let directory = dir.path().to_owned();
    let serial = text(&verifier["serial"]);
    let curl = move || {
        Command::new("curl")
            .args([
                "-sS",
                "--noproxy",
                "*",
                "-w",
                "\n%{http_code}",
                "--data-binary",
                "@body",
                "-H",
                "Content-Type: application/json",
            ])
            .args(["-H", &format!("Wechatpay-Timestamp: {timestamp}"), "-H", &format!("Wechatpay-Nonce: {nonce}")])
            .args(["-H", &format!("Wechatpay-Serial: {serial}"), "-H", &format!("Wechatpay-Signature: {signature}")])
            .arg(&url)
            .current_dir(&directory)
            .output()
            .expect("scripts/tools installs curl")
    };
    let output = tokio::task::spawn_blocking(curl).await.unwrap();
    let answer = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        answer,
        "{\"code\":\"SUCCESS\",\"message\":\"成功\"}\n200",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );

    let deliveries = shop.deliveries();
    let [got] = deliveries.as_slice() else { panic!("{} deliveries", deliveries.len()) };
    assert!(got.signed);
    let event: Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(event, vector["expect"]["event"]);
    assert_eq!(got.headers["ce-subject"], event["out_trade_no"].as_str().unwrap());
    app.shutdown().await;
}
