//! Outcomes in the protocol's own words. A stranger learns nothing from an answer: every refusal of one status reads
//! the same, whichever check failed.

use bytes::Bytes;

use crate::reason::Reason;

/// When a caller that is over a limit, or came at a bad moment, should come again, in seconds. WeChat has its own
/// schedule; this is for what stands between.
const RETRY_AFTER: u32 = 5;

/// What is sent back to WeChat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Media type of `body`.
    pub content_type: &'static str,
    /// Body bytes.
    pub body: Bytes,
    /// `Retry-After` in seconds.
    pub retry_after: Option<u32>,
}

/// The answer to a WeChat Pay APIv3 notification (also used where no endpoint, and so no protocol, is known): 200 stops
/// WeChat's retries, anything else brings the event again (protocol 1.9).
pub fn pay_v3(reason: Reason) -> Answer {
    let status = reason.status();
    let (body, retry_after) = match status {
        200 => (r#"{"code":"SUCCESS","message":"成功"}"#, None),
        400 => (r#"{"code":"FAIL","message":"malformed request"}"#, None),
        401 => (r#"{"code":"FAIL","message":"signature verification failed"}"#, None),
        403 => (r#"{"code":"RISK_REJECTED","message":"rejected"}"#, None),
        404 => (r#"{"code":"FAIL","message":"not found"}"#, None),
        405 => (r#"{"code":"FAIL","message":"method not allowed"}"#, None),
        408 => (r#"{"code":"FAIL","message":"request timeout"}"#, None),
        409 => (r#"{"code":"FAIL","message":"request was seen before"}"#, None),
        413 => (r#"{"code":"FAIL","message":"request too large"}"#, None),
        429 => (r#"{"code":"FAIL","message":"too many requests"}"#, Some(RETRY_AFTER)),
        502 | 504 => (r#"{"code":"FAIL","message":"not delivered, try again"}"#, None),
        _ => (r#"{"code":"FAIL","message":"busy, try again"}"#, Some(RETRY_AFTER)),
    };
    Answer {
        status,
        content_type: "application/json; charset=utf-8",
        body: Bytes::from_static(body.as_bytes()),
        retry_after,
    }
}

/// The answer to a push of an official account, mini program or open platform: `success` stops WeChat's retries (protocol
/// 3.4). Where the push is known, [`super::message::ReplyTo::acknowledge`] says it in the words of its kind.
pub fn message(reason: Reason) -> Answer {
    push(reason, "success")
}

/// The answer to WeCom: an empty 200 stops its retries (protocol 4).
pub fn wecom(reason: Reason) -> Answer {
    push(reason, "")
}

/// Every check that needs a secret reads like the signature's: what decrypts to wrong padding or to another account's id is
/// told apart by the audit alone (protocol 6.27).
fn push(reason: Reason, success: &'static str) -> Answer {
    let is_secret = matches!(reason, Reason::BadCiphertext | Reason::AppidMismatch);
    let status = if is_secret { Reason::BadSignature.status() } else { reason.status() };
    match status {
        200 => text(200, success),
        400 => text(status, "malformed request"),
        401 => text(status, "signature verification failed"),
        403 => text(status, "rejected"),
        404 => text(status, "not found"),
        405 => text(status, "method not allowed"),
        408 => text(status, "request timeout"),
        409 => text(status, "request was seen before"),
        413 => text(status, "request too large"),
        502 | 504 => text(status, "not delivered, try again"),
        429 => Answer { retry_after: Some(RETRY_AFTER), ..text(status, "too many requests") },
        _ => Answer { retry_after: Some(RETRY_AFTER), ..text(status, "busy, try again") },
    }
}

/// Plain text, which no browser takes for a page.
pub(super) fn text(status: u16, body: &'static str) -> Answer {
    Answer {
        status,
        content_type: "text/plain; charset=utf-8",
        body: Bytes::from_static(body.as_bytes()),
        retry_after: None,
    }
}

/// The answer to the check of a URL: what it asked back, as plain text (protocol 3.1).
pub fn echo(echo: Bytes) -> Answer {
    Answer { body: echo, ..text(200, "") }
}

/// The answer to a WeChat Pay v2 notification: one line without declaration, since WeChat takes nothing else (protocol 2.3).
pub fn pay_v2(reason: Reason) -> Answer {
    /// The body of a refusal.
    macro_rules! fail {
        ($message:literal) => {
            concat!(
                "<xml><return_code><![CDATA[FAIL]]></return_code><return_msg><![CDATA[",
                $message,
                "]]></return_msg></xml>"
            )
        };
    }
    let status = reason.status();
    let (body, retry_after) = match status {
        200 => {
            ("<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>", None)
        }
        400 => (fail!("malformed request"), None),
        401 => (fail!("signature verification failed"), None),
        403 => (fail!("rejected"), None),
        404 => (fail!("not found"), None),
        405 => (fail!("method not allowed"), None),
        408 => (fail!("request timeout"), None),
        409 => (fail!("request was seen before"), None),
        413 => (fail!("request too large"), None),
        429 => (fail!("too many requests"), Some(RETRY_AFTER)),
        502 | 504 => (fail!("not delivered, try again"), None),
        _ => (fail!("busy, try again"), Some(RETRY_AFTER)),
    };
    Answer { status, content_type: "text/xml; charset=utf-8", body: Bytes::from_static(body.as_bytes()), retry_after }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Body {
        code: String,
        message: String,
    }

    #[test]
    fn success_is_200_and_success_and_nothing_else_is() {
        for reason in Reason::ALL {
            let answer = pay_v3(*reason);
            let body: Body = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(answer.status == 200, reason.outcome().is_success(), "{}", reason.code());
            let code = match answer.status {
                200 => "SUCCESS",
                403 => "RISK_REJECTED",
                _ => "FAIL",
            };
            assert_eq!(body.code, code, "{}", reason.code());
            assert!(!body.message.is_empty() && body.message.len() <= 64, "{}", reason.code());
        }
    }

    #[test]
    fn v2_takes_one_line_of_xml_alone() {
        let success =
            "<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>";
        for reason in Reason::ALL {
            let answer = pay_v2(*reason);
            assert_eq!(answer.body == success, reason.outcome().is_success(), "{}", reason.code());
            assert_eq!(answer.status == 200, reason.outcome().is_success(), "{}", reason.code());
            let root = super::super::xml::read(&answer.body).unwrap();
            let code = if answer.status == 200 { "SUCCESS" } else { "FAIL" };
            assert_eq!(root.only("return_code"), Ok(Some(code)), "{}", reason.code());
            assert_eq!(answer.retry_after, pay_v3(*reason).retry_after, "{}", reason.code());
            assert!(!answer.body.iter().any(|byte| b"\n?".contains(byte)), "{}", reason.code());
        }
    }

    #[test]
    fn every_failed_check_of_the_signature_reads_the_same() {
        for answer in [pay_v3, pay_v2] {
            let answers: Vec<Answer> = Reason::ALL.iter().map(|r| answer(*r)).filter(|a| a.status == 401).collect();
            assert!(answers.len() > 4);
            assert!(answers.iter().all(|answer| answer == &answers[0]));
        }
    }

    #[test]
    fn no_answer_names_its_reason() {
        for reason in Reason::ALL.iter().filter(|reason| reason.code().contains('-')) {
            for answer in [pay_v3(*reason), pay_v2(*reason)] {
                assert!(!String::from_utf8_lossy(&answer.body).contains(reason.code()), "{}", reason.code());
            }
        }
    }

    #[test]
    fn a_push_is_taken_with_success_and_refused_without_a_word_of_why() {
        for reason in Reason::ALL {
            for (answer, success) in [(message(*reason), "success"), (wecom(*reason), "")] {
                assert_eq!(answer.status == 200, reason.outcome().is_success(), "{}", reason.code());
                assert_eq!(answer.body == success, answer.status == 200, "{}", reason.code());
                let text = String::from_utf8(answer.body.to_vec()).unwrap();
                assert!(!text.contains(reason.code()) || !reason.code().contains('-'), "{}", reason.code());
                assert_eq!(answer.content_type, "text/plain; charset=utf-8");
            }
        }
    }

    #[test]
    fn a_push_refused_by_a_secret_reads_the_same_whichever_it_was() {
        let secret = [Reason::BadSignature, Reason::BadCiphertext, Reason::AppidMismatch, Reason::ModeMismatch];
        assert!(secret.iter().all(|reason| message(*reason) == message(Reason::BadSignature)));
        assert!(secret.iter().all(|reason| wecom(*reason) == wecom(Reason::BadSignature)));
    }

    #[test]
    fn who_should_come_again_is_told_when() {
        assert_eq!(pay_v3(Reason::RateLimited).retry_after, Some(RETRY_AFTER));
        assert_eq!(pay_v3(Reason::StoreUnavailable).retry_after, Some(RETRY_AFTER));
        assert_eq!(pay_v3(Reason::BadSignature).retry_after, None);
    }
}
