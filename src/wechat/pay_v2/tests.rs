//! The vectors, made by independent implementations, and what must hold whatever the bytes are. Refunds, which are
//! encrypted instead of signed, have a file of their own.

mod refund;

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::secret::Secret;

const API_KEY: &str = "ZyZ8tGoo3aon7b33k4ZwAimV008W9Bor";
const OTHER_KEY: &str = "192006250b4c09247ec02edce69f6a2d";
const NOW: i64 = 1_760_000_000;

#[derive(Deserialize)]
struct Case {
    name: String,
    keys: Keys,
    request: Request,
    now: i64,
    expect: Expect,
    #[serde(default)]
    optional: bool,
}

#[derive(Deserialize)]
struct Keys {
    api_key: String,
    mch_id: String,
    appids: Vec<String>,
    sign_type: String,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    headers: Vec<(String, String)>,
    body_b64: String,
}

#[derive(Deserialize)]
struct Expect {
    verdict: String,
    reason: String,
    #[serde(default)]
    reason_alt: Vec<String>,
    event: Option<Value>,
}

fn cases() -> &'static [Case] {
    static CASES: LazyLock<Vec<Case>> =
        LazyLock::new(|| serde_json::from_str(include_str!("../../../tests/vectors/pay_v2.json")).unwrap());
    &CASES
}

fn case(name: &str) -> &'static Case {
    cases().iter().find(|case| case.name == name).unwrap()
}

fn body_of(name: &str) -> String {
    String::from_utf8(decode(&case(name).request.body_b64)).unwrap()
}

fn decode(text: &str) -> Vec<u8> {
    base64_simd::STANDARD.decode_to_vec(text).unwrap()
}

fn key(text: &str) -> ApiV2Key {
    ApiV2Key::new(&Secret::new(text.as_bytes().to_vec())).unwrap()
}

fn settings(sign_type: SignType) -> Settings {
    Settings {
        api_v2: vec![key(API_KEY)],
        sign_type,
        mchids: vec!["10000100".to_owned()],
        appids: vec!["wx2421b1c4370ec43b".to_owned()],
        max_age: None,
    }
}

fn judge_at(protocol: &PayV2, body: impl Into<Bytes>, now: i64) -> Result<Authentic, Reason> {
    let (method, headers) = (Method::POST, HeaderMap::new());
    let received = Received { method: &method, path: "/", query: "", headers: &headers };
    let screened = PayV2::screen(received, UnixTime::from_secs(now)).map_err(|refusal| refusal.reason())?;
    let verified = protocol.verify(screened, body.into()).map_err(|refusal| refusal.reason())?;
    protocol.open(verified).map_err(|refusal| refusal.reason())
}

fn judge(body: impl Into<Bytes>) -> Result<Authentic, Reason> {
    judge_at(&PayV2::new(settings(SignType::Md5)), body, NOW)
}

fn judge_case(case: &Case) -> Result<Authentic, Reason> {
    judge_body(case, decode(&case.request.body_b64))
}

/// The case with another body.
fn judge_body(case: &Case, body: Vec<u8>) -> Result<Authentic, Reason> {
    let protocol = PayV2::new(Settings {
        api_v2: vec![key(&case.keys.api_key)],
        sign_type: if case.keys.sign_type == "MD5" { SignType::Md5 } else { SignType::HmacSha256 },
        mchids: vec![case.keys.mch_id.clone()],
        appids: case.keys.appids.clone(),
        max_age: None,
    });
    let mut headers = HeaderMap::new();
    for (name, value) in &case.request.headers {
        headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    let method = Method::from_bytes(case.request.method.as_bytes()).unwrap();
    let received = Received { method: &method, path: "/", query: "", headers: &headers };
    let screened = PayV2::screen(received, UnixTime::from_secs(case.now)).map_err(|refusal| refusal.reason())?;
    let verified = protocol.verify(screened, body.into());
    protocol.open(verified.map_err(|refusal| refusal.reason())?).map_err(|refusal| refusal.reason())
}

#[test]
fn every_vector_gives_its_verdict_reason_and_event() {
    assert!(cases().len() >= 56);
    for case in cases() {
        assert!(!case.optional, "{}: an optional case needs a word on what is done with it", case.name);
        match judge_case(case) {
            Ok(authentic) => {
                assert_eq!(case.expect.verdict, "accept", "{} was accepted", case.name);
                let event: Value = serde_json::from_slice(&authentic.event().body).unwrap();
                assert_eq!(Some(&event), case.expect.event.as_ref(), "{}", case.name);
                assert_eq!(*authentic.received_body(), decode(&case.request.body_b64), "{}", case.name);
            }
            Err(reason) => {
                let allowed = std::iter::once(&case.expect.reason).chain(&case.expect.reason_alt);
                assert_eq!(case.expect.verdict, "reject", "{} was refused: {}", case.name, reason.code());
                assert!(allowed.into_iter().any(|code| code == reason.code()), "{}: {}", case.name, reason.code());
            }
        }
    }
}

#[test]
fn the_signatures_of_the_documentation_come_out() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../../../tests/vectors/crypt.json")).unwrap();
    let signs: Vec<&Value> = vectors.iter().filter(|vector| vector["op"] == "v2-sign").collect();
    assert!(signs.len() >= 4);
    for vector in signs {
        let params = vector["input"]["params"].as_object().unwrap();
        let members: Vec<_> =
            params.iter().map(|(name, value)| format!("<{name}>{}</{name}>", value.as_str().unwrap())).collect();
        let document = format!("<xml>{}</xml>", members.concat());
        let fields = Fields::of(&xml::read(document.as_bytes()).unwrap()).unwrap();
        let algorithm = if vector["input"]["sign_type"] == "MD5" { Algorithm::Md5 } else { Algorithm::HmacSha256 };
        let sign = algorithm.sign(&key(vector["input"]["api_key"].as_str().unwrap()), &fields);
        assert_eq!(vector["expect"]["sign"], sign, "{}", vector["name"]);
    }
}

#[test]
fn a_payment_fills_the_fields_that_its_apiv3_form_fills() {
    let event = judge_case(case("v2-md5")).unwrap().event().clone();
    let moment = Some(UnixTime::from_secs(1_759_999_998));
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        event,
        Event {
            id: "4200002521949818328831679026-SUCCESS".to_owned(),
            kind: "wechatpay.transaction.success".to_owned(),
            time: moment,
            subject: text("1409811662498494"),
            mchid: text("10000100"),
            appid: text("wx2421b1c4370ec43b"),
            out_trade_no: text("1409811662498494"),
            transaction_id: text("4200002521949818328831679026"),
            trade_state: text("SUCCESS"),
            trade_type: text("JSAPI"),
            bank_type: text("CFT"),
            payer: text("oUpF8uMEb4qRXf22hE3X68TekukE"),
            attach: text("支付测试"),
            success_time: moment,
            amount_total: Some(100),
            amount_payer_total: Some(90),
            currency: text("CNY"),
            body: event.body.clone(),
            fingerprint: event.fingerprint,
            ..Event::default()
        }
    );
    let failed = judge_case(case("v2-result-code-fail")).unwrap().event().clone();
    assert_eq!((failed.kind.as_str(), failed.trade_state.as_deref()), ("wechatpay.transaction.fail", Some("PAYERROR")));
    assert!(failed.id.ends_with("-FAIL") && failed.success_time.is_none());
    let combined = judge_case(case("v2-combined-order")).unwrap().event().clone();
    assert!(combined.is_combined && combined.amount_total.is_none());
    assert_eq!(combined.id, "1217752501201407033233368018-SUCCESS");
    assert_eq!(combined.payer.as_deref(), Some("oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"));
}

/// Signs in WeChat's place, by other code than the gateway's.
fn signed(members: &[(&str, &str)]) -> String {
    let members: Vec<_> = members.iter().filter(|(name, _)| *name != "sign").collect();
    let mut sorted: Vec<_> = members.iter().filter(|(_, value)| !value.is_empty()).collect();
    sorted.sort();
    let mut string = String::new();
    for (name, value) in sorted {
        string.extend([name, "=", value, "&"]);
    }
    let sign = md5_hex(&format!("{string}key={API_KEY}")).to_uppercase();
    let mut inside = String::new();
    for (name, value) in members {
        let value = value.replace("]]>", "]]]]><![CDATA[>");
        inside.extend(["<", name, "><![CDATA[", &value, "]]></", name, ">"]);
    }
    format!("<xml>{inside}<sign>{sign}</sign></xml>")
}

fn md5_hex(text: &str) -> String {
    use md5::Digest as _;
    let digest: [u8; 16] = md5::Md5::digest(text).into();
    digest.map(|byte| format!("{byte:02x}")).concat()
}

fn payment() -> Vec<(&'static str, &'static str)> {
    vec![
        ("return_code", "SUCCESS"),
        ("result_code", "SUCCESS"),
        ("appid", "wx2421b1c4370ec43b"),
        ("mch_id", "10000100"),
        ("nonce_str", "db5b5fab8f4d3e27dda1494c73cf256d"),
        ("openid", "oUpF8uMEb4qRXf22hE3X68TekukE"),
        ("attach", "a"),
        ("bank_type", "CFT"),
        ("total_fee", "100"),
        ("cash_fee", "100"),
        ("out_trade_no", "1409811653"),
        ("transaction_id", "4200002521949818328831679026"),
        ("time_end", "20251009165318"),
    ]
}

fn payment_with(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    payment().into_iter().filter(|(known, _)| *known != name).chain([(name, value)]).collect()
}

#[test]
fn each_member_that_a_payment_needs_must_be_there_in_its_form() {
    assert!(judge(signed(&payment())).is_ok());
    for name in ["appid", "mch_id", "nonce_str", "result_code", "out_trade_no", "transaction_id", "total_fee"] {
        assert_eq!(judge(signed(&payment_with(name, ""))).err(), Some(Reason::MissingField), "{name}");
        let without: Vec<_> = payment().into_iter().filter(|(known, _)| *known != name).collect();
        assert_eq!(judge(signed(&without)).err(), Some(Reason::MissingField), "{name}");
        assert_eq!(judge(signed(&payment_with(name, "1 0"))).err(), Some(Reason::BadXml), "{name}");
        assert_eq!(judge(signed(&payment_with(name, "a&b=c"))).err(), Some(Reason::BadXml), "{name}");
    }
    for total in ["-1", "1.0", "1e2", "１", "+1", "0x1", "9999999999999999999"] {
        assert_eq!(judge(signed(&payment_with("total_fee", total))).err(), Some(Reason::BadXml), "{total}");
    }
    for (name, value, reason) in [
        ("return_code", "", Reason::MissingField),
        ("return_code", "FAIL", Reason::ReturnCodeFail),
        ("return_code", "success", Reason::ReturnCodeFail),
        ("result_code", "success", Reason::BadXml),
        ("mch_id", "10000101", Reason::MchidMismatch),
        ("appid", "wx2421b1c4370ec43c", Reason::AppidMismatch),
        ("appid", "WX2421b1c4370ec43b", Reason::AppidMismatch),
        ("combine_mch_id", "10000101", Reason::MchidMismatch),
        ("sign_type", "HMAC-SHA256", Reason::SignTypeMismatch),
        ("sign_type", "md5", Reason::SignTypeMismatch),
    ] {
        assert_eq!(judge(signed(&payment_with(name, value))).err(), Some(reason), "{name}: {value}");
    }
    let mchid_of_a_partners_merchant = payment_with("sub_mch_id", "10000101");
    assert_eq!(judge(signed(&mchid_of_a_partners_merchant)).unwrap().event().sub_mchid.as_deref(), Some("10000101"));
    let elsewhere = signed(&payment()).replace("<xml>", "<root>").replace("</xml>", "</root>");
    assert_eq!(judge(elsewhere).err(), Some(Reason::BadXml));
}

#[test]
fn no_member_can_be_hidden_in_the_one_before_it() {
    // Every run of members that follow each other in the signed order, written into the first of them.
    let mut sorted = payment();
    sorted.sort_unstable();
    let mut written_again = 0;
    for from in 0..sorted.len() {
        for until in from + 1..sorted.len() {
            let hidden: Vec<_> =
                sorted[from + 1..=until].iter().map(|(name, value)| format!("&{name}={value}")).collect();
            let merged = format!("{}{}", sorted[from].1, hidden.concat());
            let members: Vec<(&str, &str)> = sorted[..from]
                .iter()
                .copied()
                .chain([(sorted[from].0, merged.as_str())])
                .chain(sorted[until + 1..].iter().copied())
                .collect();
            let forged = signed(&members);
            let sign = |document: &str| document.split("<sign>").nth(1).map(str::to_owned);
            assert_eq!(sign(&forged), sign(&signed(&payment())), "signs the same");
            assert!(judge(forged).is_err(), "{} to {} hidden", sorted[from].0, sorted[until].0);
            written_again += 1;
        }
    }
    assert_eq!(written_again, 78);
    // What merchants put into attach is theirs: names that stand elsewhere in the order, or that are there.
    for attach in ["a=1&b=2", "x&openid=1&total_fee=5", "x&bank_type=CFT", "x&trade_type=JSAPI&out_trade_no=1", "&=&"] {
        let members = payment_with("attach", attach);
        assert_eq!(judge(signed(&members)).unwrap().event().attach.as_deref(), Some(attach));
    }
}

#[test]
fn the_endpoint_decides_the_algorithm_and_the_operator_learns_which_it_was() {
    let (md5, hmac) = (body_of("v2-md5"), body_of("v2-hmac-sha256"));
    let end = |sign_type, body: &str| judge_at(&PayV2::new(settings(sign_type)), body.to_owned(), NOW);
    for (sign_type, body, signed_by) in [
        (SignType::Md5, &md5, Ok("keys.api_v2[0] MD5")),
        (SignType::Md5, &hmac, Err(Reason::SignTypeMismatch)),
        (SignType::HmacSha256, &md5, Err(Reason::SignTypeMismatch)),
        (SignType::HmacSha256, &hmac, Ok("keys.api_v2[0] HMAC-SHA256")),
        (SignType::Either, &md5, Ok("keys.api_v2[0] MD5")),
        (SignType::Either, &hmac, Ok("keys.api_v2[0] HMAC-SHA256")),
    ] {
        let end = end(sign_type, body);
        let scheme = signed_by.ok().and_then(|by| by.split(' ').nth(1));
        assert_eq!(end.as_ref().ok().and_then(Authentic::scheme), scheme, "{sign_type:?}");
        assert_eq!(
            end.map(|authentic| authentic.signed_by().to_string()),
            signed_by.map(str::to_owned),
            "{sign_type:?}"
        );
    }
    let verified = |body: &str| {
        PayV2::new(settings(SignType::HmacSha256))
            .verify(Screened { now: UnixTime::from_secs(NOW) }, body.to_owned().into())
    };
    let error = verified(&md5).unwrap_err().to_string();
    assert!(error.contains("set sign_type = \"MD5\""), "{error}");
    // Lower case is another text, and so is one that is cut or goes on.
    let sign = md5.split("<sign><![CDATA[").nth(1).unwrap()[..32].to_owned();
    for wrong in [sign.to_lowercase(), sign[..31].to_owned(), format!("{sign}0"), format!(" {sign}"), "0".repeat(64)] {
        assert_eq!(end(SignType::Either, &md5.replace(&sign, &wrong)).err(), Some(Reason::BadSignature), "{wrong}");
    }
}

#[test]
fn both_keys_of_a_rotation_are_tried_for_signatures_and_refunds() {
    let keys = |texts: &[&str]| {
        PayV2::new(Settings { api_v2: texts.iter().map(|text| key(text)).collect(), ..settings(SignType::Md5) })
    };
    let rotating = keys(&[OTHER_KEY, API_KEY]);
    for (name, by) in [("v2-md5", "MD5"), ("v2-refund-success", "AES-256-ECB")] {
        let authentic = judge_at(&rotating, body_of(name), NOW).unwrap();
        assert_eq!(&**authentic.signed_by(), format!("keys.api_v2[1] {by}"));
        assert!(judge_at(&keys(&[OTHER_KEY]), body_of(name), NOW).is_err());
    }
}

#[test]
fn an_endpoint_that_is_bound_to_nobody_takes_anybodys() {
    let unbound = PayV2::new(Settings { mchids: Vec::new(), appids: Vec::new(), ..settings(SignType::Md5) });
    assert!(judge_at(&unbound, body_of("v2-mch-id-mismatch"), NOW).is_ok());
    assert!(judge_at(&unbound, body_of("v2-appid-mismatch"), NOW).is_ok());
}

#[test]
fn a_greatest_age_refuses_what_happened_too_long_ago_or_in_the_future() {
    let day = Duration::from_hours(25);
    let aged = PayV2::new(Settings { max_age: Some(day), ..settings(SignType::Md5) });
    let paid = 1_759_999_998;
    for (now, reason) in [
        (paid, None),
        (paid + 25 * 3600 - 1, None),
        (paid + 25 * 3600, Some(Reason::TimestampOutOfWindow)),
        (paid - 25 * 3600, Some(Reason::TimestampOutOfWindow)),
    ] {
        assert_eq!(judge_at(&aged, body_of("v2-md5"), now).err(), reason, "{now}");
    }
    assert_eq!(judge_at(&aged, body_of("v2-refund-success"), NOW).err(), Some(Reason::TimestampOutOfWindow));
    assert!(judge(body_of("v2-refund-success")).is_ok(), "any age where none is set");
}

#[test]
fn a_head_has_a_method_and_no_compression() {
    let screen = |method: &Method, encoding: Option<&'static str>| {
        let mut headers = HeaderMap::new();
        for value in encoding.into_iter().flat_map(|values| values.split(';')) {
            headers.append("content-encoding", HeaderValue::from_str(value).unwrap());
        }
        let received = Received { method, path: "/", query: "", headers: &headers };
        PayV2::screen(received, UnixTime::from_secs(NOW)).map(drop).map_err(|refusal| refusal.reason())
    };
    assert_eq!(screen(&Method::POST, None), Ok(()));
    assert_eq!(screen(&Method::POST, Some("identity")), Ok(()));
    assert_eq!(screen(&Method::POST, Some("identity;gzip")), Err(Reason::BadEncoding));
    for method in [Method::GET, Method::PUT, Method::HEAD] {
        assert_eq!(screen(&method, None), Err(Reason::BadMethod));
    }
}

#[test]
fn another_layout_of_the_same_values_is_the_same_event() {
    let mut members = payment();
    let one = judge(signed(&members)).unwrap().event().clone();
    members.reverse();
    members.push(("device_info", ""));
    members.retain(|(name, _)| *name != "nonce_str");
    members.push(("nonce_str", "another"));
    let other = judge(signed(&members)).unwrap().event().clone();
    assert_eq!((&one.id, one.fingerprint), (&other.id, other.fingerprint));
    let changed = judge(signed(&payment_with("cash_fee", "99"))).unwrap().event().clone();
    assert_eq!(one.id, changed.id);
    assert_ne!(one.fingerprint, changed.fingerprint);
}

#[test]
fn a_contract_is_told_by_its_change() {
    let members = [
        ("return_code", "SUCCESS"),
        ("result_code", "SUCCESS"),
        ("mch_id", "10000100"),
        ("contract_code", "C1"),
        ("contract_id", "201710180325670965"),
        ("change_type", "ADD"),
        ("openid", "o"),
        ("operate_time", "2017-10-18 10:34:56"),
    ];
    let event = judge(signed(&members)).unwrap().event().clone();
    assert_eq!((event.id.as_str(), event.kind.as_str()), ("201710180325670965-ADD", "wechatpay.entrust.sign"));
    assert_eq!((event.subject.as_deref(), event.openid.as_deref(), event.payer), (Some("C1"), Some("o"), None));
    assert_eq!(event.time, Some(UnixTime::from_secs(1_508_294_096)));
}

#[test]
fn time_comes_in_two_forms() {
    let moment = Some(UnixTime::from_secs(1_528_425_296));
    assert_eq!(notice::china_time("20180608103456"), moment);
    assert_eq!(notice::china_time("2018-06-08 10:34:56"), moment);
    for text in ["", "2018060810345", "20181308103456", "2018060810345x", "2018-06-08T10:34:56", "+018060810345600"] {
        assert_eq!(notice::china_time(text), None, "{text}");
    }
}

#[test]
fn no_error_tells_a_value() {
    let forged = body_of("v2-total-fee-tampered");
    let error = PayV2::new(settings(SignType::Md5)).verify(Screened { now: UnixTime::from_secs(NOW) }, forged.into());
    let error = format!("{0} {0:?}", error.unwrap_err());
    assert!(!error.contains(API_KEY) && !error.contains("oUpF8uMEb4qRXf22hE3X68TekukE"), "{error}");
}

/// The members of an accepted vector as they were written, with where their values stand in the body.
fn values_of(body: &str) -> Vec<std::ops::Range<usize>> {
    let value = |(at, from): (usize, &str)| {
        let begin = at.saturating_add(from.len());
        body[begin..].find("]]>").map(|len| begin..begin.saturating_add(len))
    };
    body.match_indices("<![CDATA[").filter_map(value).filter(|range| !range.is_empty()).collect()
}

#[test]
fn no_single_bit_of_a_signed_value_can_be_flipped() {
    for name in ["v2-md5", "v2-hmac-sha256"] {
        let sign_type = if name == "v2-md5" { SignType::Md5 } else { SignType::HmacSha256 };
        let protocol = PayV2::new(settings(sign_type));
        let body = body_of(name);
        let values = values_of(&body);
        assert!(values.len() > 15);
        for at in values.into_iter().flatten() {
            for bit in 0..8 {
                let mut flipped = body.clone().into_bytes();
                flipped[at] ^= 1 << bit;
                assert!(judge_at(&protocol, flipped, NOW).is_err(), "{name}: bit {bit} at {at}");
            }
        }
    }
}

proptest! {
    /// Layout may change, what is said may not.
    #[test]
    fn a_genuine_body_that_was_bent_is_refused_or_says_the_same(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let genuine: Vec<&Case> = cases().iter().filter(|case| case.expect.verdict == "accept").collect();
        let case = genuine[which.index(genuine.len())];
        let mut body = decode(&case.request.body_b64);
        for (place, byte) in edits {
            let at = place.index(body.len());
            body[at] = byte;
        }
        if let Ok(authentic) = judge_body(case, body) {
            let before = judge_case(case).unwrap();
            prop_assert_eq!(&authentic.event().fingerprint, &before.event().fingerprint);
            prop_assert_eq!(&authentic.event().id, &before.event().id);
        }
    }

    #[test]
    fn whatever_is_signed_comes_out_as_it_was(
        extra in prop::collection::btree_map("[a-z]{1,3}_[0-9]{1,2}", "[ -~中\n]{0,30}", 0..8),
    ) {
        let mut members = payment();
        members.extend(extra.iter().map(|(name, value)| (name.as_str(), value.as_str())).map(|(name, value)| {
            let name: &'static str = name.to_owned().leak();
            let value: &'static str = value.to_owned().leak();
            (name, value)
        }));
        let authentic = judge(signed(&members)).map_err(|reason| TestCaseError::fail(reason.code()))?;
        let body: Value = serde_json::from_slice(&authentic.event().body).unwrap();
        for (name, value) in &extra {
            prop_assert_eq!(&body[name], &json!(value));
        }
    }

    #[test]
    fn a_body_of_any_bytes_is_refused_and_never_panics(body in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(judge(body).err(), Some(Reason::BadXml));
    }
}
