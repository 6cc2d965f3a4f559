//! Each cause is produced from what the simulated WeChat sends by the mishap that it names.

use http::{HeaderMap, HeaderValue, Method};

use super::*;
use crate::secret::Secret;
use crate::sim::keys::{Keys, Merchant};
use crate::sim::pay_v2::{self as sim, sample, sign::SignType as SignedBy};
use crate::sim::sample::Order;
use crate::wechat::diagnosis::Explained as _;
use crate::wechat::pay_v2::Settings;

const NOW: i64 = 1_760_000_000;

/// A captured request with the configuration that it meets.
struct Scene {
    method: Method,
    headers: HeaderMap,
    body: String,
    key: String,
    sign_type: SignType,
    mchids: Vec<String>,
    now: i64,
}

fn merchant() -> Merchant {
    Keys::bundled().merchant
}

impl Scene {
    fn of(body: Vec<u8>) -> Self {
        Self {
            method: Method::POST,
            headers: HeaderMap::new(),
            body: String::from_utf8(body).unwrap(),
            key: merchant().api_v2_key,
            sign_type: SignType::Md5,
            mchids: vec![merchant().mchid],
            now: NOW,
        }
    }

    /// A genuine payment with this `attach`.
    fn saying(attach: &str) -> Self {
        Self::signed("v2-payment-native", attach, &merchant().api_v2_key, SignedBy::Md5)
    }

    fn signed(sample: &str, attach: &str, key: &str, by: SignedBy) -> Self {
        let order = Order::new(&merchant(), NOW);
        let notice = sample::find(sample).unwrap().notice(&order).with("attach", attach).with("nonce_str", "n");
        Self::of(sim::signed(notice.members(), key, by))
    }

    fn refund() -> Self {
        let refund = sample::find("v2-refund-success").unwrap().notice(&Order::new(&merchant(), NOW));
        Self::of(refund.body(&merchant(), SignedBy::Md5))
    }

    /// Whatever comes in front does to the body.
    fn bent(mut self, from: &str, to: &str) -> Self {
        assert!(self.body.contains(from), "{from}");
        self.body = self.body.replace(from, to);
        self
    }

    fn diagnose(&self) -> Diagnosis {
        let pay = PayV2::new(Settings {
            api_v2: vec![ApiV2Key::new(&Secret::new(self.key.clone().into_bytes())).unwrap()],
            sign_type: self.sign_type,
            mchids: self.mchids.clone(),
            appids: Vec::new(),
            max_age: Some(std::time::Duration::from_hours(72)),
        });
        let received = Received { method: &self.method, path: "/", query: "", headers: &self.headers };
        pay.diagnose(received, &Bytes::from(self.body.clone()), UnixTime::from_secs(self.now))
    }
}

type Mishap = fn() -> Scene;

const MISHAPS: &[(Cause, &str, Mishap)] = &[
    (Cause::Passes, "nothing happened to a payment", || Scene::saying("支付")),
    (Cause::Passes, "nothing happened to a refund", Scene::refund),
    (Cause::SignType, "the other algorithm", || Scene { sign_type: SignType::HmacSha256, ..Scene::saying("a") }),
    (Cause::SignType, "the other algorithm, named", || {
        let members = sample::find("v2-payment-native").unwrap().notice(&Order::new(&merchant(), NOW));
        let members = members.with("sign_type", "MD5");
        let body = sim::signed(members.members(), &merchant().api_v2_key, SignedBy::Md5);
        Scene { sign_type: SignType::HmacSha256, ..Scene::of(body) }
    }),
    (Cause::SignTypeUnsigned, "put in unsigned", || {
        Scene::saying("a").bent("<sign>", "<sign_type>MD5</sign_type><sign>")
    }),
    (Cause::MemberAdded, "put in by a framework", || {
        Scene::saying("a").bent("<sign>", "<charset>utf-8</charset><sign>")
    }),
    (Cause::SignLost, "dropped", || Scene::saying("a").bent("<sign>", "<signature>").bent("</sign>", "</signature>")),
    (Cause::KeyCase, "typed in capitals", || {
        let signed = Scene::signed("v2-payment-native", "a", "192006250b4c09247ec02edce69f6a2d", SignedBy::Md5);
        Scene { key: "192006250B4C09247EC02EDCE69F6A2D".to_owned(), ..signed }
    }),
    (Cause::ValueTrimmed, "a blank at its end", || Scene::saying("a ").bent("a ]]>", "a]]>")),
    (Cause::ValueTrimmed, "a line feed at its end", || Scene::saying("a\n").bent("a\n]]>", "a]]>")),
    (Cause::ValuesPadded, "indented", || {
        Scene::saying("a").bent("<![CDATA[", "\n    <![CDATA[").bent("]]>", "]]>\n  ")
    }),
    (Cause::ValuesEscaped, "escaped twice", || Scene::saying("a&b").bent("a&b", "a&amp;b")),
    (Cause::ValuesEscaped, "unescaped twice", || Scene::saying("a&amp;b").bent("a&amp;b", "a&b")),
    (Cause::BodyLineEnds, "to CRLF", || Scene::saying("a\nb").bent("\n", "\r\n")),
    (Cause::BodyLineEnds, "to LF", || Scene::saying("a\r\nb").bent("\r\n", "\n")),
    (Cause::BodyByteOrderMark, "a mark", || Scene::saying("a").bent("<xml>", "\u{feff}<xml>")),
    (Cause::BodyCharset, "read as ISO 8859-1", || {
        let mut scene = Scene::saying("支付");
        scene.body = scene.body.bytes().map(char::from).collect();
        scene
    }),
    (Cause::BodyFormDecoded, "a plus lost", || Scene::saying("a+b").bent("a+b", "a b")),
    (Cause::BodyFormDecoded, "percent-encoded", || Scene::saying("a").bent("<", "%3C").bent(">", "%3E")),
    (Cause::BodyCompressed, "gzip", || {
        let mut scene = Scene::saying("a");
        scene.headers.insert("content-encoding", HeaderValue::from_static("gzip"));
        scene
    }),
    (Cause::BodyLost, "not passed on", || Scene::of(Vec::new())),
    (Cause::ApiV3Notice, "of APIv3", || Scene::of(b"{\"id\":\"EV-1\"}".to_vec())),
    (Cause::ReturnCode, "a failure", || Scene::of(b"<xml><return_code>FAIL</return_code></xml>".to_vec())),
    (Cause::RefundKey, "another key", || Scene {
        key: "192006250b4c09247ec02edce69f6a2d".to_owned(),
        ..Scene::refund()
    }),
    (Cause::OtherMerchant, "another number", || Scene { mchids: vec!["1900000999".to_owned()], ..Scene::saying("a") }),
    (Cause::OtherMerchant, "another number and key", || {
        let key = "192006250b4c09247ec02edce69f6a2d".to_owned();
        Scene { mchids: vec!["1900000999".to_owned()], key, ..Scene::saying("a") }
    }),
    (Cause::Age, "ten days later", || Scene { now: NOW + 10 * 86_400, ..Scene::saying("a") }),
    (Cause::MembersHidden, "two members as one", || {
        let scene = Scene::saying("a");
        let (before, rest) = scene.body.split_once("<bank_type>").unwrap();
        let (bank, behind) = rest.split_once("</bank_type>").unwrap();
        let hidden = format!("a&bank_type={}", bank.trim_start_matches("<![CDATA[").trim_end_matches("]]>"));
        let body = format!("{before}{behind}").replace("<![CDATA[a]]>", &format!("<![CDATA[{hidden}]]>"));
        Scene { body, ..scene }
    }),
    (Cause::Form, "a GET", || Scene { method: Method::GET, ..Scene::saying("a") }),
    (Cause::Form, "a page", || Scene::of(b"<html><body>404</body></html>".to_vec())),
    (Cause::Unexplained, "another amount", || Scene::saying("a").bent("<total_fee><![CDATA[", "<total_fee><![CDATA[1")),
    (Cause::Unexplained, "another key", || Scene {
        key: "192006250b4c09247ec02edce69f6a2d".to_owned(),
        ..Scene::saying("a")
    }),
];

#[test]
fn every_mishap_is_named() {
    for (cause, what, mishap) in MISHAPS {
        let diagnosis = mishap().diagnose();
        assert_eq!(diagnosis.cause, *cause, "{what}: {}", diagnosis.detail);
    }
}

#[test]
fn every_cause_has_a_mishap() {
    for cause in Cause::ALL {
        assert!(MISHAPS.iter().any(|(named, ..)| named == cause), "{} is never produced", cause.code());
    }
}

#[test]
fn words_hold_no_value_and_no_key() {
    for (_, what, mishap) in MISHAPS {
        let scene = mishap();
        let words = scene.diagnose().detail;
        assert!(words.len() < 300 && !words.contains(&scene.key) && !words.contains("oUpF8u"), "{what}: {words}");
    }
}

proptest::proptest! {
    #[test]
    fn no_body_is_too_strange(body in "\\PC{0,200}") {
        let scene = Scene::of(body.into_bytes());
        proptest::prop_assert_ne!(scene.diagnose().cause, Cause::Passes);
    }
}
