//! The simulator against others' work: vectors made by independent implementations. What the gateway makes of its pushes is
//! the gateway's own test.

use serde_json::Value;

use super::*;

fn vectors(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

#[test]
fn every_reply_of_the_vectors_is_made_and_opened() {
    let cases = vectors(include_str!("../../../tests/vectors/reply_encrypt.json"));
    assert!(cases.len() >= 16);
    for case in cases {
        let (keys, input, expect) = (&case["keys"], &case["input"], &case["expect"]);
        let random = text(input, "random16").as_bytes().try_into().unwrap();
        let aes = text(keys, "encoding_aes_key");
        let encrypted = crypt::encrypt(aes, random, text(input, "msg").as_bytes(), text(keys, "receive_id")).unwrap();
        assert_eq!(encrypted, text(expect, "encrypt"), "{}", case["name"]);
        let parts = [text(keys, "token"), text(input, "timestamp"), text(input, "nonce"), &encrypted];
        assert_eq!(crypt::signature(&parts), text(expect, "msg_signature"), "{}", case["name"]);
        let account = Account {
            token: text(keys, "token").to_owned(),
            encoding_aes_key: aes.to_owned(),
            receive_id: text(keys, "receive_id").to_owned(),
            ..Account::sample(Family::Message)
        };
        assert_eq!(account.open(text(expect, "body")).as_deref(), Some(text(input, "msg")), "{}", case["name"]);
        let forged = text(expect, "body").replace(text(expect, "msg_signature"), &"0".repeat(40));
        assert_eq!(account.open(&forged), None, "{}", case["name"]);
    }
}

#[test]
fn what_is_pushed_is_signed_as_the_vectors_are() {
    let cases = vectors(include_str!("../../../tests/vectors/message.json"));
    let mut compared = 0;
    for case in cases.iter().filter(|case| case["expect"]["verdict"] == "accept") {
        let query = text(&case["request"], "query");
        let parameter = |name: &str| {
            let found = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            found.unwrap_or_default()
        };
        let mut parts = vec![text(&case["keys"], "token"), parameter("timestamp"), parameter("nonce")];
        if !parameter("signature").is_empty() {
            assert_eq!(crypt::signature(&parts), parameter("signature"), "{}", case["name"]);
        }
        let body = base64_simd::STANDARD.decode_to_vec(text(&case["request"], "body_b64")).unwrap();
        let Some(encrypted) = member(std::str::from_utf8(&body).unwrap(), "Encrypt") else { continue };
        parts.push(&encrypted);
        assert_eq!(crypt::signature(&parts), parameter("msg_signature"), "{}", case["name"]);
        compared += 1;
    }
    assert!(compared >= 25, "{compared}");
}

#[test]
fn every_sample_has_one_name_in_its_family() {
    for sample in sample::ALL {
        let found = sample::find(sample.family, sample.name).unwrap();
        assert_eq!(found.content(1)["CreateTime"], sample.content(1)["CreateTime"]);
        let same = sample::ALL.iter().filter(|other| (other.family, other.name) == (sample.family, sample.name));
        assert_eq!(same.count(), 1, "{}", sample.name);
    }
}

#[test]
fn xml_is_written_as_wechat_writes_it() {
    let mut text = String::new();
    write_xml(&mut text, "xml", &json!({"a": "x]]>y", "b": 7, "c": {"item": [{"d": "1"}, {"d": "2"}]}}));
    let items = "<item><d><![CDATA[1]]></d></item><item><d><![CDATA[2]]></d></item>";
    let wanted = format!("<xml><a><![CDATA[x]]]]><![CDATA[>y]]></a><b>7</b><c>{items}</c></xml>");
    assert_eq!(text, wanted);
}
