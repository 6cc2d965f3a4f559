//! What goes back to WeChat: the app's reply, encrypted if the push was, or the acknowledgement that its kind asks for.
//!
//! WeChat shows the user that the service is broken when an answer is neither `success`, nor empty, nor a reply as it wants
//! it (protocol 3.4). So what an app says that is none of these becomes the acknowledgement, with a fault for the log.

use bytes::Bytes;

use super::super::answer::{self, Answer};
use super::super::biz_msg_crypt::SealedBy;
use super::super::json::{self, At, Take};
use super::super::xml;
use super::document;
use super::refusal::Format;
use crate::clock::UnixTime;

/// Largest reply of an app that is passed on, in bytes. WeChat takes text of 2048 bytes, and 8 articles.
const MAX_REPLY: usize = 64 * 1024;

/// What says that a push was taken, where the app has nothing to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wechat) enum Acknowledgement {
    /// `success`, plain even where the push was encrypted.
    Success,
    /// `{"ErrCode":0,"ErrMsg":"success"}`, as virtual payment wants it, or the same in XML.
    ErrCode,
    /// An empty body.
    Empty,
    /// There is none: only the app can answer. Where it does not, an empty body goes out.
    None,
}

/// How a push is answered: in which form, and encrypted with what. Holds what it needs, so that a change of keys between
/// push and reply changes nothing.
#[derive(Clone, Debug)]
pub struct ReplyTo {
    format: Format,
    acknowledgement: Acknowledgement,
    seal: Option<Seal>,
}

/// What a reply is encrypted with.
#[derive(Clone, Debug)]
pub(super) struct Seal {
    pub(super) by: SealedBy,
    /// The push's own, which may be used again (protocol 3.4).
    pub(super) nonce: String,
    pub(super) is_lower_case: bool,
}

/// An answer, and what was wrong with the app's own if it could not be passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What goes out.
    pub answer: Answer,
    /// Why it is not what the app said.
    pub fault: Option<ReplyFault>,
}

/// What WeChat would not understand, so that the acknowledgement went out instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplyFault {
    /// Too large.
    #[error("the app's reply has more than {MAX_REPLY} bytes; WeChat was told `success`")]
    TooLarge,
    /// Not in XML, where XML is configured.
    #[error(
        "the app's reply is no message in XML, the format set in WeChat's console; WeChat was told `success`. To say nothing, answer with an empty body or `success`"
    )]
    NotXml,
    /// Not in JSON, where JSON is configured.
    #[error(
        "the app's reply is no JSON object, the format set in WeChat's console; WeChat was told `success`. To say nothing, answer with an empty body or `success`"
    )]
    NotJson,
    /// Nothing, where only the app can answer.
    #[error("the app said nothing to a question that only it can answer; WeChat was told nothing either")]
    Unanswered,
}

impl ReplyTo {
    pub(super) fn plain(format: Format, acknowledgement: Acknowledgement) -> Self {
        Self { format, acknowledgement, seal: None }
    }

    pub(super) fn sealed(format: Format, acknowledgement: Acknowledgement, seal: Seal) -> Self {
        Self { format, acknowledgement, seal: Some(seal) }
    }

    /// The answer to a push that was taken and has no reply: forwarded before, held, queued.
    pub fn acknowledge(&self) -> Answer {
        match (self.acknowledgement, self.format) {
            (Acknowledgement::Success, _) => answer::text(200, "success"),
            (Acknowledgement::Empty | Acknowledgement::None, _) => answer::text(200, ""),
            (Acknowledgement::ErrCode, Format::Json) => {
                written(Format::Json, Bytes::from_static(br#"{"ErrCode":0,"ErrMsg":"success"}"#))
            }
            (Acknowledgement::ErrCode, Format::Xml) => written(
                Format::Xml,
                Bytes::from_static(b"<xml><ErrCode>0</ErrCode><ErrMsg><![CDATA[success]]></ErrMsg></xml>"),
            ),
        }
    }

    /// Whether the app asks for the push again in virtual payment's own words, an ErrCode that is not 0 (protocol 3.4). Its
    /// 2xx does then not mean that the event is done.
    pub fn wants_retry(&self, said: &[u8]) -> bool {
        if self.acknowledgement != Acknowledgement::ErrCode || said.len() > MAX_REPLY {
            return false;
        }
        let code = match document::format(said) {
            Format::Json => {
                let mut code = ErrCode::default();
                json::read(said, &mut code).ok().and(code.0)
            }
            Format::Xml => xml::read(said.trim_ascii())
                .and_then(|root| Ok(root.only("ErrCode")?.map(|code| code.trim() != "0")))
                .unwrap_or_default(),
        };
        code.unwrap_or(false)
    }

    /// The answer from what the app said with its 2xx. `random` must be new each time.
    pub fn reply(&self, said: &[u8], random: [u8; 16], now: UnixTime) -> Reply {
        let instead = |fault| Reply { answer: self.acknowledge(), fault };
        let said = said.strip_prefix("\u{feff}".as_bytes()).unwrap_or(said).trim_ascii();
        if said.is_empty() || said == b"success" {
            return instead((self.acknowledgement == Acknowledgement::None).then_some(ReplyFault::Unanswered));
        }
        if said.len() > MAX_REPLY {
            return instead(Some(ReplyFault::TooLarge));
        }
        if let Err(fault) = self.is_understood(said) {
            return instead(Some(fault));
        }
        match &self.seal {
            None => Reply { answer: written(self.format, Bytes::copy_from_slice(said)), fault: None },
            Some(seal) => match seal.envelope(self.format, said, random, now) {
                Some(body) => Reply { answer: written(self.format, body), fault: None },
                None => instead(Some(ReplyFault::TooLarge)),
            },
        }
    }

    fn is_understood(&self, said: &[u8]) -> Result<(), ReplyFault> {
        match self.format {
            Format::Xml => match xml::read(said) {
                Ok(root) if root.name() == "xml" && !root.children().is_empty() => Ok(()),
                Ok(_) | Err(_) => Err(ReplyFault::NotXml),
            },
            Format::Json => json::read(said, &mut ErrCode::default()).map_err(|_| ReplyFault::NotJson),
        }
    }
}

impl Seal {
    /// The encrypted reply in its envelope (protocol 3.4, 4).
    pub(super) fn envelope(&self, format: Format, message: &[u8], random: [u8; 16], now: UnixTime) -> Option<Bytes> {
        let encrypted = self.by.seal(message, random)?;
        let (timestamp, nonce) = (now.secs().to_string(), &self.nonce);
        let signature = self.by.sign(&[&timestamp, nonce, &encrypted]);
        // The nonce passed the screen: nothing in any of these has to be escaped.
        let body = match (format, self.is_lower_case) {
            (Format::Xml, _) => format!(
                "<xml><Encrypt><![CDATA[{encrypted}]]></Encrypt><MsgSignature><![CDATA[{signature}]]></MsgSignature>\
                 <TimeStamp>{timestamp}</TimeStamp><Nonce><![CDATA[{nonce}]]></Nonce></xml>"
            ),
            (Format::Json, false) => format!(
                r#"{{"Encrypt":"{encrypted}","MsgSignature":"{signature}","TimeStamp":{timestamp},"Nonce":"{nonce}"}}"#
            ),
            (Format::Json, true) => format!(
                r#"{{"encrypt":"{encrypted}","msgsignature":"{signature}","timestamp":{timestamp},"nonce":"{nonce}"}}"#
            ),
        };
        Some(Bytes::from(body))
    }
}

fn written(format: Format, body: Bytes) -> Answer {
    let content_type = match format {
        Format::Xml => "text/xml; charset=utf-8",
        Format::Json => "application/json; charset=utf-8",
    };
    Answer { status: 200, content_type, body, retry_after: None }
}

/// Whether a JSON document has an ErrCode that is not 0.
#[derive(Default)]
struct ErrCode(Option<bool>);

impl<'de> Take<'de> for ErrCode {
    fn text(&mut self, at: At<'_>, value: std::borrow::Cow<'de, str>) {
        if let At::Top("ErrCode") = at {
            self.0 = Some(value != "0");
        }
    }

    fn integer(&mut self, at: At<'_>, value: i64) {
        if let At::Top("ErrCode") = at {
            self.0 = Some(value != 0);
        }
    }
}
