//! What a diagnosis is, whichever protocol's: a cause, and how it shows. Each protocol judges a captured request again in
//! bounded variants and names the one that passes. For `wxgate doctor`; nothing here is on the way of a callback.

pub(super) mod bytes;

use std::fmt::Display;

/// What is wrong, as far as it can be told from one request and one configuration.
pub trait Explained: Copy + Eq + 'static {
    /// Every cause, in the order of the documentation.
    const ALL: &'static [Self];

    /// The stable kebab-case code.
    fn code(self) -> &'static str;

    /// What it means, in a sentence.
    fn meaning(self) -> &'static str;

    /// What to do about it.
    fn remedy(self) -> &'static str;
}

/// What came of a diagnosis. Its words hold no body, key or personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis<C> {
    /// What is wrong.
    pub cause: C,
    /// How it shows in this request.
    pub detail: String,
}

/// Names a cause.
pub(super) fn found<C>(cause: C, detail: impl Display) -> Diagnosis<C> {
    Diagnosis { cause, detail: detail.to_string() }
}

/// A closed list of causes: code, remedy and, as the comment, the meaning.
macro_rules! causes {
    ($(#[$about:meta])* pub enum $name:ident {
        $(#[doc = $meaning:literal] $variant:ident = $code:literal: $remedy:literal;)+
    }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $(#[doc = $meaning] $variant,)+ }

        impl $crate::wechat::diagnosis::Explained for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn code(self) -> &'static str { match self { $(Self::$variant => $code,)+ } }

            fn meaning(self) -> &'static str { match self { $(Self::$variant => $meaning.trim_ascii(),)+ } }

            fn remedy(self) -> &'static str { match self { $(Self::$variant => $remedy,)+ } }
        }
    };
}
pub(super) use causes;

causes! {
    /// What no protocol sees alone.
    pub enum Elsewhere {
        /// It passes at another endpoint of the configuration.
        OtherEndpoint = "other-endpoint": "give WeChat the URL of the endpoint that it passes at, or swap the keys of the two";
    }
}
