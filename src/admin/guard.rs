//! Who may see what. Probes are for everybody who reaches the listener; metrics for this machine, and with the token for
//! others; the API for who has the token, if there is one, and else for this machine alone.

use std::net::IpAddr;

use http::uri::Authority;
use http::{HeaderMap, header};

use crate::secret::Secret;

/// What is asked of callers.
pub(super) struct Guard {
    pub(super) token: Option<Secret>,
}

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// He came without the token, or with another.
    Token,
    /// There is no token that he could come with. `wxgate check` does not let that happen; if it does, nothing is shown.
    Unset,
    /// He came from this machine, but for the page of somebody else, which a browser here has open.
    ForeignPage,
}

/// By what right somebody changes something, as the audit log tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// He showed the token.
    Token,
    /// He is on this machine, and no token is asked for.
    Loopback,
}

impl Right {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Token => "admin.token",
            Self::Loopback => "loopback",
        }
    }
}

impl Guard {
    /// For what only shows: from this machine nothing is asked, who is there can read the gateway's memory.
    pub(super) fn lets_look(&self, peer: IpAddr, request: &HeaderMap) -> Result<(), Denied> {
        if peer.to_canonical().is_loopback() {
            return Ok(());
        }
        self.asks_token(request)
    }

    /// For the API.
    pub(super) fn lets_act(&self, peer: IpAddr, request: &HeaderMap) -> Result<Right, Denied> {
        if self.token().is_some() {
            return self.asks_token(request).map(|()| Right::Token);
        }
        if !peer.to_canonical().is_loopback() {
            return Err(Denied::Unset);
        }
        if is_of_a_foreign_page(request) { Err(Denied::ForeignPage) } else { Ok(Right::Loopback) }
    }

    fn token(&self) -> Option<&Secret> {
        self.token.as_ref().filter(|token| !token.is_empty())
    }

    fn asks_token(&self, request: &HeaderMap) -> Result<(), Denied> {
        let expected = self.token().ok_or(Denied::Unset)?;
        let shown = request.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
        // Constant time: `Secret` compares so.
        if shown.is_some_and(|shown| Secret::new(shown.to_vec()) == *expected) { Ok(()) } else { Err(Denied::Token) }
    }
}

/// The token of `Bearer TOKEN`; the scheme in any case (RFC 9110, 11.1).
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let (scheme, token) = authorization.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(token.trim_ascii())
}

/// A browser on this machine sends what any page tells it to. It names the page in `Origin`, and in `Host` the name that the
/// page knows this machine by.
fn is_of_a_foreign_page(request: &HeaderMap) -> bool {
    let text = |name| request.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = text(header::HOST).unwrap_or_default();
    let is_here = host.parse::<Authority>().is_ok_and(|authority| {
        let name = authority.host().trim_start_matches('[').trim_end_matches(']');
        name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
    });
    let is_own_page = text(header::ORIGIN).is_none_or(|origin| origin.strip_prefix("http://") == Some(host));
    !(is_here && is_own_page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(token: Option<&str>) -> Guard {
        Guard { token: token.map(|token| Secret::new(token.as_bytes().to_vec())) }
    }

    fn headers(of: &[(header::HeaderName, &str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    fn asked_by(peer: &str, token: Option<&str>, shown: Option<&str>) -> Result<(), Denied> {
        let shown = shown.map(|shown| headers(&[(header::AUTHORIZATION, shown)])).unwrap_or_default();
        guard(token).lets_look(peer.parse().unwrap(), &shown)
    }

    #[test]
    fn off_loopback_the_token_is_asked_and_exactly_that_one_is_taken() {
        let far = "192.0.2.7";
        assert_eq!(asked_by(far, Some("s3cret"), Some("Bearer s3cret")), Ok(()));
        assert_eq!(asked_by(far, Some("s3cret"), Some("bearer  s3cret ")), Ok(()));
        for wrong in ["Bearer s3cre", "Bearer s3cret2", "Bearer ", "Bearer", "s3cret", "Basic s3cret", ""] {
            assert_eq!(asked_by(far, Some("s3cret"), Some(wrong)), Err(Denied::Token), "{wrong}");
        }
        assert_eq!(asked_by(far, Some("s3cret"), None), Err(Denied::Token));
        assert_eq!(asked_by("2001:db8::1", Some("s3cret"), None), Err(Denied::Token));
    }

    #[test]
    fn without_a_token_only_this_machine_is_shown_anything() {
        for near in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(asked_by(near, None, None), Ok(()), "{near}");
            assert_eq!(asked_by(near, Some("s3cret"), None), Ok(()), "{near}");
        }
        for nothing in [None, Some("")] {
            assert_eq!(asked_by("192.0.2.7", nothing, Some("Bearer ")), Err(Denied::Unset));
        }
    }

    #[test]
    fn the_api_asks_for_the_token_wherever_the_caller_is() {
        let shown = headers(&[(header::AUTHORIZATION, "Bearer s3cret"), (header::HOST, "gateway.example:9900")]);
        for peer in ["127.0.0.1", "192.0.2.7"] {
            let peer = peer.parse().unwrap();
            assert_eq!(guard(Some("s3cret")).lets_act(peer, &shown), Ok(Right::Token));
            assert_eq!(guard(Some("other")).lets_act(peer, &shown), Err(Denied::Token));
            assert_eq!(guard(Some("s3cret")).lets_act(peer, &HeaderMap::new()), Err(Denied::Token));
        }
        assert_eq!(guard(None).lets_act("192.0.2.7".parse().unwrap(), &shown), Err(Denied::Unset));
    }

    #[test]
    fn without_a_token_no_page_of_somebody_else_acts_through_a_browser_here() {
        let acts = |host: &str, origin: Option<&str>| {
            let mut of = headers(&[(header::HOST, host)]);
            origin.map(|origin| of.insert(header::ORIGIN, origin.parse().unwrap()));
            guard(None).lets_act("127.0.0.1".parse().unwrap(), &of)
        };
        for host in ["127.0.0.1:9900", "localhost:9900", "[::1]:9900", "127.0.0.1"] {
            assert_eq!(acts(host, None), Ok(Right::Loopback), "{host}");
        }
        assert_eq!(acts("localhost:9900", Some("http://localhost:9900")), Ok(Right::Loopback), "a page of our own");
        assert_eq!(acts("localhost:9900", Some("https://evil.example")), Err(Denied::ForeignPage));
        assert_eq!(acts("localhost:9900", Some("null")), Err(Denied::ForeignPage));
        assert_eq!(
            acts("evil.example:9900", Some("http://evil.example:9900")),
            Err(Denied::ForeignPage),
            "a name bound anew"
        );
        assert_eq!(acts("", None), Err(Denied::ForeignPage));
    }
}
