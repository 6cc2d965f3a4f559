//! Reading a recorded event: by the schema, so that a name that no field has is an error, not a fact that is never seen.

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use foldhash::fast::FixedState;
use jiff::Timestamp;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{CounterTold, Listed, Recorded, VERSION};
use crate::risk::ask::Counted;
use crate::risk::file::table::duration;
use crate::risk::problem::{did_you_mean, quoted};
use crate::risk::schema::{FIELDS, FieldId, OwnedFact, Source, Type, field, fields};

/// Fields by path.
static PATHS: LazyLock<HashMap<&'static str, FieldId, FixedState>> =
    LazyLock::new(|| fields().map(|(id, field)| (field.path, id)).collect());
static ORDER: LazyLock<Option<FieldId>> = LazyLock::new(|| field("order"));
/// Without these an event can be neither placed nor judged.
const NEEDED: [&str; 3] = ["event.id", "event.kind", "now"];

pub(super) fn recorded<'de, D: Deserializer<'de>>(from: D) -> Result<Recorded, D::Error> {
    let mut recorded = Recorded { facts: Vec::with_capacity(32), ..Recorded::default() };
    from.deserialize_map(Slot { path: "", id: None, into: &mut recorded })?;
    for path in NEEDED {
        if recorded.fact(path).is_none() {
            return Err(D::Error::custom(format_args!(
                "`{path}` is missing: a recorded event has {}",
                NEEDED.join(", ")
            )));
        }
    }
    if let (Some(order), Some(_), None) = (*ORDER, recorded.fact("order.amount_total"), recorded.fact("order")) {
        recorded.facts.push((order, OwnedFact::There));
    }
    recorded.asked_order |= recorded.fact("order").is_some();
    Ok(recorded)
}

/// One place of the form: a field, a group of them, or the whole.
struct Slot<'r> {
    path: &'r str,
    id: Option<FieldId>,
    into: &'r mut Recorded,
}

/// What a name means below a path.
enum Name {
    Field(FieldId),
    Group(String),
    Version,
    Hashed,
    Lists,
    Counters,
}

struct Below<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for Below<'_> {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Name, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Below<'_> {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Name, E> {
        if self.0.is_empty() {
            match name {
                "v" => return Ok(Name::Version),
                "hashed" => return Ok(Name::Hashed),
                "lists" => return Ok(Name::Lists),
                "counters" => return Ok(Name::Counters),
                _ => {}
            }
            if let Some(id) = PATHS.get(name) {
                return Ok(Name::Field(*id));
            }
        }
        let path = if self.0.is_empty() { name.to_owned() } else { format!("{}.{name}", self.0) };
        if let Some(id) = PATHS.get(&*path) {
            return Ok(Name::Field(*id));
        }
        let is_group = |field: &&str| field.strip_prefix(&*path).is_some_and(|rest| rest.starts_with('.'));
        if FIELDS.iter().map(|field| field.path).any(|field| is_group(&field)) {
            return Ok(Name::Group(path));
        }
        let remedy =
            did_you_mean(&path, FIELDS.iter().map(|field| field.path), "`wxgate rules schema` lists the fields");
        Err(E::custom(format_args!("there is no field {}: {remedy}", quoted(&path))))
    }
}

impl<'de> DeserializeSeed<'de> for Slot<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl Slot<'_> {
    fn put<E: Error>(self, value: Option<OwnedFact>, what: &str) -> Result<(), E> {
        let (Some(id), Some(value)) = (self.id, value) else {
            let ty = self.id.map_or("group of fields", |id| id.field().ty.name());
            return Err(E::custom(format_args!("`{}` is {what}, expected {ty}", self.path)));
        };
        // The local time is the rule set's own matter.
        if value != OwnedFact::Absent && !matches!(id.field().source, Source::Local(_)) {
            self.into.facts.push((id, value));
        }
        Ok(())
    }

    fn ty(&self) -> Option<Type> {
        self.id.map(|id| id.field().ty)
    }
}

impl<'de> Visitor<'de> for Slot<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event's facts")
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<(), E> {
        match self.ty() {
            Some(Type::Group) if truth => self.put(Some(OwnedFact::There), "a truth"),
            Some(Type::Group) => {
                self.into.asked_order = true;
                Ok(())
            }
            ty => {
                let value = (ty == Some(Type::Bool)).then_some(OwnedFact::Int(i64::from(truth)));
                self.put(value, "a truth")
            }
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        let fits = matches!(self.ty(), Some(Type::Int | Type::Fen | Type::Time | Type::Duration | Type::Date));
        self.put(fits.then_some(OwnedFact::Int(number)), "a number")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_) => self.put(None, "a number beyond 64 bits"),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let value = self.ty().and_then(|ty| value(ty, text));
        self.put(value, "a text")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        let value = match self.ty() {
            Some(Type::List(_)) => OwnedFact::Texts(None),
            _ => OwnedFact::Absent,
        };
        self.put(Some(value), "nothing")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = items.next_element::<String>()? {
            texts.push(text);
        }
        let fits = matches!(self.ty(), Some(Type::List(_)));
        self.put(fits.then_some(OwnedFact::Texts(Some(texts))), "a sequence")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(Below(self.path))? {
            match name {
                Name::Field(id) => {
                    map.next_value_seed(Slot { path: id.field().path, id: Some(id), into: &mut *self.into })?;
                }
                Name::Group(path) => {
                    map.next_value_seed(Slot { path: &path, id: None, into: &mut *self.into })?;
                }
                Name::Version => {
                    let version: u32 = map.next_value()?;
                    if version != VERSION {
                        let message = format!("this is version {version} of the form, {VERSION} is read here");
                        return Err(A::Error::custom(message));
                    }
                }
                Name::Hashed => self.into.is_hashed = map.next_value()?,
                Name::Lists => self.into.lists = lists(map.next_value()?).map_err(A::Error::custom)?,
                Name::Counters => self.into.counters = counters(map.next_value()?),
            }
        }
        Ok(())
    }
}

type ByNames<T> = HashMap<String, HashMap<String, T>>;

fn lists(told: ByNames<bool>) -> Result<Vec<Listed>, String> {
    let mut listed = Vec::new();
    for (list, asked) in told {
        for (path, is_on) in asked {
            let Some(field) = field(&path) else { return Err(format!("there is no field {}", quoted(&path))) };
            listed.push(Listed { list: list.clone(), field, is_on });
        }
    }
    Ok(listed)
}

fn counters(told: ByNames<[i64; 2]>) -> Vec<CounterTold> {
    let mut counters = Vec::new();
    for (set, values) in told {
        for (counter, [before, after]) in values {
            counters.push(CounterTold { set: set.clone(), counter, counted: Counted { before, after } });
        }
    }
    counters
}

/// A text as the value of a field. Times may be written as people write them, too.
fn value(ty: Type, text: &str) -> Option<OwnedFact> {
    match ty {
        Type::Text => Some(OwnedFact::Text(text.to_owned())),
        Type::Enum(of) => Some(OwnedFact::Member(of.code(text), text.to_owned())),
        Type::Ip => text.parse().ok().map(OwnedFact::Ip),
        Type::Time => text.parse::<Timestamp>().ok().map(|at| OwnedFact::Int(at.as_millisecond())),
        Type::Duration => duration(text).and_then(|span| i64::try_from(span.as_millis()).ok()).map(OwnedFact::Int),
        Type::Bool | Type::Int | Type::Fen | Type::Date | Type::Cidr | Type::Ratio | Type::List(_) | Type::Group => {
            None
        }
    }
}
