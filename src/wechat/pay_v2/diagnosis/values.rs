//! What is done to the values between their tags, undone. `sign` itself is left as it is: nothing fits by chance.

use super::super::fields::Fields;
use super::{Cause, Diagnosis, found};

/// Most members that are left out, or given a blank, one by one. WeChat's notifications have below 40.
const MAX_TRIED: usize = 64;
/// What may stand in a name that is repeated in words.
const MAX_NAME: usize = 32;

/// What may have been done to a value, undone.
type Change<'a> = &'a dyn Fn(&str) -> String;

/// The first change that makes the signature fit.
pub(super) fn changed(fields: &Fields, fits: impl Fn(&Fields) -> bool) -> Option<Diagnosis> {
    let try_all = |change: &dyn Fn(&str) -> String| {
        let value = |name: &str, value: &str| if name == "sign" { value.trim().to_owned() } else { change(value) };
        fits(&fields.changed(|name, text| Some(value(name, text))))
    };
    let whole: [(Cause, &str, Change<'_>); 4] = [
        (Cause::ValuesPadded, "without the blanks around them", &|value| value.trim().to_owned()),
        (Cause::ValuesEscaped, "with the five escapes undone", &unescaped),
        (Cause::ValuesEscaped, "with the five escapes made", &escaped),
        (Cause::BodyFormDecoded, "with pluses where blanks are", &|value| value.replace(' ', "+")),
    ];
    if let Some((cause, how, _)) = whole.into_iter().find(|(_, _, change)| try_all(*change)) {
        return Some(found(cause, format_args!("the signature is that of the values {how}")));
    }
    one_by_one(fields, fits)
}

fn one_by_one(fields: &Fields, fits: impl Fn(&Fields) -> bool) -> Option<Diagnosis> {
    let names = || fields.signed().map(|(name, _)| name).take(MAX_TRIED);
    let without = |left_out: &str| fields.changed(|name, value| (name != left_out).then(|| value.to_owned()));
    if let Some(added) = names().find(|name| fits(&without(name))) {
        let cause = if added == "sign_type" { Cause::SignTypeUnsigned } else { Cause::MemberAdded };
        return Some(found(cause, format_args!("the signature is that of the values without {}", told(added))));
    }
    let with = |padded: &str, before: &str, behind: &str| {
        fields.changed(|name, value| {
            Some(if name == padded { format!("{before}{value}{behind}") } else { value.to_owned() })
        })
    };
    let ends = [("", " "), (" ", ""), ("", "\n")];
    let trimmed = names().find(|name| ends.iter().any(|(before, behind)| fits(&with(name, before, behind))))?;
    let what = "the signature is that of the values with a blank or line end more at an end of";
    Some(found(Cause::ValueTrimmed, format_args!("{what} {}", told(trimmed))))
}

/// A name as it may be repeated: a stranger may have written it.
fn told(name: &str) -> String {
    let is_plain = name.len() <= MAX_NAME && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_plain { format!("`{name}`") } else { "a member of a strange name".to_owned() }
}

const ESCAPES: [(&str, &str); 5] = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];

fn unescaped(value: &str) -> String {
    ESCAPES.iter().fold(value.to_owned(), |value, (escape, plain)| value.replace(escape, plain))
}

fn escaped(value: &str) -> String {
    ESCAPES.iter().rev().fold(value.to_owned(), |value, (escape, plain)| value.replace(plain, escape))
}
