//! Which endpoint a callback belongs to: by exact path or by one with a parameter, and by host where an endpoint names one.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::endpoint::Endpoint;

/// What stands for an app id in a path. WeChat's console has `$APPID$` there.
const APPID: &str = "{appid}";
/// Longest app id in a path, in bytes. WeChat's have 18.
const MAX_APPID: usize = 64;

/// The paths that an endpoint answers to. Compared byte for byte as received: no decoding, no dot segments, no trailing
/// slash is forgiven, so that what a proxy in front allows is what is matched here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// This path alone.
    Exact(Box<str>),
    /// One segment is any app id. It only leads here: nobody signs it, so that nothing is made of it, and for whom a
    /// message is says the message alone (protocol 3.6).
    WithAppid {
        /// All before the segment, slash included.
        before: Box<str>,
        /// All behind it, slash included; empty if it is the last one.
        behind: Box<str>,
    },
}

impl Pattern {
    /// A path as configured. None if it has braces that are not one whole segment `{appid}`.
    pub fn new(path: &str) -> Option<Self> {
        let Some((before, behind)) = path.split_once(APPID) else {
            return (!path.contains(['{', '}'])).then(|| Self::Exact(path.into()));
        };
        let is_segment = before.ends_with('/') && (behind.is_empty() || behind.starts_with('/'));
        let is_only = !before.contains(['{', '}']) && !behind.contains(['{', '}']);
        (is_segment && is_only).then(|| Self::WithAppid { before: before.into(), behind: behind.into() })
    }

    /// Whether it answers to this path.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *path,
            Self::WithAppid { before, behind } => {
                path.strip_prefix(&**before).and_then(|rest| rest.strip_suffix(&**behind)).is_some_and(is_appid)
            }
        }
    }

    /// Whether some path leads to both, and neither stands before the other: an exact path stands before one with a
    /// parameter.
    pub fn collides(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Exact(one), Self::Exact(other)) => one == other,
            (Self::WithAppid { .. }, Self::WithAppid { .. }) => {
                let (one, other) = (self.to_string(), other.to_string());
                let fits = |(one, other): (&str, &str)| {
                    one == other || (one == APPID && is_appid(other)) || (other == APPID && is_appid(one))
                };
                one.split('/').count() == other.split('/').count() && one.split('/').zip(other.split('/')).all(fits)
            }
            (Self::Exact(_), Self::WithAppid { .. }) | (Self::WithAppid { .. }, Self::Exact(_)) => false,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) => f.write_str(path),
            Self::WithAppid { before, behind } => write!(f, "{before}{APPID}{behind}"),
        }
    }
}

/// What may stand for an app id: neither a slash nor anything that has to be encoded.
fn is_appid(segment: &str) -> bool {
    let is_symbol = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=MAX_APPID).contains(&segment.len()) && segment.bytes().all(is_symbol)
}

/// The endpoints by path.
#[derive(Default)]
pub struct Routes {
    exact: HashMap<Box<str>, Vec<Arc<Endpoint>>>,
    /// Those with a parameter; few, so that each is tried.
    with_appid: Vec<Arc<Endpoint>>,
}

impl Routes {
    /// Routes over these endpoints. An endpoint with a host stands before one without, on the same path.
    pub fn new(endpoints: impl IntoIterator<Item = Arc<Endpoint>>) -> Self {
        let mut exact: HashMap<Box<str>, Vec<Arc<Endpoint>>> = HashMap::new();
        let mut with_appid = Vec::new();
        for endpoint in endpoints {
            match endpoint.path() {
                Pattern::Exact(path) => exact.entry(path.clone()).or_default().push(endpoint),
                Pattern::WithAppid { .. } => with_appid.push(endpoint),
            }
        }
        for sharing in exact.values_mut().chain([&mut with_appid]) {
            sharing.sort_by_key(|endpoint| endpoint.host().is_none());
        }
        Self { exact, with_appid }
    }

    /// The endpoint of a path and a `Host` (with or without port). An exact path stands before one with a parameter.
    pub fn find(&self, path: &str, host: Option<&str>) -> Option<&Arc<Endpoint>> {
        let answers = |endpoint: &&Arc<Endpoint>| match endpoint.host() {
            None => true,
            Some(wanted) => host.is_some_and(|host| without_port(host).eq_ignore_ascii_case(wanted)),
        };
        let exact = self.exact.get(path).and_then(|sharing| sharing.iter().find(answers));
        exact.or_else(|| self.with_appid.iter().filter(|endpoint| endpoint.path().matches(path)).find(answers))
    }

    /// Every endpoint, in no order.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.exact.values().flatten().chain(&self.with_appid)
    }

    /// The endpoint of this name.
    pub fn named(&self, name: &str) -> Option<&Arc<Endpoint>> {
        self.endpoints().find(|endpoint| &**endpoint.name() == name)
    }
}

/// `example.com:8080` → `example.com`, `[::1]:80` → `[::1]`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(path: &str) -> Pattern {
        Pattern::new(path).unwrap()
    }

    #[test]
    fn a_parameter_is_one_whole_segment_that_could_be_an_app_id() {
        let messages = pattern("/open/{appid}/callback");
        assert!(messages.matches("/open/wxf8b4f85f3a794e77/callback"));
        let long = format!("/open/{}/callback", "a".repeat(MAX_APPID + 1));
        for path in [
            "/open//callback",
            "/open/a/b/callback",
            "/open/wx%66/callback",
            "/open/../callback",
            "/open/{appid}/callback",
            "/open/$APPID$/callback",
            "/open/wx/callback/",
            "/open/wx",
            "/open/callback",
            "/Open/wx/callback",
            &long,
        ] {
            assert!(!messages.matches(path), "{path}");
        }
        assert!(pattern("/open/{appid}").matches("/open/wx"));
        assert!(!pattern("/open/{appid}").matches("/open/"));
        for path in ["/open/wx{appid}", "/{appid}/{appid}", "/{mchid}", "/{appid}x/a", "/a}", "{appid}"] {
            assert_eq!(Pattern::new(path), None, "{path}");
        }
    }

    #[test]
    fn patterns_collide_where_one_path_would_lead_to_both() {
        let collides = |one: &str, other: &str| {
            assert_eq!(pattern(one).collides(&pattern(other)), pattern(other).collides(&pattern(one)));
            pattern(one).collides(&pattern(other))
        };
        assert!(collides("/a", "/a") && collides("/{appid}", "/{appid}"));
        assert!(collides("/{appid}/b", "/a/{appid}"), "/a/b leads to both");
        assert!(!collides("/{appid}/b", "/a/{appid}/b") && !collides("/a/{appid}", "/b/{appid}"));
        assert!(!collides("/{appid}/b.c", "/a/{appid}"), "b.c is no app id");
        assert!(!collides("/open/auth", "/open/{appid}"), "the exact one stands before");
    }

    proptest::proptest! {
        #[test]
        fn what_matches_is_what_was_put_together(appid in "[A-Za-z0-9_-]{1,64}", before in "/[a-z/]{0,8}", behind in "[a-z/]{0,8}") {
            let (before, behind) = (format!("{before}/"), format!("/{behind}"));
            let pattern = pattern(&format!("{before}{{appid}}{behind}"));
            let path = format!("{before}{appid}{behind}");
            proptest::prop_assert!(pattern.matches(&path));
        }

        #[test]
        fn no_path_makes_it_panic(path in ".{0,80}") {
            let _ = Pattern::new(&path).map(|pattern| pattern.matches(&path));
            pattern("/a/{appid}/a").matches(&path);
        }
    }

    #[test]
    fn ports_are_no_part_of_a_host() {
        assert_eq!(without_port("pay.example.com:8443"), "pay.example.com");
        assert_eq!(without_port("pay.example.com"), "pay.example.com");
        assert_eq!(without_port("[::1]:80"), "[::1]");
        assert_eq!(without_port("[::1]"), "[::1]");
    }
}
