//! Every outcome and every reason, once. The codes are a contract: dashboards, alerts and runbooks match on them in
//! metrics, audit records, logs and `docs/reasons.md` alike. Codes are added to, never renamed.

/// How a callback ended, in a few words that stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// The gateway answered it by itself.
    Answered,
    /// The upstream took it.
    Forwarded,
    /// Authentic, and its event was already done: answered as success, which stops the retries.
    Duplicate,
    /// Stored durably for a person.
    Held,
    /// Stored durably, delivered in the background.
    Queued,
    /// Kept back by the policy: not forwarded, kept for review, and not taken as success.
    Rejected,
    /// Not authentic, malformed, stale or replayed.
    Refused,
    /// Over a rate limit, or from a banned address.
    Limited,
    /// Not now: in flight elsewhere, overload, store down, shutting down.
    Busy,
    /// The upstream refused, timed out or was unreachable.
    Failed,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $code:literal => $outcome:ident, $status:literal;)+) => {
        /// Why a callback ended as it did.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[$doc])* $variant,)+ }

        impl Reason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable kebab-case code.
            pub const fn code(self) -> &'static str { match self { $(Self::$variant => $code,)+ } }

            /// The outcome that this reason belongs to.
            pub const fn outcome(self) -> Outcome { match self { $(Self::$variant => Outcome::$outcome,)+ } }

            /// The HTTP status of the answer, where the protocol does not fix another.
            pub const fn status(self) -> u16 { match self { $(Self::$variant => $status,)+ } }
        }
    };
}

reasons! {
    /// WeChat's check that the URL is the merchant's, answered by the gateway.
    UrlCheck = "url-check" => Answered, 200;
    /// The upstream answered 2xx and the event is committed.
    Forwarded = "forwarded" => Forwarded, 200;
    /// Authentic and freshly signed, but the event was already done.
    Duplicate = "duplicate" => Duplicate, 200;
    /// The same event id as an earlier event, with other content: kept for a person (I8).
    IdConflict = "id-conflict" => Held, 200;
    /// The policy keeps the event for a person.
    Held = "held" => Held, 200;
    /// The event waits for its delivery in the background (`ack = "after-store"`).
    Queued = "queued" => Queued, 200;
    /// The policy rejects the event; it is kept for review.
    RiskRejected = "risk-rejected" => Rejected, 403;

    /// No endpoint has this path and host.
    UnknownRoute = "unknown-route" => Refused, 404;
    /// The address is outside the endpoint's `allow_from`; reads like an unknown route.
    SourceNotAllowed = "source-not-allowed" => Refused, 404;
    /// Not the method that the protocol uses.
    BadMethod = "bad-method" => Refused, 405;
    /// A header that the signature needs is absent or empty.
    MissingHeader = "missing-header" => Refused, 400;
    /// A header that must come once came more often, even if equal.
    DuplicateHeader = "duplicate-header" => Refused, 400;
    /// A query parameter that the signature needs is absent or empty.
    MissingParam = "missing-param" => Refused, 400;
    /// A query parameter that must come once came more often, even if equal.
    DuplicateParam = "duplicate-param" => Refused, 400;
    /// A value is not encoded as it must be: base64, characters, lengths, or a compressed body.
    BadEncoding = "bad-encoding" => Refused, 400;
    /// The timestamp is not a plain decimal number of seconds.
    BadTimestamp = "bad-timestamp" => Refused, 401;
    /// The timestamp is further from our clock than the endpoint's window, past or future.
    TimestampOutOfWindow = "timestamp-out-of-window" => Refused, 401;
    /// A signature type that this endpoint has no key for.
    UnsupportedSignatureType = "unsupported-signature-type" => Refused, 401;
    /// WeChat tests that forged signatures are refused: refused as it must be, never a ban or an alert.
    SigntestProbe = "signtest-probe" => Refused, 401;
    /// Message push in plain text where the endpoint wants it encrypted, or the other way round.
    ModeMismatch = "mode-mismatch" => Refused, 401;
    /// No configured key has this serial or id.
    UnknownSerial = "unknown-serial" => Refused, 401;
    /// A v2 notification signed by another algorithm than the endpoint's `sign_type`, or naming another.
    SignTypeMismatch = "sign-type-mismatch" => Refused, 401;
    /// The signature is not that of the named key over these bytes.
    BadSignature = "bad-signature" => Refused, 401;
    /// The body or its plaintext is not the strict JSON that the protocol asks for.
    BadJson = "bad-json" => Refused, 400;
    /// The body or what was encrypted in it is not the strict XML that the protocol asks for.
    BadXml = "bad-xml" => Refused, 400;
    /// A v2 notification whose `return_code` is not SUCCESS: it tells nothing and is not signed.
    ReturnCodeFail = "return-code-fail" => Refused, 400;
    /// A member that the protocol asks for is absent.
    MissingField = "missing-field" => Refused, 400;
    /// The resource is encrypted by an algorithm other than AEAD_AES_256_GCM.
    UnsupportedAlgorithm = "unsupported-algorithm" => Refused, 400;
    /// The resource does not decrypt with the endpoint's key: most often the APIv3 key was changed.
    BadCiphertext = "bad-ciphertext" => Refused, 400;
    /// Genuine, but of an app id that this endpoint does not serve.
    AppidMismatch = "appid-mismatch" => Refused, 400;
    /// Genuine, but of a merchant that this endpoint does not serve.
    MchidMismatch = "mchid-mismatch" => Refused, 400;
    /// A captured request sent again: its nonce was used, or was signed before a memory store began to remember.
    Replayed = "replayed" => Refused, 409;
    /// The body is larger than `server.max_body`.
    BodyTooLarge = "body-too-large" => Refused, 413;
    /// The body did not arrive within `server.body_timeout`, or broke off.
    BodyTimeout = "body-timeout" => Refused, 408;

    /// Over one of the endpoint's rate limits.
    RateLimited = "rate-limited" => Limited, 429;
    /// The address spent its failure budget and is shut out for a while.
    Banned = "banned" => Limited, 429;

    /// The same event is being delivered right now; WeChat's next try learns how that ended.
    InFlight = "in-flight" => Busy, 503;
    /// More callbacks in flight than `server.max_in_flight`.
    Overloaded = "overloaded" => Busy, 503;
    /// The store did not answer, so nothing can be promised.
    StoreUnavailable = "store-unavailable" => Busy, 503;
    /// The gateway is shutting down and takes nothing new.
    ShuttingDown = "shutting-down" => Busy, 503;

    /// A fault of the gateway's own; the log says where.
    InternalError = "internal-error" => Busy, 503;

    /// The upstream answered something other than 2xx.
    UpstreamRefused = "upstream-refused" => Failed, 502;
    /// The upstream could not be reached, or broke off.
    UpstreamUnreachable = "upstream-unreachable" => Failed, 502;
    /// The upstream did not answer in time.
    UpstreamTimeout = "upstream-timeout" => Failed, 504;
}

impl Reason {
    /// Whether a refusal for this reason speaks of a forger, so that it is charged to the failure budget of its
    /// address. Not charged is what WeChat itself may cause: probes, a serial that we do not know yet, a clock of ours
    /// that is wrong, another merchant's genuine message, a key of ours that is old.
    pub const fn spends_failure_budget(self) -> bool {
        match self {
            Self::BadMethod
            | Self::MissingHeader
            | Self::DuplicateHeader
            | Self::MissingParam
            | Self::DuplicateParam
            | Self::BadEncoding
            | Self::BadTimestamp
            | Self::UnsupportedSignatureType
            | Self::BadSignature
            | Self::Replayed
            | Self::BodyTooLarge
            | Self::BodyTimeout => true,
            Self::UrlCheck
            | Self::Forwarded
            | Self::Duplicate
            | Self::IdConflict
            | Self::Held
            | Self::Queued
            | Self::RiskRejected
            | Self::UnknownRoute
            | Self::SourceNotAllowed
            | Self::TimestampOutOfWindow
            | Self::ModeMismatch
            | Self::SigntestProbe
            | Self::UnknownSerial
            | Self::BadJson
            | Self::BadXml
            | Self::ReturnCodeFail
            | Self::SignTypeMismatch
            | Self::MissingField
            | Self::UnsupportedAlgorithm
            | Self::BadCiphertext
            | Self::AppidMismatch
            | Self::MchidMismatch
            | Self::RateLimited
            | Self::Banned
            | Self::InFlight
            | Self::Overloaded
            | Self::StoreUnavailable
            | Self::ShuttingDown
            | Self::InternalError
            | Self::UpstreamRefused
            | Self::UpstreamUnreachable
            | Self::UpstreamTimeout => false,
        }
    }
}

impl Outcome {
    /// Every outcome.
    pub const ALL: &[Self] = &[
        Self::Answered,
        Self::Forwarded,
        Self::Duplicate,
        Self::Held,
        Self::Queued,
        Self::Rejected,
        Self::Refused,
        Self::Limited,
        Self::Busy,
        Self::Failed,
    ];

    /// The stable name.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Forwarded => "forwarded",
            Self::Duplicate => "duplicate",
            Self::Held => "held",
            Self::Queued => "queued",
            Self::Rejected => "rejected",
            Self::Refused => "refused",
            Self::Limited => "limited",
            Self::Busy => "busy",
            Self::Failed => "failed",
        }
    }

    /// Whether WeChat is told that the callback was taken, so that it stops trying.
    pub const fn is_success(self) -> bool {
        match self {
            Self::Answered | Self::Forwarded | Self::Duplicate | Self::Held | Self::Queued => true,
            Self::Rejected | Self::Refused | Self::Limited | Self::Busy | Self::Failed => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_kebab_case_and_unique() {
        let mut seen = std::collections::HashSet::new();
        for reason in Reason::ALL {
            assert!(reason.code().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", reason.code());
            assert!(seen.insert(reason.code()), "{} twice", reason.code());
        }
    }

    #[test]
    fn a_success_outcome_has_a_success_status_and_no_other_has() {
        for reason in Reason::ALL {
            assert_eq!(reason.outcome().is_success(), reason.status() == 200, "{}", reason.code());
        }
    }
}
