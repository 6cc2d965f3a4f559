//! The closed sets of words: kinds of event, states, ways to pay. Members are WeChat's own words; an event may hold a
//! word that is not here yet, which equals no member.

use crate::event::Event;

/// An enum of the expression language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EnumType {
    /// What an event is about.
    Kind,
    /// How a payment ended.
    TradeState,
    /// How a refund ended.
    RefundStatus,
    /// How the user paid.
    TradeType,
}

/// The code of a word that is no member.
const UNLISTED: u8 = u8::MAX;

impl EnumType {
    /// All enums.
    pub const ALL: [Self; 4] = [Self::Kind, Self::TradeState, Self::RefundStatus, Self::TradeType];

    /// The name in expressions: `TradeState` of `TradeState.SUCCESS`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kind => "Kind",
            Self::TradeState => "TradeState",
            Self::RefundStatus => "RefundStatus",
            Self::TradeType => "TradeType",
        }
    }

    /// The enum of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|of| of.name() == name)
    }

    /// The members, in the order of their codes.
    pub const fn members(self) -> &'static [&'static str] {
        match self {
            Self::Kind => &Kind::NAMES,
            Self::TradeState => {
                &["SUCCESS", "REFUND", "NOTPAY", "CLOSED", "REVOKED", "USERPAYING", "PAYERROR", "ACCEPT"]
            }
            Self::RefundStatus => &["SUCCESS", "CLOSED", "PROCESSING", "ABNORMAL"],
            Self::TradeType => &["JSAPI", "NATIVE", "APP", "MWEB", "MICROPAY", "FACEPAY"],
        }
    }

    /// The code of a word, 255 for one that is no member.
    pub fn code(self, word: &str) -> u8 {
        let place = self.members().iter().position(|member| *member == word);
        place.and_then(|place| u8::try_from(place).ok()).unwrap_or(UNLISTED)
    }

    /// The code of a member.
    pub fn member(self, word: &str) -> Option<u8> {
        Some(self.code(word)).filter(|code| *code != UNLISTED)
    }
}

/// What an event is about, which decides what fields it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// The payment of one order.
    Transaction,
    /// The payment of several orders at once: it has a transaction and a state for each of them, so none as a whole.
    Combined,
    /// A refund.
    Refund,
    /// A transfer to a user, or a batch of them.
    Transfer,
    /// A pay score order or service.
    Payscore,
    /// A message or an event of message push.
    Message,
    /// Anything else: coupons, complaints, profit sharing, what WeChat makes up next.
    Other,
}

impl Kind {
    /// All kinds, in the order of their codes.
    pub const ALL: [Self; 7] =
        [Self::Transaction, Self::Combined, Self::Refund, Self::Transfer, Self::Payscore, Self::Message, Self::Other];
    const NAMES: [&'static str; 7] = ["TRANSACTION", "COMBINED", "REFUND", "TRANSFER", "PAYSCORE", "MESSAGE", "OTHER"];

    /// The name in expressions, behind `Kind.`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transaction => "TRANSACTION",
            Self::Combined => "COMBINED",
            Self::Refund => "REFUND",
            Self::Transfer => "TRANSFER",
            Self::Payscore => "PAYSCORE",
            Self::Message => "MESSAGE",
            Self::Other => "OTHER",
        }
    }

    /// One sentence for the reference.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Transaction => "the payment of one order: a type `wechatpay.transaction.…` with a trade state",
            Self::Combined => "the payment of several orders at once; it has no transaction and no state as a whole",
            Self::Refund => "a refund: a type `wechatpay.refund.…` with a refund status",
            Self::Transfer => "a transfer to a user or a batch of them: `wechatpay.mchtransfer.…`",
            Self::Payscore => "a pay score order or service: `wechatpay.payscore.…`",
            Self::Message => "a message or an event of message push: `wechat.…`, `wecom.…`",
            Self::Other => "anything else: coupons, complaints, profit sharing, …",
        }
    }

    /// The kind of an event. One that calls itself a payment or refund but lacks its state is of another product that
    /// shares the type (protocol 1.9), and so `Other`.
    pub fn of(event: &Event) -> Self {
        if event.is_combined {
            return Self::Combined;
        }
        match event.kind.split_once('.') {
            Some(("wechat" | "wecom", _)) => Self::Message,
            Some(("wechatpay", rest)) => match rest.split('.').next() {
                Some("transaction") if event.trade_state.is_some() => Self::Transaction,
                Some("refund") if event.refund_status.is_some() => Self::Refund,
                Some("mchtransfer") => Self::Transfer,
                Some("payscore") => Self::Payscore,
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kinds(u8);

impl Kinds {
    /// None.
    pub const NONE: Self = Self(0);
    /// All.
    pub const ALL: Self = Self(0b111_1111);
    /// Those of WeChat Pay.
    pub const PAY: Self =
        Self::of(&[Kind::Transaction, Kind::Combined, Kind::Refund, Kind::Transfer, Kind::Payscore, Kind::Other]);
    /// Those of message push.
    pub const PUSH: Self = Self::of(&[Kind::Message, Kind::Other]);

    /// These kinds.
    pub const fn of(kinds: &[Kind]) -> Self {
        let mut bits = 0;
        let mut rest = kinds;
        while let [first, others @ ..] = rest {
            bits |= 1_u8 << (*first as u8);
            rest = others;
        }
        Self(bits)
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is here and not there.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether it has none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of this is in `other`.
    pub const fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The kinds in it.
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| !Self::of(&[*kind]).and(self).is_empty())
    }
}
