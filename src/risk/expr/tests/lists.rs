//! Blocks of addresses, against a search that looks at each of them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;
use crate::risk::expr::lists::Blocks;

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0_u32..1024).prop_map(|low| IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | low))),
        (0_u32..1024).prop_map(|low| IpAddr::V6(Ipv4Addr::from_bits(0x0a00_0000 | low).to_ipv6_mapped())),
        (0_u128..1024).prop_map(|low| IpAddr::V6(Ipv6Addr::from_bits(0x2001_0db8 << 96 | low))),
    ]
}

fn block() -> impl Strategy<Value = IpNet> {
    (address(), 0_u8..=12).prop_map(|(ip, wide)| {
        let most = if ip.is_ipv4() { 32 } else { 128 };
        IpNet::new(ip, most - wide).unwrap()
    })
}

proptest! {
    #[test]
    fn an_address_is_listed_if_one_block_has_it(blocks in prop::collection::vec(block(), 0..12), ip in address()) {
        let wide = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
            IpAddr::V6(ip) => ip.to_bits(),
        };
        let has = |net: &IpNet| (wide(net.network())..=wide(net.broadcast())).contains(&wide(ip));
        prop_assert_eq!(Blocks::new(blocks.clone()).has(ip), blocks.iter().any(has));
    }
}

#[test]
fn a_block_wider_than_all_mapped_addresses_has_them() {
    let all = Blocks::new(["::/0".parse().unwrap()]);
    assert!(all.has("10.0.0.1".parse().unwrap()) && all.has("2001:db8::1".parse().unwrap()));
    let mapped = Blocks::new(["::ffff:10.0.0.0/104".parse().unwrap()]);
    assert!(mapped.has("10.9.9.9".parse().unwrap()) && !mapped.has("11.0.0.0".parse().unwrap()));
    let touching = Members::blocks(["10.0.0.0/24".parse().unwrap(), "10.0.0.128/25".parse().unwrap()]);
    assert_eq!(touching.len(), 1);
}

#[test]
fn a_list_that_is_missing_or_of_another_type_is_no_empty_list() {
    let texts = "paid && event.mchid in list.our_mchids";
    let mut world = World::of(payment());
    assert_eq!(world.holds(&condition(texts)), Ok(true));
    world.lists[0] = Arc::new(Members::texts(Vec::<String>::new()));
    assert_eq!(world.holds(&condition(texts)), Ok(false));
    for wrong in [Members::InStore, Members::ints([1])] {
        world.lists[0] = Arc::new(wrong);
        let error = world.holds(&condition(texts)).unwrap_err();
        assert_eq!((error.reason, error.span.of(texts)), (Reason::NotAsked, "event.mchid in list.our_mchids"));
    }
    world.lists.clear();
    for text in [texts, "client.ip in list.wx_ranges", "paid && event.amount.total in list.odd_amounts"] {
        assert_eq!(world.holds(&condition(text)).unwrap_err().reason, Reason::NotAsked, "{text}");
    }
}
