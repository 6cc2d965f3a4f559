//! What one event counted, as one row: most of what a judged callback writes, so it is written short. A counter takes about
//! 35 bytes here, and 93 as two records of their own.
//!
//! | bytes | field |
//! |---:|---|
//! | 16 | the event |
//! | 1–2 | how many counters |
//! | … | for each: its key (16), its measure and whether it moved (1), if so its shape and its change, and what the event was told |
//!
//! Numbers are LEB128, signed ones in zigzag; what was told is the value before and the difference.

use super::row::Reader;
use crate::risk::ask::{Counted, Measure};
use crate::store::index::{Change, Key, Record, Shape};

/// Set in the byte of the measure if the counter moved.
const MOVED: u8 = 0x80;

/// Writes the records of one event: [`Record::Told`] for each counter, behind the [`Record::Moved`] of the same counter if it
/// moved. Others do not belong here.
pub(super) fn write(records: &[Record], into: &mut Vec<u8>) {
    let told = |record: &&Record| matches!(record, Record::Told { .. });
    let Some(Record::Told { event, .. }) = records.iter().find(told) else { return };
    into.extend_from_slice(&event.0);
    put(u64::try_from(records.iter().filter(told).count()).unwrap_or(u64::MAX), into);
    let mut moved = None;
    for record in records {
        match record {
            Record::Moved { shape, change, .. } => moved = Some((*shape, *change)),
            Record::Told { counter, counted, .. } => {
                into.extend_from_slice(&counter.0);
                match moved.take() {
                    Some((shape, change)) => put_move(shape, change, into),
                    None => into.push(0),
                }
                put_signed(counted.before, into);
                put_signed(counted.after.wrapping_sub(counted.before), into);
            }
            Record::Nonce { .. }
            | Record::Known { .. }
            | Record::InFlight { .. }
            | Record::Done { .. }
            | Record::Released { .. } => debug_assert!(false, "not a record of a counter: {record:?}"),
        }
    }
}

/// The same records again.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Vec<Record>> {
    let event = Key(reader.take()?);
    let counters = number(reader)?;
    let mut records = Vec::new();
    for _ in 0..counters {
        let counter = Key(reader.take()?);
        let [flags] = reader.take()?;
        if flags & MOVED != 0 {
            let (shape, change) = read_move(flags & !MOVED, reader)?;
            records.push(Record::Moved { key: counter, shape, change });
        }
        let before = signed(reader)?;
        let after = before.wrapping_add(signed(reader)?);
        records.push(Record::Told { event, counter, counted: Counted { before, after } });
    }
    Some(records)
}

fn put_move(shape: Shape, change: Change, into: &mut Vec<u8>) {
    let (measure, exact_up_to) = match shape.measure {
        Measure::Count => (0, None),
        Measure::Sum => (1, None),
        Measure::Distinct { exact_up_to } => (2, Some(exact_up_to)),
        Measure::Last => (3, None),
        Measure::FirstSeen => (4, None),
    };
    into.push(measure | MOVED);
    if let Some(exact_up_to) = exact_up_to {
        put(exact_up_to.into(), into);
    }
    put(shape.window.into(), into);
    put(shape.slice.into(), into);
    match change {
        Change::Slice { number, value } | Change::Last { at: number, value } => {
            put_signed(number, into);
            put_signed(value, into);
        }
        Change::Seen { first, last } => {
            put_signed(first, into);
            put_signed(last.wrapping_sub(first), into);
        }
        Change::Member { number, member } => {
            put_signed(number, into);
            into.extend_from_slice(&member);
        }
    }
}

fn read_move(measure: u8, reader: &mut Reader<'_>) -> Option<(Shape, Change)> {
    let measure = match measure {
        0 => Measure::Count,
        1 => Measure::Sum,
        2 => Measure::Distinct { exact_up_to: u16::try_from(number(reader)?).ok()? },
        3 => Measure::Last,
        4 => Measure::FirstSeen,
        _ => return None,
    };
    let (window, slice) = (u32::try_from(number(reader)?).ok()?, u32::try_from(number(reader)?).ok()?);
    let first = signed(reader)?;
    let change = match measure {
        Measure::Count | Measure::Sum => Change::Slice { number: first, value: signed(reader)? },
        Measure::Distinct { .. } => Change::Member { number: first, member: reader.take()? },
        Measure::Last => Change::Last { at: first, value: signed(reader)? },
        Measure::FirstSeen => Change::Seen { first, last: first.wrapping_add(signed(reader)?) },
    };
    Some((Shape { measure, window, slice }, change))
}

fn put(mut number: u64, into: &mut Vec<u8>) {
    let low = |number: u64| u8::try_from(number & 0x7f).expect("seven bits");
    while number > 0x7f {
        into.push(low(number) | 0x80);
        number >>= 7;
    }
    into.push(low(number));
}

fn put_signed(number: i64, into: &mut Vec<u8>) {
    put((number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned(), into);
}

fn number(reader: &mut Reader<'_>) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = reader.take()?;
        let bits = u64::from(byte & 0x7f);
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return ((bits << shift) >> shift == bits).then_some(number);
        }
    }
    None
}

fn signed(reader: &mut Reader<'_>) -> Option<i64> {
    let number = number(reader)?;
    Some((number >> 1).cast_signed() ^ (number & 1).cast_signed().wrapping_neg())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::row::tests::records;
    use super::*;
    use crate::clock::UnixTime;
    use crate::risk::ask::{Amount, CounterAsk};
    use crate::store::engine::{Ask, Lease};
    use crate::store::index::Index;

    proptest! {
        #[test]
        fn what_was_written_is_read(some in prop::collection::vec(records(), 1..40), event in any::<[u8; 16]>()) {
            let mut pairs = Vec::new();
            let mut moved = None;
            for record in some {
                if let Record::Told { counter, counted, .. } = record {
                    if let Some(Record::Moved { shape, change, .. }) = moved.take() {
                        pairs.push(Record::Moved { key: counter, shape, change });
                    }
                    pairs.push(Record::Told { event: Key(event), counter, counted });
                } else {
                    moved = Some(record);
                }
            }
            prop_assume!(!pairs.is_empty());
            let mut bytes = Vec::new();
            write(&pairs, &mut bytes);
            let mut reader = Reader(&bytes);
            prop_assert_eq!(read(&mut reader), Some(pairs));
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn every_number_is_read_as_it_was_written(numbers in prop::collection::vec(any::<i64>(), 1..9)) {
            let mut bytes = Vec::new();
            let all = || numbers.iter().copied().chain([0, 1, -1, i64::MIN, i64::MAX]);
            all().for_each(|number| put_signed(number, &mut bytes));
            let mut reader = Reader(&bytes);
            for number in all() {
                prop_assert_eq!(signed(&mut reader), Some(number));
            }
        }
    }

    #[test]
    fn a_number_that_is_too_long_is_not_read() {
        assert_eq!(number(&mut Reader(&[0xff; 11])), None);
        assert_eq!(number(&mut Reader(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02])), None);
    }

    #[test]
    fn a_counter_takes_about_35_bytes() {
        let now = UnixTime::from_secs(1_700_000_000);
        let (window, slice) = (std::time::Duration::from_hours(24), std::time::Duration::from_mins(12));
        let add = Some(Amount::Number(8800));
        let ask = |id| CounterAsk { id: [id; 16], measure: Measure::Sum, add, window, slice, at: now };
        let counters: Vec<CounterAsk> = (0..8).map(ask).collect();
        let lease = std::time::Duration::from_secs(10);
        let claim = Ask {
            endpoint: "pay",
            nonce: None,
            event: [1; 16],
            content: [1; 8],
            lease,
            retention: lease,
            now,
            counters: &counters,
            order: None,
            lists: &[],
        };
        let mut bytes = Vec::new();
        Index::new().claim(&claim, Lease(1), |claim| write(&claim.counted, &mut bytes)).unwrap();
        assert!(bytes.len() <= 17 + 8 * 35, "{} bytes", bytes.len());
    }
}
