//! What stands in a frame: kinds of rows and their fields, little-endian.

use super::counted;
use crate::clock::UnixTime;
use crate::risk::ask::{Counted, Measure, Order};
use crate::store::engine::Lease;
use crate::store::index::{Change, EventRow, Flight, Key, Record, Registration, Seconds, Shape};

/// What stands in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Row {
    /// The file's number, and the version of its form.
    Start { version: u32, number: u64 },
    /// A change of the index by a callback.
    Change(Record),
    /// What one event counted.
    Counted(Vec<Record>),
    /// An order or a value of a list.
    Registration(Registration),
    /// Nothing comes after this.
    End { rows: u64 },
}

const NONCE: u8 = 1;
const KNOWN: u8 = 2;
const IN_FLIGHT: u8 = 3;
const DONE: u8 = 4;
const RELEASED: u8 = 5;
const MOVED: u8 = 6;
const TOLD: u8 = 7;
const ORDER: u8 = 8;
const LISTED: u8 = 9;
const UNLISTED: u8 = 10;
const COUNTED: u8 = 11;
const START: u8 = 16;
const END: u8 = 17;

/// The length of a text that is not there.
const NO_TEXT: u32 = u32::MAX;

impl Row {
    pub(super) fn write(&self, into: &mut Vec<u8>) {
        let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| into.extend_from_slice(part));
        match self {
            Self::Start { version, number } => put(&[&[START], &version.to_le_bytes(), &number.to_le_bytes()]),
            Self::End { rows } => put(&[&[END], &rows.to_le_bytes()]),
            Self::Change(record) => write_record(record, into),
            Self::Counted(records) => write_counted(records, into),
            Self::Registration(registration) => write_registration(registration, into),
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let [kind] = reader.take()?;
        Some(match kind {
            START => Self::Start { version: reader.u32()?, number: reader.u64()? },
            END => Self::End { rows: reader.u64()? },
            COUNTED => Self::Counted(counted::read(reader)?),
            ORDER | LISTED | UNLISTED => Self::Registration(reader.registration(kind)?),
            _ => Self::Change(reader.record(kind)?),
        })
    }
}

/// As [`Row::write`], without a copy.
pub(super) fn write_counted(records: &[Record], into: &mut Vec<u8>) {
    if !records.is_empty() {
        into.push(COUNTED);
        counted::write(records, into);
    }
}

/// As [`Row::write`], without a copy.
pub(super) fn write_record(record: &Record, into: &mut Vec<u8>) {
    let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| into.extend_from_slice(part));
    match record {
        Record::Nonce { key, until } => put(&[&[NONCE], &key.0, &until.0.to_le_bytes()]),
        Record::Released { key, lease } => put(&[&[RELEASED], &key.0, &lease.0.to_le_bytes()]),
        Record::Known { key, row } => put(&[&[KNOWN], &key.0, &written(row)]),
        Record::Done { key, row } => put(&[&[DONE], &key.0, &written(row)]),
        Record::InFlight { key, row, flight } => {
            let ends = flight.ends.millis().to_le_bytes();
            put(&[&[IN_FLIGHT], &key.0, &written(row), &flight.lease.0.to_le_bytes(), &ends]);
        }
        Record::Told { event, counter, counted } => {
            put(&[&[TOLD], &event.0, &counter.0, &counted.before.to_le_bytes(), &counted.after.to_le_bytes()]);
        }
        Record::Moved { key, shape, change } => {
            put(&[&[MOVED], &key.0, &shape.window.to_le_bytes(), &shape.slice.to_le_bytes()]);
            write_measure(shape.measure, into);
            write_change(*change, into);
        }
    }
}

fn write_measure(measure: Measure, into: &mut Vec<u8>) {
    let (kind, exact_up_to) = match measure {
        Measure::Count => (0, 0),
        Measure::Sum => (1, 0),
        Measure::Distinct { exact_up_to } => (2, exact_up_to),
        Measure::Last => (3, 0),
        Measure::FirstSeen => (4, 0),
    };
    into.push(kind);
    into.extend_from_slice(&exact_up_to.to_le_bytes());
}

/// Two numbers. Which they are is the measure's.
fn write_change(change: Change, into: &mut Vec<u8>) {
    let (first, second) = match change {
        Change::Slice { number, value } => (number, value.to_le_bytes()),
        Change::Member { number, member } => (number, member),
        Change::Last { at, value } => (at, value.to_le_bytes()),
        Change::Seen { first, last } => (first, last.to_le_bytes()),
    };
    into.extend_from_slice(&first.to_le_bytes());
    into.extend_from_slice(&second);
}

fn write_registration(registration: &Registration, into: &mut Vec<u8>) {
    match registration {
        Registration::Order { key, until, order } => {
            into.push(ORDER);
            into.extend_from_slice(&key.0);
            into.extend_from_slice(&until.0.to_le_bytes());
            for number in [order.amount_total, order.registered_at.millis(), order.expires_at.millis()] {
                into.extend_from_slice(&number.to_le_bytes());
            }
            write_text(Some(&order.currency), into);
            write_text(order.payer_openid.as_deref(), into);
            write_text(order.client_ip.as_deref(), into);
        }
        Registration::Listed { list, value, until } => {
            into.push(LISTED);
            into.extend_from_slice(&until.0.to_le_bytes());
            write_text(Some(list), into);
            write_text(Some(value), into);
        }
        Registration::Unlisted { list, value } => {
            into.push(UNLISTED);
            write_text(Some(list), into);
            write_text(Some(value), into);
        }
    }
}

/// The store's callers bound every text ([`crate::store::RegisterError::TooLong`]).
fn write_text(text: Option<&str>, into: &mut Vec<u8>) {
    let length = text.map_or(NO_TEXT, |text| u32::try_from(text.len()).unwrap_or(NO_TEXT));
    into.extend_from_slice(&length.to_le_bytes());
    into.extend_from_slice(text.unwrap_or_default().as_bytes());
}

/// Content, until, attempt. Whether it is done is the kind of its record.
fn written(row: &EventRow) -> [u8; 14] {
    let mut bytes = [0; 14];
    let (content, rest) = bytes.split_at_mut(8);
    let (until, attempt) = rest.split_at_mut(4);
    content.copy_from_slice(&row.content);
    until.copy_from_slice(&row.until.0.to_le_bytes());
    attempt.copy_from_slice(&row.attempt.to_le_bytes());
    bytes
}

/// Takes fields off the front of bytes.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    fn key(&mut self) -> Option<Key> {
        self.take().map(Key)
    }

    fn time(&mut self) -> Option<UnixTime> {
        self.i64().map(UnixTime::from_millis)
    }

    fn record(&mut self, kind: u8) -> Option<Record> {
        let key = self.key()?;
        Some(match kind {
            NONCE => Record::Nonce { key, until: Seconds(self.u32()?) },
            RELEASED => Record::Released { key, lease: Lease(self.u64()?) },
            KNOWN => Record::Known { key, row: self.row(false)? },
            DONE => Record::Done { key, row: self.row(true)? },
            IN_FLIGHT => {
                let row = self.row(false)?;
                let (lease, ends) = (Lease(self.u64()?), self.time()?);
                Record::InFlight { key, row, flight: Flight { lease, ends } }
            }
            TOLD => {
                let counter = self.key()?;
                Record::Told { event: key, counter, counted: Counted { before: self.i64()?, after: self.i64()? } }
            }
            MOVED => {
                let (window, slice) = (self.u32()?, self.u32()?);
                let shape = Shape { window, slice, measure: self.measure()? };
                Record::Moved { key, shape, change: self.change(shape.measure)? }
            }
            _ => return None,
        })
    }

    fn measure(&mut self) -> Option<Measure> {
        let ([kind], exact_up_to) = (self.take()?, u16::from_le_bytes(self.take()?));
        Some(match kind {
            0 => Measure::Count,
            1 => Measure::Sum,
            2 => Measure::Distinct { exact_up_to },
            3 => Measure::Last,
            4 => Measure::FirstSeen,
            _ => return None,
        })
    }

    fn change(&mut self, measure: Measure) -> Option<Change> {
        let number = self.i64()?;
        Some(match measure {
            Measure::Count | Measure::Sum => Change::Slice { number, value: self.i64()? },
            Measure::Distinct { .. } => Change::Member { number, member: self.take()? },
            Measure::Last => Change::Last { at: number, value: self.i64()? },
            Measure::FirstSeen => Change::Seen { first: number, last: self.i64()? },
        })
    }

    fn row(&mut self, is_done: bool) -> Option<EventRow> {
        let (content, until) = (self.take()?, Seconds(self.u32()?));
        Some(EventRow { content, until, attempt: u16::from_le_bytes(self.take()?), is_done })
    }

    fn registration(&mut self, kind: u8) -> Option<Registration> {
        Some(match kind {
            ORDER => {
                let (key, until) = (self.key()?, Seconds(self.u32()?));
                let order = Order {
                    amount_total: self.i64()?,
                    registered_at: self.time()?,
                    expires_at: self.time()?,
                    currency: self.text()??,
                    payer_openid: self.text()?,
                    client_ip: self.text()?,
                };
                Registration::Order { key, until, order: Box::new(order) }
            }
            LISTED => {
                let until = Seconds(self.u32()?);
                Registration::Listed { until, list: self.text()??.into(), value: self.text()??.into() }
            }
            UNLISTED => Registration::Unlisted { list: self.text()??.into(), value: self.text()??.into() },
            _ => return None,
        })
    }

    /// The outer none: it cannot be read. The inner: there is no text.
    #[expect(clippy::option_option, reason = "these are two things")]
    fn text(&mut self) -> Option<Option<String>> {
        let length = self.u32()?;
        if length == NO_TEXT {
            return Some(None);
        }
        let (text, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(Some(std::str::from_utf8(text).ok()?.to_owned()))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::store::file) fn records() -> impl Strategy<Value = Record> {
        let key = || any::<[u8; 16]>().prop_map(Key);
        let row = (any::<[u8; 8]>(), any::<u32>(), any::<u16>());
        let numbers = (any::<i64>(), any::<i64>(), any::<u32>(), any::<u16>());
        (0..11_u8, key(), key(), row, numbers).prop_map(|(kind, key, other, row, (one, two, span, few))| {
            let (content, until, attempt) = row;
            let row = EventRow { content, until: Seconds(until), attempt, is_done: kind == 3 };
            let lease = Lease(one.unsigned_abs());
            let moved =
                |measure, change| Record::Moved { key, shape: Shape { measure, window: span, slice: until }, change };
            match kind {
                0 => Record::Nonce { key, until: Seconds(until) },
                1 => Record::Known { key, row },
                2 => Record::InFlight { key, row, flight: Flight { lease, ends: UnixTime::from_millis(two) } },
                3 => Record::Done { key, row },
                4 => Record::Released { key, lease },
                5 => Record::Told { event: key, counter: other, counted: Counted { before: one, after: two } },
                6 => moved(Measure::Count, Change::Slice { number: one, value: two }),
                7 => moved(Measure::Sum, Change::Slice { number: one, value: two }),
                8 => moved(Measure::Distinct { exact_up_to: few }, Change::Member { number: one, member: content }),
                9 => moved(Measure::Last, Change::Last { at: one, value: two }),
                _ => moved(Measure::FirstSeen, Change::Seen { first: one, last: two }),
            }
        })
    }

    fn registrations() -> impl Strategy<Value = Registration> {
        let texts = (".{0,20}", ".{0,20}", prop::option::of(".{0,40}"), prop::option::of(".{0,20}"));
        let numbers = (any::<i64>(), any::<i64>(), any::<i64>(), any::<u32>().prop_map(Seconds));
        (0..3_u8, any::<[u8; 16]>().prop_map(Key), texts, numbers).prop_map(|(kind, key, texts, numbers)| {
            let ((list, value, payer_openid, client_ip), (amount_total, registered, expires, until)) = (texts, numbers);
            let (registered_at, expires_at) = (UnixTime::from_millis(registered), UnixTime::from_millis(expires));
            match kind {
                0 => {
                    let order =
                        Order { amount_total, currency: list, payer_openid, client_ip, registered_at, expires_at };
                    Registration::Order { key, until, order: Box::new(order) }
                }
                1 => Registration::Listed { list: list.into(), value: value.into(), until },
                _ => Registration::Unlisted { list: list.into(), value: value.into() },
            }
        })
    }

    pub(in crate::store::file) fn rows() -> impl Strategy<Value = Row> {
        prop_oneof![4 => records().prop_map(Row::Change), 1 => registrations().prop_map(Row::Registration)]
    }
}
