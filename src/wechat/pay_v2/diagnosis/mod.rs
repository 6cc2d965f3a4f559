//! Why a captured v2 notification does not pass: its signature is tried over values as they may have been before something
//! changed them, and over the body as it may have come. See [`crate::wechat::diagnosis`].

#[cfg(test)]
mod tests;
mod values;

use bytes::Bytes;

use super::super::diagnosis::bytes::{latin1_undone, percent_decoded, replaced};
use super::super::diagnosis::{self, causes, found};
use super::super::xml;
use super::super::{Received, Refusal};
use super::fields::Fields;
use super::{OpenError, PayV2, ScreenError, Screened, SignType, VerifyError, sign};
use crate::clock::UnixTime;
use crate::wechat::key::ApiV2Key;

causes! {
    /// What is wrong with a notification of v2.
    pub enum Cause {
        /// Nothing is wrong: it passes.
        Passes = "passes": "nothing is to be done";
        /// The signature is genuine, by another algorithm than `sign_type`.
        SignType = "sign-type": "set `sign_type` of the endpoint to what your orders ask for";
        /// The signature fits without the member `sign_type`, which has to be signed.
        SignTypeUnsigned = "sign-type-unsigned": "find what adds `sign_type` to the body; of a test tool, mend how it signs: all members but `sign` are signed";
        /// The signature fits without one of the members.
        MemberAdded = "member-added": "find what in front adds the member to the body";
        /// The signature is gone.
        SignLost = "sign-lost": "find what in front drops `sign`; refunds alone have none, and they have `req_info`";
        /// The key fits once its letters are all upper or all lower case.
        KeyCase = "key-case": "write the APIv2 key as it was set on the merchant platform: upper and lower case are different keys";
        /// A value has lost a blank or line end at one of its ends.
        ValueTrimmed = "value-trimmed": "let what is in front pass the body on byte for byte: something trims values, `attach` as a rule";
        /// Blanks or line ends were put around the values.
        ValuesPadded = "values-padded": "let what is in front pass the body on byte for byte: something writes the XML again, with indents";
        /// The values were escaped once more, or not unescaped.
        ValuesEscaped = "values-escaped": "let what is in front pass the body on byte for byte: something writes the XML again and escapes what is escaped";
        /// Line ends were changed between CRLF and LF.
        BodyLineEnds = "body-line-ends": "let what is in front pass the body on byte for byte, not as a text file";
        /// A byte order mark was added.
        BodyByteOrderMark = "body-byte-order-mark": "let what is in front pass the body on byte for byte: something writes it as UTF-8 with a mark";
        /// The body was decoded by another character set than UTF-8 and written again.
        BodyCharset = "body-charset": "let what is in front pass the body on byte for byte: something reads it as ISO 8859-1";
        /// The body was decoded or encoded as a form.
        BodyFormDecoded = "body-form-decoded": "let what is in front pass the body on byte for byte: something reads or writes it as form parameters";
        /// The body was compressed on its way.
        BodyCompressed = "body-compressed": "switch compression of requests off in what is in front: WeChat never compresses";
        /// The body is empty.
        BodyLost = "body-lost": "find what in front reads the body and does not pass it on: an authentication step, a mirror, a redirect";
        /// The body is JSON: APIv3, not v2.
        ApiV3Notice = "api-v3-notice": "give it an endpoint of `protocol = \"pay-v3\"`: the order named this URL through APIv3";
        /// WeChat says that something went wrong, and signs nothing of it.
        ReturnCode = "return-code": "nothing: it tells of no payment, and anybody could have written it";
        /// A refund that no key decrypts.
        RefundKey = "refund-key": "set the APIv2 key (API密钥) of the merchant platform: not the APIv3 key, not another merchant's; after a change keep both";
        /// It names another merchant or app.
        OtherMerchant = "other-merchant": "the notify URL of another merchant or app leads here: mend it there, or add the number to `expect`";
        /// Genuine, and older than `max_age`, or of the future.
        Age = "age": "set the clock of this machine by NTP; for an old capture, say `--now` with the time of its arrival";
        /// Members are hidden in the value of another one, which signs the same.
        MembersHidden = "members-hidden": "look where it came from: somebody has written a genuine notification again";
        /// Not in the form that the protocol describes.
        Form = "form": "if WeChat sent it, tell the maintainers: it is a form that is not known";
        /// No configured key fits, and nothing else that was tried does.
        Unexplained = "unexplained": "compare the key with the APIv2 key (API密钥) on the merchant platform: not the APIv3 key; if it is right, values were changed on their way: capture in front of every proxy and try again";
    }
}

/// What came of it.
pub type Diagnosis = diagnosis::Diagnosis<Cause>;

impl PayV2 {
    /// Judges a captured request and names what is wrong with it. At most some hundred signatures are checked.
    pub fn diagnose(&self, received: Received<'_>, body: &Bytes, now: UnixTime) -> Diagnosis {
        let screened = match Self::screen(received, now) {
            Ok(screened) => screened,
            Err(refusal @ ScreenError::Method) => return found(Cause::Form, refusal),
            Err(refusal @ ScreenError::Compressed) => return found(Cause::BodyCompressed, refusal),
        };
        match self.verify(screened, body.clone()) {
            Ok(verified) => {
                self.open(verified).map_or_else(|refusal| opened_not(&refusal), |_| found(Cause::Passes, ""))
            }
            Err(refusal) => self.unverified(body, now, &refusal),
        }
    }

    fn unverified(&self, body: &Bytes, now: UnixTime, refusal: &VerifyError) -> Diagnosis {
        let otherwise = match refusal {
            VerifyError::SignType { .. } => return found(Cause::SignType, refusal),
            VerifyError::Xml(_) | VerifyError::Root if body.is_empty() => {
                return found(Cause::BodyLost, "the body is empty");
            }
            VerifyError::Xml(_) | VerifyError::Root if body.trim_ascii_start().starts_with(b"{") => {
                return found(Cause::ApiV3Notice, "the body is JSON");
            }
            VerifyError::Xml(_) | VerifyError::Root | VerifyError::NoReturnCode => Cause::Form,
            VerifyError::ReturnCode => Cause::ReturnCode,
            VerifyError::Unsigned => Cause::SignLost,
            VerifyError::BadCiphertext => Cause::RefundKey,
            VerifyError::Signature | VerifyError::SignTypeNamed => Cause::Unexplained,
        };
        for (cause, what, undone) in undone(body) {
            if self.verify(Screened { now }, undone.into()).is_ok() {
                return found(cause, format_args!("it passes once this is undone: {what}"));
            }
        }
        let fields = xml::read(body).and_then(|root| Fields::of(&root));
        if let (Ok(fields), VerifyError::SignTypeNamed) = (&fields, refusal)
            && fits(fields, &self.api_v2)
        {
            return found(Cause::SignType, refusal); // by the algorithm that it names
        }
        if let (Ok(fields), VerifyError::Signature | VerifyError::SignTypeNamed | VerifyError::ReturnCode) =
            (&fields, refusal)
        {
            let known =
                values::changed(fields, |fields| fits(fields, &self.api_v2)).or_else(|| self.in_one_case(fields));
            if let Some(diagnosis) = known {
                return diagnosis;
            }
        }
        // Another merchant's key is not here to prove it.
        match fields.map(|fields| self.owns(&fields)) {
            Ok(Err(stranger)) => found(Cause::OtherMerchant, format_args!("{refusal}; and {stranger}")),
            Ok(Ok(())) | Err(_) => found(otherwise, refusal),
        }
    }

    fn in_one_case(&self, fields: &Fields) -> Option<Diagnosis> {
        let keys: Vec<ApiV2Key> = self.api_v2.iter().flat_map(ApiV2Key::in_one_case).flatten().collect();
        let what = "the signature is that of a configured key in upper or lower case letters";
        fits(fields, &keys).then(|| found(Cause::KeyCase, what))
    }
}

/// Whether the signature holds by any of the keys, by the algorithm that the message names or else any.
fn fits(fields: &Fields, keys: &[ApiV2Key]) -> bool {
    sign::check(fields, keys, SignType::Either).is_ok()
}

/// Bodies as they may have been sent. A bounded number, none longer than twice the body.
fn undone(body: &[u8]) -> Vec<(Cause, &'static str, Vec<u8>)> {
    let unix = replaced(body, b"\r\n", b"\n");
    let mut all = vec![
        (Cause::BodyByteOrderMark, "a byte order mark was added", without_mark(body).to_vec()),
        (Cause::BodyFormDecoded, "it was percent-encoded", percent_decoded(body)),
        (Cause::BodyLineEnds, "CRLF became LF", replaced(&unix, b"\n", b"\r\n")),
        (Cause::BodyLineEnds, "LF became CRLF", unix),
    ];
    if let Some(narrow) = latin1_undone(body) {
        all.push((Cause::BodyCharset, "UTF-8 was read as ISO 8859-1", narrow));
    }
    all.retain(|(_, _, undone)| undone != body);
    all
}

fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

fn opened_not(refusal: &OpenError) -> Diagnosis {
    let cause = match refusal {
        OpenError::Mchid { .. } | OpenError::Appid { .. } => Cause::OtherMerchant,
        OpenError::Age { .. } => Cause::Age,
        OpenError::Hidden(_) => Cause::MembersHidden,
        OpenError::Xml(_) | OpenError::Root | OpenError::MissingField(_) | OpenError::Form(_) => Cause::Form,
    };
    found(cause, format_args!("{}: {refusal}", refusal.reason().code()))
}
