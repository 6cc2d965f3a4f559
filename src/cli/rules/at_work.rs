//! `wxgate rules status` and `wxgate rules snooze`, over the API of a running gateway.

use http::Method;
use serde_json::{Value, json};

use super::super::Exit;
use super::super::gateway::{AskArgs, AskError, escaped, query};
use super::super::report::{json as print_json, result};
use super::tables::{Table, plain, thousands};
use crate::risk::duration;

#[derive(clap::Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    common: AskArgs,
}

#[derive(clap::Args)]
pub(super) struct SnoozeArgs {
    /// The rule's id, such as WXP-2001
    rule: String,
    /// Events with this value in a field: event.payer.openid=oXXX, or openid=oXXX for short
    #[arg(long, value_name = "FIELD=VALUE", value_parser = parse_key)]
    key: (String, String),
    /// How long: 30m, 4h, 7d; at most 30d
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_seconds, required_unless_present = "end")]
    seconds: Option<u64>,
    /// End it now
    #[arg(long, conflicts_with = "seconds")]
    end: bool,
    #[command(flatten)]
    common: AskArgs,
}

fn parse_key(text: &str) -> Result<(String, String), String> {
    let (field, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not like openid=oXXX"))?;
    let path = match field {
        "openid" => "event.payer.openid".to_owned(),
        field if field.contains('.') => field.to_owned(),
        field => format!("event.{field}"),
    };
    if value.is_empty() { Err("the value is empty".to_owned()) } else { Ok((path, value.to_owned())) }
}

fn parse_seconds(text: &str) -> Result<u64, String> {
    duration(text).map(|span| span.as_secs()).ok_or_else(|| format!("`{text}` is no duration like 30m, 4h or 7d"))
}

pub(super) fn status(args: &StatusArgs) -> Exit {
    let asked = args.common.gateway.find().and_then(|gateway| gateway.ask(Method::GET, "/v1/rules", None));
    ended(asked.map(|status| if args.common.json { print_json(&status) } else { result(status_told(&status)) }))
}

pub(super) fn snooze(args: &SnoozeArgs) -> Exit {
    let (field, value) = &args.key;
    let target = format!("/v1/snoozes/{}", escaped(&args.rule));
    let asked = args.common.gateway.find().and_then(|gateway| {
        if let Some(seconds) = args.seconds {
            let body = json!({ "field": field, "value": value, "seconds": seconds });
            gateway.ask(Method::PUT, &target, Some(&body))
        } else {
            let which = query(&[("field", Some(field.clone())), ("value", Some(value.clone()))]);
            gateway.ask(Method::DELETE, &format!("{target}{which}"), None)
        }
    });
    ended(asked.map(|answer| {
        if args.common.json {
            print_json(&answer);
        } else if args.end {
            result(format_args!("{} is awake again for {field}={}", args.rule, plain(value)));
        } else {
            let until = text(&answer, "until");
            result(format_args!("{} is quiet for {field}={} until {until}", args.rule, plain(value)));
        }
    }))
}

fn ended(asked: Result<(), AskError>) -> Exit {
    asked.map_or_else(|error| error.told(), |()| Exit::Good)
}

fn status_told(status: &Value) -> String {
    let mut lines = vec![format!("counted since {}", text(status, "since"))];
    for set in members(status, "sets") {
        let endpoints: Vec<String> = members(set, "endpoints").iter().map(word).collect();
        lines.push(format!(
            "\n{} version {} ({}), digest {}, at work since {}, for {}",
            text(set, "set"),
            text(set, "version"),
            text(set, "schema"),
            text(set, "digest"),
            text(set, "loaded_at"),
            endpoints.join(", ")
        ));
        let mut table =
            Table::new(&["rule", "mode", "hits", "acts", "excepted", "snoozed", "errors", "last hit", "title"]);
        for rule in members(set, "rules") {
            let counts = ["hits", "acts", "excepted", "snoozed", "errors"].map(|name| count(rule, name));
            let (head, tail) =
                ([text(rule, "rule"), text(rule, "mode")], [text(rule, "last_hit"), text(rule, "title")]);
            table.row(head.into_iter().chain(counts).chain(tail).collect());
        }
        lines.push(table.text());
    }
    let mut table = Table::new(&["snoozed rule", "for", "until"]);
    for snooze in members(status, "snoozes") {
        let key = format!("{}={}", text(snooze, "field"), text(snooze, "value"));
        table.row(vec![text(snooze, "rule"), key, text(snooze, "until")]);
    }
    if !table.is_empty() {
        lines.push(format!("\n{}", table.text()));
    }
    lines.join("\n")
}

fn members<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).map_or_else(|| "-".to_owned(), word)
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => plain(text),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

fn count(value: &Value, name: &str) -> String {
    thousands(value.get(name).and_then(Value::as_u64).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_fields_in_short_or_in_full() {
        let key = |text: &str| parse_key(text).ok();
        let told = |path: &str| Some((path.to_owned(), "o1=x".to_owned()));
        assert_eq!(key("openid=o1=x"), told("event.payer.openid"));
        assert_eq!(key("attach=o1=x"), told("event.attach"));
        assert_eq!(key("route.name=o1=x"), told("route.name"));
        assert_eq!((key("openid"), key("openid=")), (None, None));
        assert_eq!((parse_seconds("4h"), parse_seconds("4").is_err()), (Ok(14_400), true));
    }

    #[test]
    fn the_state_of_rules_is_a_table_for_each_set() {
        let status = json!({ "since": "T0", "sets": [{ "set": "shop", "version": 3, "schema": "pay-v3", "digest": "d",
            "loaded_at": "T1", "endpoints": ["a", "b"], "rules": [{ "rule": "WXP-1001", "mode": "shadow", "hits": 1200,
            "acts": 0, "excepted": 0, "snoozed": 2, "errors": 0, "last_hit": null, "title": "t" }] }],
            "snoozes": [{ "rule": "WXP-1001", "field": "event.payer.openid", "value": "o1", "until": "T2" }] });
        let told = status_told(&status);
        assert!(told.contains("shop version 3 (pay-v3), digest d, at work since T1, for a, b\n"), "{told}");
        assert!(told.contains("WXP-1001  shadow  1,200     0         0        2       0  -         t"), "{told}");
        assert!(told.ends_with("WXP-1001      event.payer.openid=o1  T2"), "{told}");
    }
}
