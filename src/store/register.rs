//! What merchants' apps and operators tell the store: orders at the time of the QR code, and values on dynamic lists. Their
//! sizes are bounded here, for every engine.

use std::time::Duration;

use super::engine::PutOrder;
use super::{Store, StoreError, digest};
use crate::clock::UnixTime;
use crate::risk::ask::{ListAsk, Order};

/// How long an order is remembered after it expired: WeChat tries for a day to tell of a payment in the last minute.
const ORDER_KEPT_AFTER: Duration = Duration::from_hours(25);

/// What came of registering an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registered {
    /// No order of this number was known.
    New,
    /// It was registered before and said the same.
    Unchanged,
    /// It was registered before and said something else; what it says now counts.
    Replaced,
}

/// A value on a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The value.
    pub value: String,
    /// Until when, in whole seconds.
    pub until: UnixTime,
}

/// Some of the values on a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    /// In the order of their bytes.
    pub values: Vec<Listed>,
    /// Whether more come after the last of them.
    pub has_more: bool,
}

/// Why something is not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// A text is longer than any that WeChat or a person writes.
    #[error("{what} has {length} bytes, and at most {most} are kept")]
    TooLong {
        /// Which text.
        what: &'static str,
        /// How long it is, in bytes.
        length: usize,
        /// How long it may be.
        most: usize,
    },
    /// A text that must say something is empty.
    #[error("{what} is empty")]
    Empty {
        /// Which text.
        what: &'static str,
    },
    /// More orders at a time than are taken.
    #[error("{orders} orders at a time, and at most {most} are taken: send them in parts")]
    TooMany {
        /// How many.
        orders: usize,
        /// How many may be.
        most: usize,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Most orders in one call of [`Store::put_orders`].
    pub const MOST_ORDERS_AT_A_TIME: usize = 1000;

    /// Registers an order of an endpoint, durably where the engine is durable. One of the same number is replaced. It is
    /// remembered for 25 hours after it expires.
    pub async fn put_order(&self, endpoint: &str, number: &str, order: Order) -> Result<Registered, RegisterError> {
        let registered = self.put_orders(endpoint, vec![(number.to_owned(), order)]).await?;
        registered.into_iter().next().ok_or(RegisterError::Store(StoreError::Closed)) // one asked, one told
    }

    /// As [`Store::put_order`], for many at the price of one. All are looked at before any is registered; if the store then
    /// fails, some may be, and the same call may be made again.
    pub async fn put_orders(
        &self,
        endpoint: &str,
        orders: Vec<(String, Order)>,
    ) -> Result<Vec<Registered>, RegisterError> {
        if orders.len() > Self::MOST_ORDERS_AT_A_TIME {
            return Err(RegisterError::TooMany { orders: orders.len(), most: Self::MOST_ORDERS_AT_A_TIME });
        }
        orders.iter().try_for_each(|(number, order)| check_order(number, order))?;
        let put = |(number, says): (String, Order)| PutOrder {
            order: digest::order(&number),
            until: says.expires_at.plus(ORDER_KEPT_AFTER),
            says,
        };
        let orders = orders.into_iter().map(put).collect();
        Ok(self.shared.engine.put_orders(endpoint, orders, self.shared.clock.now()).await?)
    }

    /// The registered order of a number, if it is remembered.
    pub async fn order(&self, endpoint: &str, number: &str) -> Result<Option<Order>, StoreError> {
        self.shared.engine.order(endpoint, digest::order(number), self.shared.clock.now()).await
    }

    /// Puts a value on a list of the whole gateway until a time, at most until 2106, in place of the time that it had.
    /// Tells whether it is new there.
    pub async fn list_add(&self, list: &str, value: &str, until: UnixTime) -> Result<bool, RegisterError> {
        check("the name of the list", list, 64)?;
        check("the value", value, 256)?;
        let entry = ListAsk { list: list.to_owned(), value: value.to_owned() };
        Ok(self.shared.engine.list_add(&entry, until, self.shared.clock.now()).await?)
    }

    /// Takes a value off a list. Tells whether it was there.
    pub async fn list_remove(&self, list: &str, value: &str) -> Result<bool, StoreError> {
        let entry = ListAsk { list: list.to_owned(), value: value.to_owned() };
        self.shared.engine.list_remove(&entry, self.shared.clock.now()).await
    }

    /// The first `most` values of a list behind `after`: the last value of one page asks for the next.
    pub async fn list_show(&self, list: &str, after: Option<&str>, most: usize) -> Result<ListPage, StoreError> {
        self.shared.engine.list_show(list, after, most, self.shared.clock.now()).await
    }
}

fn check_order(number: &str, order: &Order) -> Result<(), RegisterError> {
    check("the order number", number, 64)?;
    check("currency", &order.currency, 16)?;
    order.payer_openid.as_deref().map_or(Ok(()), |openid| check("payer_openid", openid, 128))?;
    order.client_ip.as_deref().map_or(Ok(()), |address| check("client_ip", address, 64))
}

fn check(what: &'static str, text: &str, most: usize) -> Result<(), RegisterError> {
    match text.len() {
        0 => Err(RegisterError::Empty { what }),
        length if length > most => Err(RegisterError::TooLong { what, length, most }),
        _ => Ok(()),
    }
}
