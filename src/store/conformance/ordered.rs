//! Registered orders.

use super::*;
use crate::risk::ask::Order;
use crate::store::Registered;
use crate::store::engine::PutOrder;

fn order(amount_total: i64) -> Order {
    Order {
        amount_total,
        currency: "CNY".to_owned(),
        payer_openid: Some("oUpF8uMuAJO_M2pxb1Q9zNjWeS6o".to_owned()),
        client_ip: None,
        registered_at: START,
        expires_at: START.plus(Duration::from_hours(2)),
    }
}

fn until() -> UnixTime {
    START.plus(Duration::from_hours(27))
}

async fn put(engine: &Engine, number: u8, says: Order) -> Registered {
    let put = vec![PutOrder { order: [number; 16], says, until: until() }];
    engine.put_orders("pay", put, START).await.unwrap()[0]
}

async fn get(engine: &Engine, number: u8, now: UnixTime) -> Option<Order> {
    engine.order("pay", [number; 16], now).await.unwrap()
}

pub(in crate::store) async fn an_order_is_known_to_the_claim(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    assert_eq!(put(&engine, 1, order(8800)).await, Registered::New);
    let ask = Tries::of(&engine, 1).ask(fresh_nonce());
    let asked = |order, event: u8| Ask {
        order,
        event: [event; 16],
        nonce: Some(NonceUse { digest: fresh_nonce(), signed_at: START, until: START }),
        ..ask
    };
    for (event, number, known) in [(1, Some(1_u8), Some(order(8800))), (2, Some(2), None), (3, None, None)] {
        let reply = engine.claim(&asked(number.map(|number| [number; 16]), event)).await.unwrap();
        let Reply::Claimed { answers, .. } = reply else { panic!("{reply:?}") };
        assert_eq!(answers.order, known);
    }
    let elsewhere = engine.order("pay-2", [1; 16], START).await.unwrap();
    assert_eq!(elsewhere, None, "orders of endpoints never meet");
}

pub(in crate::store) async fn an_order_that_is_registered_again_is_replaced_and_told(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    assert_eq!(put(&engine, 1, order(8800)).await, Registered::New);
    let later = Order { registered_at: START.plus(Duration::from_secs(5)), ..order(8800) };
    assert_eq!(put(&engine, 1, later).await, Registered::Unchanged);
    assert_eq!(put(&engine, 1, order(8801)).await, Registered::Replaced);
    assert_eq!(get(&engine, 1, START).await, Some(order(8801)));
}

pub(in crate::store) async fn an_order_is_forgotten_at_its_time(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    put(&engine, 1, order(8800)).await;
    assert_eq!(get(&engine, 1, until()).await, Some(order(8800)));
    let later = until().plus(Duration::from_secs(1));
    assert_eq!(get(&engine, 1, later).await, None);
    let again = vec![PutOrder { order: [1; 16], says: order(1), until: later.plus(Duration::from_hours(1)) }];
    assert_eq!(engine.put_orders("pay", again, later).await.unwrap(), [Registered::New]);
}

pub(in crate::store) async fn many_orders_are_registered_at_once(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    put(&engine, 3, order(3)).await;
    put(&engine, 4, order(0)).await;
    let puts = (0..100_u8).map(|number| PutOrder { order: [number; 16], says: order(number.into()), until: until() });
    let told = engine.put_orders("pay", puts.collect(), START).await.unwrap();
    for (number, told) in (0..100_u8).zip(told) {
        let expected = match number {
            3 => Registered::Unchanged,
            4 => Registered::Replaced,
            _ => Registered::New,
        };
        assert_eq!(told, expected, "order {number}");
        assert_eq!(get(&engine, number, START).await, Some(order(number.into())));
    }
    assert_eq!(engine.put_orders("pay", Vec::new(), START).await.unwrap(), []);
}

pub(in crate::store) async fn orders_are_known_after_a_crash(fixture: impl Fixture) {
    let engine = fixture.open(START).await;
    put(&engine, 1, order(8800)).await;
    put(&engine, 2, order(1)).await;
    let bare = Order { payer_openid: None, client_ip: Some("203.0.113.9".to_owned()), ..order(2) };
    put(&engine, 2, bare.clone()).await;
    let Some(engine) = fixture.crash(engine, START).await else { return };
    assert_eq!(get(&engine, 1, START).await, Some(order(8800)));
    assert_eq!(get(&engine, 2, START).await, Some(bare));
}
