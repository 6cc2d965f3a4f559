//! Outcomes in the protocol's own words. A stranger learns nothing from an answer: every refusal of one status reads
//! the same, whichever check failed.

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
    pub body: &'static str,
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
    Answer { status, content_type: "application/json; charset=utf-8", body, retry_after }
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
            let body: Body = serde_json::from_str(answer.body).unwrap();
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
    fn every_failed_check_of_the_signature_reads_the_same() {
        let answers: Vec<Answer> = Reason::ALL.iter().map(|r| pay_v3(*r)).filter(|a| a.status == 401).collect();
        assert!(answers.len() > 4);
        assert!(answers.iter().all(|answer| answer == &answers[0]));
    }

    #[test]
    fn no_answer_names_its_reason() {
        for reason in Reason::ALL.iter().filter(|reason| reason.code().contains('-')) {
            assert!(!pay_v3(*reason).body.contains(reason.code()), "{}", reason.code());
        }
    }

    #[test]
    fn who_should_come_again_is_told_when() {
        assert_eq!(pay_v3(Reason::RateLimited).retry_after, Some(RETRY_AFTER));
        assert_eq!(pay_v3(Reason::StoreUnavailable).retry_after, Some(RETRY_AFTER));
        assert_eq!(pay_v3(Reason::BadSignature).retry_after, None);
    }
}
