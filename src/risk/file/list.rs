//! `lists:` as written.

use super::document::ident;
use super::table::{Table, Value};
use super::yaml::Node;
use super::{ListDef, ListSource, ListType, Text};
use crate::risk::code::Code;
use crate::risk::files::Spanned;
use crate::risk::problem::Findings;

const TYPES: [(&str, ListType); 3] = [("string", ListType::Text), ("int", ListType::Int), ("cidr", ListType::Cidr)];
const SOURCE_HINT: &str = "one of `{ inline: [a, b] }`, `{ file: ./lists/names.txt }` and `{ dynamic: true }` (values in the gateway's store)";

pub(super) fn read(node: &Node, findings: &mut Findings<'_>) -> Option<ListDef> {
    let mut table = Table::of(node, "a list", findings)?;
    let name = table.require("name", findings).and_then(|name| ident(name, findings));
    if let Some(name) = &name {
        table.call(format!("list {}", name.value));
    }
    let of = table.require("type", findings).and_then(|value| value.choice(findings, &TYPES));
    let source = table.require("source", findings).and_then(|value| source(value, of.as_ref(), findings));
    let empty = table.require("empty", findings);
    let may_be_empty = empty.and_then(|value| value.choice(findings, &[("allow", true), ("error", false)]));
    let may_be_empty = source.is_none() || may_be_empty.is_none_or(|allowed| allowed.value);
    drop(table.text("description", findings));
    table.finish(findings);
    // A source that is wrong has said so: the list's name is good for expressions all the same.
    let source = source.unwrap_or(ListSource::Inline(Vec::new()));
    Some(ListDef { name: name?, of: of?.value, source, may_be_empty })
}

fn source(value: Value<'_>, of: Option<&Spanned<ListType>>, findings: &mut Findings<'_>) -> Option<ListSource> {
    let mut table = value.table("`source`", findings)?;
    let inline = table.take("inline");
    let file = table.take("file").and_then(|file| file.text(findings));
    let dynamic = table.take("dynamic").and_then(|dynamic| dynamic.truth(findings));
    if let Some(reload) = table.take("reload").filter(|reload| reload.truth(findings) == Some(false)) {
        let remedy = "remove it: files of lists are read again whenever the rules are";
        findings.add(Code::Source, reload.at(), "`reload: false` is not supported", remedy);
    }
    for key in ["redis_set", "refresh", "max", "http"] {
        if let Some(unsupported) = table.take(key) {
            let remedy =
                "write `source: { dynamic: true }` and fill the list by `wxgate lists add`, whatever the store is";
            findings.add(Code::Source, unsupported.key_at(), format!("a source `{key}` is not supported"), remedy);
            return None;
        }
    }
    table.finish(findings);
    let found = [inline.is_some(), file.is_some(), dynamic.is_some()].into_iter().filter(|found| *found).count();
    if found != 1 {
        findings.add(Code::Source, value.at(), "a list has one source", SOURCE_HINT);
        return None;
    }
    if dynamic == Some(true) && of.is_some_and(|of| of.value == ListType::Cidr) {
        let remedy = "put the ranges in a file: it is read again whenever it changes";
        findings.add(Code::Source, value.at(), "a list of ranges cannot be dynamic", remedy);
        return None;
    }
    if dynamic == Some(false) {
        findings.add(Code::Source, value.at(), "`dynamic: false` is no source", SOURCE_HINT);
    }
    match (inline, file) {
        (Some(inline), _) => Some(ListSource::Inline(values(inline, findings))),
        (None, Some(file)) => Some(ListSource::File(file)),
        (None, None) => dynamic.filter(|dynamic| *dynamic).map(|_| ListSource::Dynamic),
    }
}

/// Scalars of any kind as they are written.
pub(in crate::risk) fn values(value: Value<'_>, findings: &mut Findings<'_>) -> Vec<Text> {
    let items = value.items(findings);
    let scalar = |item: Value<'_>| item.parsed(findings, "a value", "one value an item", |text| Some(text.to_owned()));
    items.into_iter().filter_map(scalar).collect()
}
