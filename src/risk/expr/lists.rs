//! The members of a list that is kept in memory.

use core::net::IpAddr;
use std::collections::HashSet;

use foldhash::fast::FixedState;
use ipnet::IpNet;

/// What is on a list. Looking into it takes the time of one hash, or for addresses of a binary search.
///
/// The hash is not keyed: only the operator adds members, and looking up what a stranger sends adds nothing.
#[derive(Clone, Debug)]
pub enum Members {
    /// Texts, compared byte for byte.
    Text(HashSet<Box<str>, FixedState>),
    /// Whole numbers; of money its fen.
    Int(HashSet<i64, FixedState>),
    /// Addresses.
    Cidr(Blocks),
    /// The list is kept in the store and asked for each event.
    InStore,
}

impl Members {
    /// A list of texts.
    pub fn texts<T: Into<Box<str>>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::Text(texts.into_iter().map(Into::into).collect())
    }

    /// A list of whole numbers.
    pub fn ints(numbers: impl IntoIterator<Item = i64>) -> Self {
        Self::Int(numbers.into_iter().collect())
    }

    /// A list of blocks of addresses. A block of IPv4 addresses mapped into IPv6 counts as one of IPv4.
    pub fn blocks(nets: impl IntoIterator<Item = IpNet>) -> Self {
        Self::Cidr(Blocks::new(nets))
    }

    /// How many members there are; of blocks those that do not touch.
    pub fn len(&self) -> usize {
        match self {
            Self::Text(members) => members.len(),
            Self::Int(members) => members.len(),
            Self::Cidr(blocks) => blocks.v4.len().saturating_add(blocks.v6.len()),
            Self::InStore => 0,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn as_texts(&self) -> Option<&HashSet<Box<str>, FixedState>> {
        let Self::Text(members) = self else { return None };
        Some(members)
    }

    pub(super) fn as_ints(&self) -> Option<&HashSet<i64, FixedState>> {
        let Self::Int(members) = self else { return None };
        Some(members)
    }

    pub(super) fn as_blocks(&self) -> Option<&Blocks> {
        let Self::Cidr(blocks) = self else { return None };
        Some(blocks)
    }
}

/// Blocks of addresses as sorted ranges that do not touch each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Blocks {
    /// From blocks in any order, which may overlap.
    pub fn new(nets: impl IntoIterator<Item = IpNet>) -> Self {
        let mut blocks = Self::default();
        for net in nets {
            match (net.network().to_canonical(), net.broadcast().to_canonical()) {
                (IpAddr::V4(first), IpAddr::V4(last)) => blocks.v4.push((first.to_bits(), last.to_bits())),
                // A block that is wider than all mapped addresses holds those as well.
                (first, last) => {
                    let wide = |ip| match ip {
                        IpAddr::V4(ip) => core::net::Ipv4Addr::to_ipv6_mapped(&ip).to_bits(),
                        IpAddr::V6(ip) => ip.to_bits(),
                    };
                    blocks.v6.push((wide(first), wide(last)));
                }
            }
        }
        blocks.v4 = merged(blocks.v4);
        blocks.v6 = merged(blocks.v6);
        blocks
    }

    /// Whether `ip` is in one of them.
    pub fn has(&self, ip: IpAddr) -> bool {
        match ip.to_canonical() {
            IpAddr::V4(ip) => within(&self.v4, ip.to_bits()) || within(&self.v6, ip.to_ipv6_mapped().to_bits()),
            IpAddr::V6(ip) => within(&self.v6, ip.to_bits()),
        }
    }
}

fn merged<N: Ord + Copy>(mut ranges: Vec<(N, N)>) -> Vec<(N, N)> {
    ranges.sort_unstable();
    let mut merged: Vec<(N, N)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1 => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

fn within<N: Ord + Copy>(ranges: &[(N, N)], at: N) -> bool {
    let after = ranges.partition_point(|range| range.0 <= at);
    after.checked_sub(1).and_then(|place| ranges.get(place)).is_some_and(|range| at <= range.1)
}
