//! Blocks of addresses, against a search that looks at each of them.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;

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
        prop_assert_eq!(Members::blocks(blocks.clone()).has_ip(ip), blocks.iter().any(has));
    }
}

#[test]
fn a_block_wider_than_all_mapped_addresses_has_them() {
    let all = Members::blocks(["::/0".parse().unwrap()]);
    assert!(all.has_ip("10.0.0.1".parse().unwrap()) && all.has_ip("2001:db8::1".parse().unwrap()));
    let mapped = Members::blocks(["::ffff:10.0.0.0/104".parse().unwrap()]);
    assert!(mapped.has_ip("10.9.9.9".parse().unwrap()) && !mapped.has_ip("11.0.0.0".parse().unwrap()));
}

#[test]
fn a_list_has_only_what_is_of_its_type() {
    let texts = Members::texts(["a", "b", "a"]);
    assert_eq!((texts.len(), texts.is_empty(), texts.has_text("a"), texts.has_text("A")), (2, false, true, false));
    assert!(!texts.has_int(1) && !texts.has_ip("10.0.0.1".parse().unwrap()));
    let numbers = Members::ints([1, 2]);
    assert!(numbers.has_int(1) && !numbers.has_text("1"));
    assert!(Members::InStore.is_empty() && !Members::InStore.has_text("a"));
}
