//! Why a push is not taken, step by step; message push and WeCom refuse by the same words.

use super::super::Refusal;
use super::super::head::TimestampError;
use super::super::json::JsonError;
use super::super::query::QueryError;
use super::super::xml::XmlError;
use crate::reason::Reason;

/// A head that does not pass.
#[derive(Debug, thiserror::Error)]
pub enum ScreenError {
    /// Neither POST nor, for the check of the URL, GET.
    #[error("WeChat pushes by POST and checks the URL by GET")]
    Method,
    /// A parameter.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The timestamp.
    #[error(transparent)]
    Timestamp(#[from] TimestampError),
    /// Characters or length that the value cannot have.
    #[error("the query parameter `{0}` has a form that WeChat never sends")]
    Form(&'static str),
    /// Compressed.
    #[error("the body is compressed, which WeChat never does: what is in front must pass bodies on as they are")]
    Compressed,
    /// Plain text for an endpoint that wants it encrypted.
    #[error(
        "this is plain text, but `mode` is not \"plain\": either WeChat's console says otherwise, or somebody tries to pass off a body that no signature covers"
    )]
    NotEncrypted,
    /// Encrypted for an endpoint in plain mode.
    #[error("this is encrypted, but `mode` is \"plain\": set it as in WeChat's console, and `keys.aes`")]
    Encrypted,
    /// Neither plain text nor AES.
    #[error("`encrypt_type` is neither `aes` nor `raw`")]
    EncryptType,
    /// Not made with the endpoint's token.
    #[error("`signature` is of none of the endpoint's tokens: is keys.token the one in WeChat's console?")]
    Signature,
}

/// A body that is not what was signed, or says nothing to verify.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Neither strict XML nor strict JSON.
    #[error("the body {0}")]
    Envelope(DocumentError),
    /// Nothing encrypted in it, where all has to be.
    #[error(
        "the body holds no `Encrypt`: somebody tries to pass off plain text, or WeChat's console is set to plain mode"
    )]
    NotEncrypted,
    /// Not made with the endpoint's token.
    #[error(
        "`msg_signature` is of none of the endpoint's tokens over this text: is keys.token the one in WeChat's console, and was the body or the query changed on its way?"
    )]
    Signature,
}

/// A signed push that does not open, or belongs elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Does not decrypt.
    #[error("this decrypts with none of keys.aes: was the EncodingAESKey changed in WeChat's console?")]
    Ciphertext,
    /// Another account's.
    #[error(
        "the id at the end of the message is not expected here: an app id in expect.appid (of an open platform the component's), a corp or suite id in expect.receive_id; the agent id is never it"
    )]
    ReceiveId,
    /// What was encrypted.
    #[error("the message {0}")]
    Content(DocumentError),
    /// A name that cannot be WeChat's: it goes into headers, records and the store.
    #[error(
        "ToUserName, FromUserName, MsgType, Event or MsgId is no text or stands twice, or the name of the event is longer than 128 bytes or holds control characters"
    )]
    BadName(Format),
}

/// Not the XML or JSON that the protocol asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// By the grammar.
    #[error("is not strict XML: {0}")]
    Xml(#[from] XmlError),
    /// By the grammar.
    #[error("is not strict JSON: {0}")]
    Json(#[from] JsonError),
    /// Twice what may stand once.
    #[error("holds `Encrypt` more than once, or as no text")]
    Encrypt(Format),
}

/// How a push is written; set in WeChat's console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The usual.
    Xml,
    /// Mini programs may choose it; WeCom's bots have it.
    Json,
}

/// The check of a URL that does not pass.
#[derive(Debug, thiserror::Error)]
pub enum EchoError {
    /// By its head.
    #[error(transparent)]
    Head(#[from] ScreenError),
    /// By its signature.
    #[error(transparent)]
    Signature(#[from] VerifyError),
    /// By what is encrypted.
    #[error(transparent)]
    Content(#[from] OpenError),
}

impl Refusal for ScreenError {
    fn reason(&self) -> Reason {
        match self {
            Self::Method => Reason::BadMethod,
            Self::Query(error) => error.reason(),
            Self::Timestamp(error) => error.reason(),
            Self::Form(_) | Self::Compressed | Self::EncryptType => Reason::BadEncoding,
            Self::NotEncrypted | Self::Encrypted => Reason::ModeMismatch,
            Self::Signature => Reason::BadSignature,
        }
    }
}

impl Refusal for VerifyError {
    fn reason(&self) -> Reason {
        match self {
            Self::Envelope(error) => error.reason(),
            Self::NotEncrypted => Reason::MissingField,
            Self::Signature => Reason::BadSignature,
        }
    }
}

impl Refusal for OpenError {
    fn reason(&self) -> Reason {
        match self {
            Self::Ciphertext => Reason::BadCiphertext,
            Self::ReceiveId => Reason::AppidMismatch,
            Self::Content(error) => error.reason(),
            Self::BadName(Format::Xml) => Reason::BadXml,
            Self::BadName(Format::Json) => Reason::BadJson,
        }
    }
}

impl Refusal for DocumentError {
    fn reason(&self) -> Reason {
        match self {
            Self::Xml(_) | Self::Encrypt(Format::Xml) => Reason::BadXml,
            Self::Json(_) | Self::Encrypt(Format::Json) => Reason::BadJson,
        }
    }
}

impl Refusal for EchoError {
    fn reason(&self) -> Reason {
        match self {
            Self::Head(error) => error.reason(),
            Self::Signature(error) => error.reason(),
            Self::Content(error) => error.reason(),
        }
    }
}
