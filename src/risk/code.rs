//! The codes of everything that can be wrong with rule files: stable, each with the long explanation that
//! `wxgate rules explain CODE` prints. `WXL0..` the form of a file, `WXL1..` expressions, `WXL2..` what the parts say
//! together, `WXL3..` warnings.

use super::problem::Severity::{self, Error, Warning};

macro_rules! codes {
    ($($variant:ident $name:literal $severity:ident $title:literal $long:literal;)*) => {
        /// One kind of problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// `WXL001`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Whether it keeps the rules from loading.
            pub fn severity(self) -> Severity {
                match self { $(Self::$variant => $severity,)* }
            }

            /// What kind of problem, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// Why it is a problem, and the ways out.
            pub fn explanation(self) -> &'static str {
                match self { $(Self::$variant => $long,)* }
            }
        }
    };
}

codes! {
    Syntax "WXL001" Error "the file is no YAML"
        "Rule files are YAML 1.2. The place is where reading could not go on; the slip is often a little before it: a \
         quote that is not closed, a tab instead of blanks, a `: ` inside an expression that is not quoted.";
    Feature "WXL002" Error "a part of YAML that rule files do not use"
        "Anchors, aliases, merge keys, tags and several documents in one file make a file say something else than what \
         stands where one looks. A rule is read in a review line by line, so it has to stand there in full. Use a macro \
         for an expression that is wanted twice.";
    DuplicateKey "WXL003" Error "a key stands twice"
        "Most YAML readers keep one of the two in silence. Which one was meant only its author knows.";
    UnknownKey "WXL004" Error "a key that is not known"
        "A key that nobody reads is a rule that does not do what it says, so there are none.";
    MissingKey "WXL005" Error "a key is missing"
        "The part cannot work without it. `wxgate rules schema` prints what each part needs.";
    WrongKind "WXL006" Error "a value of another kind was expected"
        "YAML 1.2: `yes`, `no` and `on` are texts, only `true` and `false` are truths; digits without quotes are a number.";
    WrongValue "WXL007" Error "a value that is not one of those allowed"
        "The message says which are.";
    Bound "WXL008" Error "larger than a bound"
        "Files, texts, lists and depths are bounded, so that no rule file can take the gateway's memory or time.";
    FlowComma "WXL009" Error "a comma ended a value"
        "Between `{` and `}` or `[` and `]` a comma ends the value, unless the value is quoted: \
         `{ when: ratio(1, 5) < x }` reads as `when: ratio(1` and a key `5) < x`. Quote the expression, or write one key \
         a line without braces.";
    Include "WXL010" Error "a file that cannot be included"
        "Included files are named relative to the file that includes them, lie in the rules directory, do not include each \
         other in a circle, and go four deep at most.";
    Document "WXL011" Error "not a document that this version reads"
        "A file begins with `apiVersion: wxgate.rules/v1` and `kind:`, one of RuleSet, Lists, Macros and Overrides.";

    Expression "WXL100" Error "an expression that is not well-formed"
        "Conditions are CEL, the Common Expression Language: `event.amount.total > yuan(100) && has(order)`.";
    UnknownName "WXL101" Error "a name that is not known"
        "Fields, lists, counters, macros and functions are known when the rules load, so a slip is an error here and not a \
         rule that never fires. `wxgate rules schema` lists the fields.";
    Type "WXL102" Error "types that do not go together"
        "Money is compared with money alone (`yuan(5)`, `fen(500)`), a time with a time, a text with a text.";
    Absent "WXL103" Error "a field that may be absent, used without a guard"
        "An event does not always have it. `has(event.attach) && …` or `event.attach.orValue(\"\")` says what then.";
    Cost "WXL104" Error "an expression that costs too much"
        "An expression has a bound of length, of depth and of cost, so that no rule can slow a callback.";

    Duplicate "WXL201" Error "two of one name"
        "Ids of rules and names of lists, macros, counters, exceptions and tests mean one thing each.";
    UnknownRule "WXL202" Error "no such rule, list or counter"
        "What is named does not exist among the files of this directory.";
    Version "WXL203" Error "an override of another version"
        "An override says which version of a set it was written against. The set has changed since: read what changed, then \
         raise `of_version`.";
    AllowOnly "WXL204" Error "an allow that names nothing"
        "A wide allow opens everything: one careless entry in a list of trusted payers would switch every rule off. `only:` \
         names the categories or rules whose hits it removes.";
    CounterKey "WXL205" Error "a counter's key that can be absent"
        "Events without the key would all count as one. Let the counter's `when` say that it is there: `has(event.attach)`.";
    Resolution "WXL206" Error "a window that does not fit its resolution"
        "A window is made of slices of the width `resolution`, at least one and at most 360 of them.";
    EmptyList "WXL207" Error "a list that may not be empty is"
        "`empty: error` says that a rule means something else than its author wants when the list is empty, such as `not in` \
         a list of our own merchant numbers.";
    ListEntry "WXL208" Error "an entry that is not of its list's type"
        "A list of type `cidr` holds addresses and ranges, one of type `int` whole numbers.";
    Thresholds "WXL209" Error "thresholds that contradict each other"
        "`flag` is below `hold`, `hold` below `reject`: else one of them is never reached.";
    Budget "WXL210" Error "rules that cost too much together"
        "The expressions of a set have a bound of cost together, so that a callback is judged in microseconds.";
    Source "WXL211" Error "a source of a list that is not supported"
        "Values come from the file itself (`inline`), from a text file beside it (`file`), or from the gateway's own store \
         (`dynamic: true`), where `wxgate lists add` puts them, whatever the store is.";
    NoEffect "WXL212" Error "a rule that does nothing"
        "A rule has an `action`, a `score` or both; `only` belongs to `allow`, `answer` to `reject`, `hold_for` to `hold`.";
    Message "WXL213" Error "a message that cannot be written"
        "A message has expressions in double braces, with `| yuan`, `| time` or `| text` behind them if need be.";
    TestFailed "WXL220" Error "a test that fails"
        "The rule does not do what its own test says. Either is wrong; which one only its author knows.";
    TestSetup "WXL221" Error "a test that cannot be run"
        "A test makes an event by fields of the set's schema, an order, lists and counters that exist.";

    Untested "WXL301" Warning "a rule without a test that fires and one that does not"
        "A rule in `enforce` without both has not been seen to work, or not been seen to leave anything alone.";
    Constant "WXL302" Warning "a condition that is always the same"
        "A condition that reads nothing of the event is true for all of them or for none.";
    NeverFires "WXL303" Warning "a condition that contradicts itself"
        "Two parts that are joined by `&&` ask the same value to be two things at once, so the rule can never fire.";
    Twins "WXL304" Warning "two rules with one condition"
        "They hit together, so their scores add up for one cause.";
    Unused "WXL305" Warning "nobody reads this"
        "A list, macro or counter that no rule reads. A counter costs memory for each of its keys.";
    Expiry "WXL306" Warning "an exception that is expired or soon will be"
        "An expired exception does not work any more. Remove it, or renew it with its reason.";
    NoThreshold "WXL307" Warning "a score that reaches no threshold"
        "All scores of the set together do not reach its lowest threshold, so they never act.";
    RejectPayment "WXL308" Warning "a paid order is rejected"
        "The money has moved already. A rejected notification comes again, up to 15 times in a day, and the merchant's app \
         never hears of it. `hold` keeps it for a person.";
    Memory "WXL309" Warning "a counter that takes much memory for each key"
        "Slices, and distinct values up to `exact_up_to`, are kept for each value of the key.";
    SecondTrip "WXL310" Warning "a counter that has to wait for the order"
        "Its key, its value or its `when` reads the registered order, so it is counted in a second round trip to the store.";
    Percent "WXL311" Warning "a mode of 0 or 100 percent"
        "`{ enforce: 100% }` is `enforce`, `{ enforce: 0% }` is `shadow`.";
}

impl Code {
    /// The code of this name, as a person may write it: `wxl004`, `WXL004`, `4`.
    pub fn by_name(name: &str) -> Option<Self> {
        let digits = name.trim_start_matches(['W', 'X', 'L', 'w', 'x', 'l']);
        let number = digits.parse::<u16>().ok()?;
        Self::ALL.iter().copied().find(|code| code.name() == format!("WXL{number:03}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_in_order() {
        let names: Vec<&str> = Code::ALL.iter().map(|code| code.name()).collect();
        assert!(names.is_sorted_by(|one, next| one < next), "{names:?}");
        assert_eq!(Code::by_name("wxl004"), Some(Code::UnknownKey));
        assert_eq!(Code::by_name("4"), Some(Code::UnknownKey));
        assert_eq!(Code::by_name("WXL999"), None);
        assert_eq!(Code::by_name("flow"), None);
    }
}
