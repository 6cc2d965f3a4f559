//! Why a captured push, or check of a URL, does not pass: of message push, open platforms and WeCom alike. The request is
//! judged again with what happens to queries and to `Encrypt` undone. See [`crate::wechat::diagnosis`].

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::Method;

use super::super::biz_msg_crypt::Crypt;
use super::super::diagnosis::bytes::{percent_decoded, replaced};
use super::super::diagnosis::{self, causes, found};
use super::super::head::{self, TimestampError};
use super::super::query::{Query, QueryError};
use super::super::{Received, Refusal as _};
use super::{EchoError, Message, OpenError, ScreenError, VerifyError, document};
use crate::clock::UnixTime;

causes! {
    /// What is wrong with a push.
    pub enum Cause {
        /// Nothing is wrong: it passes.
        Passes = "passes": "nothing is to be done";
        /// `msg_signature` signs the query alone, as `signature` does, and not what is encrypted.
        SignatureOfQuery = "signature-of-query": "let what sends or signs it again make `msg_signature` of token, timestamp, nonce and Encrypt; `signature` is the one without Encrypt";
        /// A parameter that the signature needs is not there.
        ParameterLost = "parameter-lost": "let what is in front pass the query on as it is, every parameter of it";
        /// A parameter came more than once.
        ParameterRepeated = "parameter-repeated": "find what in front adds the parameter a second time: a rewrite rule, a mirror";
        /// The query was encoded once more on its way: percent signs, `&amp;`.
        QueryEncoded = "query-encoded": "let what is in front pass the query on as it is; of a request written by hand, write `&` and encode values once";
        /// What is encrypted was decoded or encoded as a form: a plus became a blank, or a percent triple.
        BodyFormDecoded = "body-form-decoded": "let what is in front pass the body on byte for byte: something reads or writes it as form parameters";
        /// What is encrypted was written again: blanks, line ends, escapes, a byte order mark.
        BodyRewritten = "body-rewritten": "let what is in front pass the body on byte for byte: something writes the XML or JSON again";
        /// The body was compressed on its way.
        BodyCompressed = "body-compressed": "switch compression of requests off in what is in front: WeChat never compresses";
        /// The body is empty.
        BodyLost = "body-lost": "find what in front reads the body and does not pass it on: an authentication step, a mirror, a redirect";
        /// Everything fits but the time.
        Clock = "clock": "set the clock of this machine by NTP; for an old capture, say `--now` with the time of its arrival";
        /// Genuine, in another mode than `mode`.
        Mode = "mode": "set `mode` as it is set in WeChat's console; safe mode (安全模式) is the one to have";
        /// It is signed as the other protocol signs: WeCom's here, or a WeCom endpoint gets an official account's.
        OtherProtocol = "other-protocol": "set `protocol` to the one whose console has the URL: \"wecom\" of WeCom, \"message\" of official accounts and mini programs";
        /// The signature fits, and none of the keys decrypts.
        AesKey = "aes-key": "set the EncodingAESKey of WeChat's console; after a change keep the one before as the second of `keys.aes`";
        /// Genuine, and for another account, corp or suite.
        ReceiveId = "receive-id": "if the id is yours, add it to `expect`: of an open platform the component's app id, of a suite's command URL the suite id, of its check the provider's corp id, of a bot \"\"";
        /// Not in the form that the protocol describes.
        Form = "form": "if WeChat sent it, tell the maintainers: it is a form that is not known";
        /// No configured token fits, and nothing else that was tried does.
        Unexplained = "unexplained": "compare `keys.token` with the token in WeChat's console, letter by letter; if it is right, query or body were changed on their way: capture in front of every proxy and try again";
    }
}

/// What came of it.
pub type Diagnosis = diagnosis::Diagnosis<Cause>;

/// A protocol of this family as a diagnosis sees it.
pub(in crate::wechat) struct Subject<'a> {
    pub(in crate::wechat) crypt: &'a Crypt,
    pub(in crate::wechat) is_wecom: bool,
    /// The whole judgement: of a GET the check of the URL, else all steps.
    pub(in crate::wechat) judge: &'a dyn Fn(Received<'_>, &Bytes, UnixTime) -> Result<(), EchoError>,
}

impl Message {
    /// Judges a captured push or check of the URL and names what is wrong with it, by some dozens of signatures.
    pub fn diagnose(&self, received: Received<'_>, body: &Bytes, now: UnixTime) -> Diagnosis {
        let judge = |received: Received<'_>, body: &Bytes, now| {
            if *received.method == Method::GET {
                return self.echo(received, now).map(drop);
            }
            let screened = self.screen(received, now)?;
            Ok(self.open(self.verify(screened, body.clone())?).map(drop)?)
        };
        Subject { crypt: &self.crypt, is_wecom: false, judge: &judge }.diagnose(received, body, now)
    }
}

impl Subject<'_> {
    /// Names what is wrong.
    pub(in crate::wechat) fn diagnose(&self, received: Received<'_>, body: &Bytes, now: UnixTime) -> Diagnosis {
        let Err(refusal) = (self.judge)(received, body, now) else { return found(Cause::Passes, "") };
        if let EchoError::Content(refusal) = &refusal {
            return self.opened_not(received, body, refusal);
        }
        for query in queries(received.query) {
            if self.is_signed(Received { query: &query, ..received }, body) {
                return found(Cause::QueryEncoded, "it passes once the query is decoded one time more");
            }
        }
        if let Some(diagnosis) = self.told(received, body, &refusal) {
            return diagnosis;
        }
        self.unsigned(received, body, &refusal)
    }

    /// What the refusal itself tells. None: the signature decides.
    fn told(&self, received: Received<'_>, body: &Bytes, refusal: &EchoError) -> Option<Diagnosis> {
        let has = |name| Query::parse(received.query).is_ok_and(|query| query.once(name).is_ok());
        let cause = match refusal {
            EchoError::Head(head) => match head {
                ScreenError::Query(QueryError::Repeated(_)) => Cause::ParameterRepeated,
                ScreenError::Query(QueryError::Missing("signature")) if has("msg_signature") => Cause::OtherProtocol,
                ScreenError::Query(QueryError::Missing("msg_signature")) if self.is_wecom && has("signature") => {
                    Cause::OtherProtocol
                }
                ScreenError::Query(QueryError::Missing(_)) => Cause::ParameterLost,
                ScreenError::Compressed => Cause::BodyCompressed,
                ScreenError::Method | ScreenError::EncryptType => Cause::Form,
                ScreenError::NotEncrypted if has("msg_signature") && !has("signature") => Cause::OtherProtocol,
                ScreenError::NotEncrypted if has("msg_signature") => {
                    return Some(found(Cause::ParameterLost, "`encrypt_type` is absent, and `msg_signature` is there"));
                }
                ScreenError::NotEncrypted | ScreenError::Encrypted => {
                    self.is_query_signed(received.query, "signature").then_some(Cause::Mode)?
                }
                ScreenError::Timestamp(TimestampError::Window { .. }) => {
                    self.is_signed(received, body).then_some(Cause::Clock)?
                }
                ScreenError::Query(QueryError::Size | QueryError::Encoding)
                | ScreenError::Timestamp(TimestampError::Form)
                | ScreenError::Form(_)
                | ScreenError::Signature => return None,
            },
            EchoError::Signature(VerifyError::NotEncrypted) => {
                self.is_query_signed(received.query, "signature").then_some(Cause::Mode)?
            }
            EchoError::Signature(VerifyError::Envelope(_)) if body.is_empty() => Cause::BodyLost,
            EchoError::Signature(VerifyError::Envelope(_) | VerifyError::Signature) | EchoError::Content(_) => {
                return None;
            }
        };
        Some(found(cause, refusal))
    }

    /// The signature does not fit as it is: what makes it fit?
    fn unsigned(&self, received: Received<'_>, body: &Bytes, refusal: &EchoError) -> Diagnosis {
        if self.is_query_signed(received.query, "msg_signature") {
            let what = "`msg_signature` is that of token, timestamp and nonce alone";
            return found(Cause::SignatureOfQuery, what);
        }
        for (cause, what, undone) in bodies(body) {
            if self.is_signed(received, &undone.into()) {
                return found(cause, format_args!("the signature fits once this is undone: {what}"));
            }
        }
        let encrypted = document::envelope(body).ok().and_then(|envelope| envelope.encrypted).unwrap_or_default();
        for (cause, what, undone) in texts(&encrypted) {
            if self.signs(received.query, &[&undone], "msg_signature") {
                return found(cause, format_args!("the signature fits once this is undone in Encrypt: {what}"));
            }
        }
        let cause = if let EchoError::Signature(VerifyError::Envelope(_) | VerifyError::NotEncrypted) = refusal {
            Cause::Form
        } else {
            Cause::Unexplained
        };
        found(cause, refusal)
    }

    fn opened_not(&self, received: Received<'_>, body: &Bytes, refusal: &OpenError) -> Diagnosis {
        match refusal {
            OpenError::Ciphertext => found(Cause::AesKey, refusal),
            OpenError::ReceiveId => {
                let id = encrypted(received, body).and_then(|encrypted| self.crypt.receive_id(&encrypted));
                let id = id.unwrap_or_else(|| "a strange text".to_owned());
                found(Cause::ReceiveId, format_args!("the message ends with {id}, which `expect` does not have"))
            }
            OpenError::Content(_) | OpenError::BadName(_) => {
                found(Cause::Form, format_args!("{}: {refusal}", refusal.reason().code()))
            }
        }
    }

    /// Whether the signature holds, at the time that it names itself.
    fn is_signed(&self, received: Received<'_>, body: &Bytes) -> bool {
        let signed_at = |query: &Query<'_>| head::seconds(query.once("timestamp").ok()?.as_bytes());
        let signed_at = Query::parse(received.query).ok().and_then(|query| signed_at(&query));
        signed_at.is_some_and(|at| {
            matches!((self.judge)(received, body, UnixTime::from_secs(at)), Ok(()) | Err(EchoError::Content(_)))
        })
    }

    /// Whether this parameter signs timestamp and nonce alone.
    fn is_query_signed(&self, query: &str, name: &'static str) -> bool {
        self.signs(query, &[], name)
    }

    /// Whether this parameter signs timestamp, nonce and `more`, by any of the tokens.
    fn signs(&self, query: &str, more: &[&str], name: &'static str) -> bool {
        let signs = |query: &Query<'_>| {
            let (timestamp, nonce) = (query.once("timestamp").ok()?, query.once("nonce").ok()?);
            let parts = [&[timestamp, nonce], more].concat();
            self.crypt.signer(&parts, query.once(name).ok()?)
        };
        Query::parse(query).is_ok_and(|query| signs(&query).is_some())
    }
}

/// Queries that may have been sent.
fn queries(query: &str) -> impl Iterator<Item = String> {
    let decoded = String::from_utf8(percent_decoded(query.as_bytes())).ok();
    let all = [decoded, Some(query.replace("&amp;", "&"))];
    all.into_iter().flatten().filter(move |undone| undone != query)
}

/// Bodies that may have been sent.
fn bodies(body: &[u8]) -> Vec<(Cause, &'static str, Vec<u8>)> {
    let mut all = vec![
        (Cause::BodyFormDecoded, "it was percent-encoded", percent_decoded(body)),
        (
            Cause::BodyRewritten,
            "a byte order mark was added",
            body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).to_vec(),
        ),
        (Cause::BodyRewritten, "slashes were escaped", replaced(body, br"\/", b"/")),
    ];
    all.retain(|(_, _, undone)| undone != body);
    all
}

/// What Encrypt may have been.
fn texts(encrypted: &str) -> Vec<(Cause, &'static str, String)> {
    let without_blanks: String = encrypted.split_ascii_whitespace().collect();
    let mut all = vec![
        (Cause::BodyFormDecoded, "pluses became blanks", encrypted.replace(' ', "+")),
        (Cause::BodyRewritten, "blanks or line ends were put in", without_blanks.clone()),
        (Cause::BodyFormDecoded, "pluses became blanks, and blanks were trimmed", encrypted.trim().replace(' ', "+")),
    ];
    for padding in ["=", "=="] {
        all.push((Cause::BodyRewritten, "its padding was cut off", format!("{without_blanks}{padding}")));
    }
    all.retain(|(_, _, undone)| undone != encrypted);
    all
}

/// What is encrypted: of WeCom's check echostr, else Encrypt.
fn encrypted(received: Received<'_>, body: &Bytes) -> Option<String> {
    if *received.method == Method::GET {
        return Some(Query::parse(received.query).ok()?.once("echostr").ok()?.replace(' ', "+"));
    }
    document::envelope(body).ok()?.encrypted
}
