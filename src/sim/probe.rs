//! A running endpoint looked at from outside, the way WeChat comes to it: does it refuse what is forged, and does what is
//! signed arrive as it was sent?
//!
//! Nothing that is sent here is an event: what is signed with a test key holds a resource that does not decrypt. An
//! endpoint that trusts the test key answers 400 to it, which says that the signature held and so that every byte came
//! through; 401 says that something between changed the request.

use std::io;
use std::time::Duration;

use super::keys::{Keys, SignedBy};
use super::notify::{Callback, Event, sign_now, unix_now};
use super::sign;
use super::wire::{self, Answer, Target};

/// Longest wait for an answer: WeChat's own.
const PATIENCE: Duration = Duration::from_secs(5);

/// A serial that no key has.
const UNKNOWN: &str = "0000000000000000000000000000000000000001";

/// One look at the endpoint.
pub struct Probe {
    /// Kebab-case.
    pub name: &'static str,
    /// What an answer other than the right one means, and what to do.
    pub otherwise: &'static str,
    wanted: u16,
    message: fn(&Probing<'_>) -> Vec<u8>,
}

/// What a look has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Whether it is as it should be.
    pub good: bool,
    /// What was answered.
    pub answered: String,
}

/// An endpoint, and the keys that it is probed with.
pub struct Probing<'a> {
    /// The endpoint.
    pub target: &'a Target,
    /// Keys that the endpoint may trust.
    pub keys: &'a Keys,
    /// With which of them is signed.
    pub by: SignedBy,
}

/// Looks that need no key that the endpoint trusts.
pub const REFUSALS: &[Probe] = &[
    Probe {
        name: "answers-callbacks",
        otherwise: "no endpoint has this path and host, or something in front answers in its place: check the URL and the routes",
        wanted: 405,
        message: |probing| request(probing, &Callback { method: "GET".to_owned(), ..probing.signed(&body("")) }),
    },
    Probe {
        name: "refuses-signature-probes",
        otherwise: "a signature that WeChat forged on purpose was not refused as it must be: whoever answers here does not verify",
        wanted: 401,
        message: |probing| {
            let callback = probing.signed(&body(""));
            let forged = format!("WECHATPAY/SIGNTEST/{}", callback.header("Wechatpay-Signature").unwrap_or_default());
            request(probing, &callback.with("Wechatpay-Signature", &forged))
        },
    },
    Probe {
        name: "refuses-strangers",
        otherwise: "a request of a key that nobody trusts was not refused as it must be: whoever answers here does not verify",
        wanted: 401,
        message: |probing| {
            let callback = probing.signed(&body(""));
            request(probing, &callback.with("Wechatpay-Serial", UNKNOWN))
        },
    },
];

/// The look that tells whether the endpoint trusts the test key at all.
pub const TRUST: Probe = Probe {
    name: "trusts-the-test-key",
    otherwise: "the endpoint does not trust the test key, or something in front changes every request: only refusals were looked at",
    wanted: 400,
    message: |probing| request(probing, &probing.signed(&body(""))),
};

/// Looks at what arrives of what was sent, for an endpoint that trusts the test key.
pub const FIDELITY: &[Probe] = &[
    Probe {
        name: "keeps-blanks-at-the-ends",
        otherwise: "blanks at the ends of a body are lost: something in front trims it or reads it line by line",
        wanted: 400,
        message: |probing| request(probing, &probing.signed(&["\n ", &body(""), " \r\n"].concat())),
    },
    Probe {
        name: "keeps-line-ends",
        otherwise: "line ends are changed: something in front treats the body as a text file",
        wanted: 400,
        message: |probing| request(probing, &probing.signed(&body("").replace(',', ",\r\n\n"))),
    },
    Probe {
        name: "keeps-the-text-of-json",
        otherwise: "the body is parsed and written again: something in front binds it to an object",
        wanted: 400,
        message: |probing| request(probing, &probing.signed(&body(r"\u652f\/  ").replace("\":\"", "\" :  \""))),
    },
    Probe {
        name: "keeps-utf-8",
        otherwise: "what is not ASCII is changed: something in front decodes the body by another character set",
        wanted: 400,
        message: |probing| request(probing, &probing.signed(&body("支付成功 ✓ é 𠀀"))),
    },
    Probe {
        name: "keeps-plus-and-percent",
        otherwise: "`+` or `%` is decoded: something in front reads the body as form parameters",
        wanted: 400,
        message: |probing| request(probing, &probing.signed(&body("a+b%20c%2Bd&e=f"))),
    },
    Probe {
        name: "takes-large-bodies",
        otherwise: "a body of 200 kB is refused or cut: raise the limit of what is in front (nginx: client_max_body_size)",
        wanted: 400,
        message: |probing| request(probing, &probing.signed(&body(&"x".repeat(200_000)))),
    },
    Probe {
        name: "takes-chunked-bodies",
        otherwise: "a chunked body does not arrive: something in front does not pass it on",
        wanted: 400,
        message: |probing| chunked(probing, &probing.signed(&body(""))),
    },
    Probe {
        name: "keeps-lower-case-headers",
        otherwise: "headers in lower case, as HTTP/2 writes them, are not found: something in front matches their case",
        wanted: 401, // a lost header is 400: a serial that nobody knows is read only if all are there
        message: |probing| {
            let mut callback = probing.signed(&body("")).with("Wechatpay-Serial", UNKNOWN);
            callback.headers.iter_mut().for_each(|(name, _)| name.make_ascii_lowercase());
            request(probing, &callback)
        },
    },
];

impl Probe {
    /// Sends it and judges the answer.
    pub async fn look(&self, probing: &Probing<'_>) -> io::Result<Looked> {
        let message = (self.message)(probing);
        let Answer { status, .. } = wire::exchange(probing.target.address, &message, PATIENCE).await?;
        Ok(Looked { good: status == self.wanted, answered: format!("{status}, {} is right", self.wanted) })
    }
}

impl Probing<'_> {
    fn signed(&self, body: &str) -> Callback {
        sign_now(self.keys, self.by, &self.target.path, unix_now(), body.as_bytes().to_vec())
    }
}

/// A callback's body whose resource nobody can decrypt, with `summary` in it.
fn body(summary: &str) -> String {
    let event = Event {
        id: format!("PROBE-{}", sign::random_text::<20>()),
        create_time: "2026-01-01T00:00:00+08:00".to_owned(),
        event_type: "TRANSACTION.SUCCESS".to_owned(),
        original_type: "transaction".to_owned(),
        summary: "@".to_owned(),
        associated_data: "transaction".to_owned(),
        resource: String::new(),
    };
    let nothing = sign::seal(&sign::random(), "0123456789ab", "transaction", b"{}").unwrap_or_default();
    let body = String::from_utf8(event.envelope("0123456789ab", &nothing)).unwrap_or_default();
    body.replace("\"@\"", &format!("\"{summary}\""))
}

fn request(probing: &Probing<'_>, callback: &Callback) -> Vec<u8> {
    callback.to_http(&probing.target.host)
}

/// In two chunks.
fn chunked(probing: &Probing<'_>, callback: &Callback) -> Vec<u8> {
    let mut message = callback.head(&probing.target.host);
    message.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
    let (first, second) = callback.body.split_at(callback.body.len() / 2);
    for chunk in [first, second] {
        message.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        message.extend_from_slice(chunk);
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"0\r\n\r\n");
    message
}
