//! What forgers and accidents do to a notify URL (protocol 6), as named cases, each with what a gateway must make of it.

use std::time::Duration;

use tokio::task::JoinSet;

use super::client::{self, Target};
use super::keys::{Keys, SignedBy};
use super::notify::{Callback, Event, Stamp, signed, unix_now};
use super::sample::{self, Order};

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Copies that are sent at once.
const COPIES: usize = 20;

/// What must come of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// Every request is answered 4xx; nothing is delivered.
    Refused,
    /// Answered 4xx, or the connection is closed; nothing is delivered.
    Closed,
    /// The event in it is delivered exactly once.
    DeliveredOnce,
}

/// One attack.
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// What is done, and why it must not work.
    pub about: &'static str,
    /// What must come of it.
    pub expectation: Expectation,
    requests: fn(&Forge<'_>) -> Requests,
}

/// What came of a case.
#[derive(Clone, Debug)]
pub struct CaseResult {
    /// The case.
    pub name: &'static str,
    /// What it did.
    pub about: &'static str,
    /// What must come of it.
    pub expectation: Expectation,
    /// The answers, in the order of the requests; requests without an answer are left out.
    pub statuses: Vec<u16>,
    /// Whether the answers are as expected. What was delivered only the app knows.
    pub held: bool,
}

/// What a case sends.
enum Requests {
    InTurn(Vec<Vec<u8>>),
    AtOnce(Vec<Vec<u8>>),
}

/// What a case is made with.
struct Forge<'a> {
    keys: &'a Keys,
    target: &'a Target,
}

impl Forge<'_> {
    fn event(&self) -> Event {
        let order = Order::new(&self.keys.merchant, unix_now());
        sample::ALL.first().map_or_else(|| unreachable_sample(&order), |sample| sample.event(&order))
    }

    /// A genuine callback for a new event.
    fn genuine(&self) -> Callback {
        self.sign(&self.event())
    }

    fn sign(&self, event: &Event) -> Callback {
        event.callback(self.keys, SignedBy::Certificate, &self.target.path, unix_now())
    }

    fn at(&self, offset: i64) -> Callback {
        let unix = unix_now().saturating_add(offset);
        self.event().callback(self.keys, SignedBy::Certificate, &self.target.path, unix)
    }

    /// Any body, signed by WeChat's key.
    fn signed(&self, body: impl Into<Vec<u8>>) -> Callback {
        let nonce = super::random_text(32).unwrap_or_default();
        let stamp = Stamp { by: SignedBy::Certificate, timestamp: &unix_now().to_string(), nonce: &nonce };
        signed(self.keys, stamp, &self.target.path, body.into())
    }

    /// A genuine event with another resource in it.
    fn resource(&self, edit: impl Fn(String) -> String) -> Callback {
        let event = self.event();
        self.sign(&Event { resource: edit(event.resource.clone()), ..event })
    }

    /// A genuine body, changed and then signed.
    fn body(&self, edit: impl Fn(String) -> String) -> Callback {
        self.signed(edit(String::from_utf8_lossy(&self.genuine().body).into_owned()))
    }

    fn one(&self, callback: &Callback) -> Requests {
        Requests::InTurn(vec![self.http(callback)])
    }

    fn http(&self, callback: &Callback) -> Vec<u8> {
        callback.clone().with_header("Connection", "close").to_http(&self.target.authority)
    }
}

fn unreachable_sample(order: &Order) -> Event {
    let resource = format!(r#"{{"out_trade_no":"{}"}}"#, order.out_trade_no);
    let text = || "transaction".to_owned();
    Event {
        id: order.out_trade_no.clone(),
        create_time: text(),
        event_type: text(),
        original_type: text(),
        summary: text(),
        resource,
    }
}

impl Case {
    /// Sends what the case sends and judges the answers.
    pub async fn run(&self, url: &str, keys: &Keys) -> CaseResult {
        let statuses = match url.parse::<Target>() {
            Ok(target) => {
                let requests = (self.requests)(&Forge { keys, target: &target });
                requests.send(&target.authority).await
            }
            Err(_) => Vec::new(),
        };
        let held = self.expectation.holds(&statuses);
        CaseResult { name: self.name, about: self.about, expectation: self.expectation, statuses, held }
    }
}

impl Expectation {
    fn holds(self, statuses: &[u16]) -> bool {
        let refused = statuses.iter().all(|status| (400..500).contains(status));
        match self {
            Self::Refused => refused && !statuses.is_empty(),
            Self::Closed => refused,
            Self::DeliveredOnce => {
                statuses.contains(&200) && statuses.iter().all(|status| matches!(status, 200 | 409 | 503))
            }
        }
    }
}

impl Requests {
    async fn send(self, authority: &str) -> Vec<u16> {
        let mut statuses = Vec::new();
        match self {
            Self::InTurn(requests) => {
                for request in requests {
                    statuses.extend(client::exchange(authority, &request, PATIENCE).await.map(|answer| answer.status));
                }
            }
            Self::AtOnce(requests) => {
                let mut tasks = JoinSet::new();
                for request in requests {
                    let authority = authority.to_owned();
                    tasks.spawn(async move { client::exchange(&authority, &request, PATIENCE).await });
                }
                while let Some(end) = tasks.join_next().await {
                    statuses.extend(end.into_iter().flatten().map(|answer| answer.status));
                }
            }
        }
        statuses
    }
}

/// Every case.
pub fn cases() -> Vec<Case> {
    [forged(), stale(), heads(), bodies(), strangers(), repeated()].into_iter().flatten().collect()
}

const fn case(
    name: &'static str,
    about: &'static str,
    expectation: Expectation,
    requests: fn(&Forge<'_>) -> Requests,
) -> Case {
    Case { name, about, expectation, requests }
}

use Expectation::{Closed, DeliveredOnce, Refused};

fn forged() -> Vec<Case> {
    vec![
        case("forged-signature", "signed with a key that is not WeChat's", Refused, |f| {
            let genuine = f.genuine();
            let signature = f.keys.merchant.sign(&genuine.body);
            f.one(&genuine.with_header("Wechatpay-Signature", &signature))
        }),
        case("no-signature", "the signature left out", Refused, |f| {
            f.one(&f.genuine().with_header("Wechatpay-Signature", ""))
        }),
        case("amount-changed", "a genuine request with one byte of the body changed", Refused, |f| {
            let mut changed = f.genuine();
            if let Some(byte) = changed.body.iter_mut().rev().nth(20) {
                *byte ^= 1;
            }
            f.one(&changed)
        }),
        case("body-cut", "a genuine request without its last byte", Refused, |f| {
            let mut cut = f.genuine();
            cut.body.pop();
            f.one(&cut)
        }),
        case("body-line-feed", "a proxy added a line feed", Refused, |f| {
            let mut longer = f.genuine();
            longer.body.push(b'\n');
            f.one(&longer)
        }),
        case("nonce-changed", "another nonce, so that a replay would look new", Refused, |f| {
            f.one(&f.genuine().with_header("Wechatpay-Nonce", "0123456789abcdef0123456789abcdef"))
        }),
        case("timestamp-changed", "another timestamp, so that an old request would look new", Refused, |f| {
            let old = f.at(-1000);
            f.one(&old.with_header("Wechatpay-Timestamp", &unix_now().to_string()))
        }),
        case("signature-plus-zero-byte", "the signature with a byte more", Refused, |f| {
            let genuine = f.genuine();
            let bytes = genuine.header("Wechatpay-Signature").map(|text| base64_simd::STANDARD.decode_to_vec(text));
            let longer = [&[0], bytes.and_then(Result::ok).unwrap_or_default().as_slice()].concat();
            f.one(&genuine.with_header("Wechatpay-Signature", &base64_simd::STANDARD.encode_to_string(longer)))
        }),
        case("signature-not-base64", "the signature is no base64", Refused, |f| {
            f.one(&f.genuine().with_header("Wechatpay-Signature", "!!!not base64!!!"))
        }),
        case("wrong-kind-of-key", "signed with the certificate's key, named as the public key's", Refused, |f| {
            let id = f.keys.platform.public_key_id.clone();
            f.one(&f.genuine().with_header("Wechatpay-Serial", &id))
        }),
        case("signature-probe", "WeChat's own test that forged signatures are refused", Refused, |f| {
            let probe = format!("WECHATPAY/SIGNTEST/{}", super::random_text(40).unwrap_or_default());
            f.one(&f.genuine().with_header("Wechatpay-Signature", &probe))
        }),
    ]
}

fn stale() -> Vec<Case> {
    vec![
        case("stale", "signed 301 s ago", Refused, |f| f.one(&f.at(-301))),
        case("ahead", "signed 302 s in the future", Refused, |f| f.one(&f.at(302))),
        case("timestamp-zero", "the timestamp 0", Refused, |f| {
            f.one(&f.genuine().with_header("Wechatpay-Timestamp", "0"))
        }),
        case("timestamp-milliseconds", "the timestamp in milliseconds", Refused, |f| {
            let millis = unix_now().saturating_mul(1000).to_string();
            f.one(&f.genuine().with_header("Wechatpay-Timestamp", &millis))
        }),
        case("timestamp-spelled-otherwise", "the timestamp with a plus sign", Refused, |f| {
            let text = format!("+{}", unix_now());
            f.one(&f.genuine().with_header("Wechatpay-Timestamp", &text))
        }),
    ]
}

fn heads() -> Vec<Case> {
    vec![
        case("header-twice", "two serials, to be verified by one and judged by the other", Refused, |f| {
            let mut twice = f.genuine();
            twice.headers.push(("Wechatpay-Serial".to_owned(), "0123456789ABCDEF".to_owned()));
            f.one(&twice)
        }),
        case("header-twice-equal", "the same nonce twice", Refused, |f| {
            let mut twice = f.genuine();
            let nonce = twice.header("Wechatpay-Nonce").unwrap_or_default().to_owned();
            twice.headers.push(("wechatpay-nonce".to_owned(), nonce));
            f.one(&twice)
        }),
        case("unknown-serial", "a serial that nobody has", Refused, |f| {
            f.one(&f.genuine().with_header("Wechatpay-Serial", "00112233445566778899AABBCCDDEEFF00112233"))
        }),
        case("serial-as-path", "a serial that would be a path", Refused, |f| {
            f.one(&f.genuine().with_header("Wechatpay-Serial", "../../../../etc/passwd"))
        }),
        case("other-signature-type", "a signature type that is to be believed", Refused, |f| {
            f.one(&f.genuine().with_header("Wechatpay-Signature-Type", "NONE"))
        }),
        case("get", "GET instead of POST", Refused, |f| f.one(&Callback { method: "GET".to_owned(), ..f.genuine() })),
        case("gzip", "a body that says that it is compressed", Refused, |f| {
            f.one(&f.genuine().with_header("Content-Encoding", "gzip"))
        }),
        case("head-too-large", "a head of 64 KiB", Closed, |f| {
            f.one(&f.genuine().with_header("X-Filler", &"a".repeat(65_536)))
        }),
        case("two-lengths", "Content-Length and Transfer-Encoding at once (request smuggling)", Closed, |f| {
            let smuggled = f.http(&f.genuine());
            let head = format!(
                "POST {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                f.target.path,
                smuggled.len()
            );
            Requests::InTurn(vec![[head.as_bytes(), &smuggled].concat()])
        }),
    ]
}

fn bodies() -> Vec<Case> {
    vec![
        case("empty-body", "nothing, signed", Refused, |f| f.one(&f.signed(""))),
        case("not-json", "signed, but no JSON", Refused, |f| f.one(&f.signed("<xml></xml>"))),
        case("duplicate-names", "signed JSON that two parsers read differently", Refused, |f| {
            f.one(&f.body(|body| body.replacen('{', "{\"id\":\"EV-other\",", 1)))
        }),
        case("deep-json", "signed JSON, nested 100,000 deep", Refused, |f| {
            f.one(&f.signed(format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000))))
        }),
        case("trailing-bytes", "signed JSON with more behind it", Refused, |f| f.one(&f.body(|body| body + "{}"))),
        case("body-too-large", "a body of 2 MiB", Closed, |f| {
            let mut large = f.genuine();
            large.body = vec![b' '; 2 * 1024 * 1024];
            f.one(&large)
        }),
        case("unknown-algorithm", "a resource that says it is encrypted otherwise", Refused, |f| {
            f.one(&f.body(|body| body.replace("AEAD_AES_256_GCM", "NONE")))
        }),
        case("tag-broken", "a resource that does not decrypt", Refused, |f| {
            f.one(&f.body(|body| body.replacen("\"ciphertext\":\"", "\"ciphertext\":\"AAAA", 1)))
        }),
        case("resource-duplicate-amount", "an encrypted resource with two amounts", Refused, |f| {
            f.one(&f.resource(|resource| resource.replacen('{', "{\"amount\":{\"total\":1},", 1)))
        }),
    ]
}

fn strangers() -> Vec<Case> {
    vec![
        case("other-merchant", "a genuine event of another merchant", Refused, |f| {
            f.one(&f.resource(|resource| resource.replace(&f.keys.merchant.mchid, "1900009999")))
        }),
        case("other-app", "a genuine event of another app", Refused, |f| {
            f.one(&f.resource(|resource| resource.replace(&f.keys.merchant.appid, "wxother0000000000")))
        }),
        case("other-path", "a genuine event to a path that is no endpoint's", Refused, |f| {
            f.one(&Callback { path: "/admin".to_owned(), ..f.genuine() })
        }),
        case("path-tricks", "a genuine event to the endpoint by another spelling", Refused, |f| {
            let paths =
                [format!("{}/", f.target.path), format!("/x/..{}", f.target.path), format!("/{}", f.target.path)];
            let send = |path: &String| f.http(&Callback { path: path.clone(), ..f.genuine() });
            Requests::InTurn(paths.iter().map(send).collect())
        }),
    ]
}

fn repeated() -> Vec<Case> {
    vec![
        case("replayed", "a genuine request, captured and sent again three times", DeliveredOnce, |f| {
            let captured = f.http(&f.genuine());
            Requests::InTurn(vec![captured; 4])
        }),
        case("copies-at-once", "one event, signed 20 times, all at once", DeliveredOnce, |f| {
            let event = f.event();
            Requests::AtOnce((0..COPIES).map(|_| f.http(&f.sign(&event))).collect())
        }),
        case("captured-at-once", "one captured request, 20 times at once", DeliveredOnce, |f| {
            let captured = f.http(&f.genuine());
            Requests::AtOnce(vec![captured; COPIES])
        }),
        case("same-id-other-amount", "a second event under the id of a first", DeliveredOnce, |f| {
            let first = f.event();
            let second = Event { resource: first.resource.replace("\"total\":100", "\"total\":1"), ..first.clone() };
            Requests::InTurn(vec![f.http(&f.sign(&first)), f.http(&f.sign(&second))])
        }),
        case("spoofed-headers", "headers that only a gateway may write", DeliveredOnce, |f| {
            let callback = f.genuine().with_header("Wxgate-Risk-Score", "-1000").with_header("Webhook-Id", "mine");
            f.one(&callback)
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_there_are_many() {
        let cases = cases();
        let names: std::collections::HashSet<_> = cases.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), cases.len());
        assert!(cases.len() >= 40, "{}", cases.len());
    }

    #[test]
    fn an_expectation_is_not_held_by_silence_or_success() {
        assert!(!Refused.holds(&[]) && !Refused.holds(&[200]) && !Refused.holds(&[401, 200]) && Refused.holds(&[401]));
        assert!(Closed.holds(&[]) && !Closed.holds(&[200]) && !Closed.holds(&[502]));
        assert!(DeliveredOnce.holds(&[200, 409]) && !DeliveredOnce.holds(&[503]) && !DeliveredOnce.holds(&[200, 401]));
    }
}
