//! The lists of a rule set and their values.

use std::sync::Arc;

use ipnet::IpNet;

use super::List;
use crate::risk::code::Code;
use crate::risk::expr::{Kept, Members, Scope};
use crate::risk::file::{ListDef, ListSource, ListType, Text, resolve};
use crate::risk::files::{MAX_LIST_FILE, Spanned, Spot};
use crate::risk::problem::{Findings, did_you_mean, quoted};
use crate::risk::schema::Element;

/// Most values of a list.
const MAX_VALUES: usize = 200_000;

/// Adds lists to the scope; their order is that of their indices there.
pub(super) fn add<'d>(
    defs: impl IntoIterator<Item = &'d ListDef>,
    scope: &mut Scope,
    findings: &mut Findings<'_>,
) -> Vec<List> {
    let mut lists = Vec::new();
    for def in defs {
        let kept = if matches!(def.source, ListSource::Dynamic) { Kept::InStore } else { Kept::InMemory };
        if let Err(problem) = scope.add_list(&def.name.value, element(def.of), kept) {
            findings.add(Code::Duplicate, def.name.at, problem.message, "give one of them another name");
            continue;
        }
        let (members, entries) = members(def, findings);
        lists.push(List { name: def.name.value.clone(), entries, members: Arc::new(members) });
    }
    lists
}

fn element(of: ListType) -> Element {
    match of {
        ListType::Text => Element::Text,
        ListType::Int => Element::Int,
        ListType::Cidr => Element::Cidr,
    }
}

/// The members, and how many entries they were read from; none: they are in the store.
fn members(def: &ListDef, findings: &mut Findings<'_>) -> (Members, Option<usize>) {
    let values = match &def.source {
        ListSource::Dynamic => return (Members::InStore, None),
        ListSource::Inline(values) => values.clone(),
        ListSource::File(path) => match from_file(path, findings) {
            Some(values) => values,
            None => return (read(def.of, &[], findings), Some(0)),
        },
    };
    if values.is_empty() && !def.may_be_empty {
        let message = format!("list {} is empty, and says `empty: error`", def.name.value);
        let at = match &def.source {
            ListSource::File(path) => path.at,
            ListSource::Inline(_) | ListSource::Dynamic => def.name.at,
        };
        findings.add(
            Code::EmptyList,
            at,
            message,
            "add its values, or write `empty: allow` if rules mean well without",
        );
    }
    (read(def.of, &values, findings), Some(values.len()))
}

/// Values of a text file: one a line; what follows a `#` is a comment.
fn from_file(path: &Text, findings: &mut Findings<'_>) -> Option<Vec<Text>> {
    let files = findings.files();
    let resolved = resolve(files.path(path.at.file), &path.value);
    let file = resolved.as_deref().and_then(|resolved| files.file(resolved));
    let Some(file) = file else {
        let known = files.iter().map(|(known, _)| known);
        let remedy =
            did_you_mean(resolved.as_deref().unwrap_or_default(), known, "files are named relative to this one");
        findings.add(Code::Include, path.at, format!("no file {}", quoted(&path.value)), remedy);
        return None;
    };
    let text = files.text_of(file);
    if text.len() > MAX_LIST_FILE {
        let message = format!("{} is larger than {MAX_LIST_FILE} bytes", quoted(&path.value));
        findings.add(Code::Bound, path.at, message, "use a dynamic list for so many values");
        return None;
    }
    let mut values = Vec::new();
    let mut begin = 0_usize;
    for line in text.split_inclusive('\n') {
        let value = line.split('#').next().unwrap_or_default().trim();
        if !value.is_empty() {
            let lead = begin.saturating_add(line.find(value).unwrap_or(0));
            values.push(Spanned::new(value.to_owned(), Spot::new(file, &(lead..lead.saturating_add(value.len())))));
        }
        begin = begin.saturating_add(line.len());
    }
    Some(values)
}

/// Values as members of a list of that type.
pub(in crate::risk) fn read(of: ListType, values: &[Text], findings: &mut Findings<'_>) -> Members {
    if let Some(first_beyond) = values.get(MAX_VALUES) {
        let message = format!("a list of more than {MAX_VALUES} values");
        findings.add(Code::Bound, first_beyond.at, message, "use a dynamic list for so many values");
        return Members::texts(Vec::<String>::new());
    }
    match of {
        ListType::Text => Members::texts(values.iter().map(|value| value.value.as_str())),
        ListType::Int => Members::ints(parsed(values, "a whole number", |text| text.parse().ok(), findings)),
        ListType::Cidr => Members::blocks(parsed(values, "an address or a range like 203.0.113.0/24", net, findings)),
    }
}

fn net(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<core::net::IpAddr>().ok().map(IpNet::from))
}

fn parsed<T>(values: &[Text], what: &str, parse: impl Fn(&str) -> Option<T>, findings: &mut Findings<'_>) -> Vec<T> {
    let mut parsed = Vec::with_capacity(values.len());
    for value in values {
        if let Some(one) = parse(&value.value) {
            parsed.push(one);
        } else {
            let message = format!("{} is not {what}", quoted(&value.value));
            findings.add(Code::ListEntry, value.at, message, "mend it, or make it a comment with `#`");
        }
    }
    parsed
}
