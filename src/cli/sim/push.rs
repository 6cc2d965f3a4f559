//! What `wxgate sim send` says of message push: whose it is, and how the account's console is set.

use clap::ValueEnum;
use serde_json::Value;

use crate::cli::report::result;
use crate::sim::notify::{Callback, unix_now};
use crate::sim::push::{Account, Family, Format, Mode, sample};

/// What is spoken.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Protocol {
    PayV3,
    PayV2,
    Message,
    OpenPlatform,
    #[value(name = "wecom")]
    WeCom,
}

#[derive(Clone, Copy, ValueEnum)]
enum ModeArg {
    Plain,
    Compatible,
    Safe,
}

#[derive(Clone, Copy, ValueEnum)]
enum FormatArg {
    Xml,
    Json,
}

/// How the account's console is set, for protocols other than pay-v3.
#[derive(clap::Args)]
pub(super) struct AccountArgs {
    /// Encryption of messages
    #[arg(long, value_enum, default_value = "safe")]
    mode: ModeArg,
    /// Form of messages
    #[arg(long, value_enum, default_value = "xml")]
    format: FormatArg,
    /// Token; a test token, if left out
    #[arg(long)]
    token: Option<String>,
    /// EncodingAESKey, 43 characters; a test key, if left out
    #[arg(long)]
    aes_key: Option<String>,
    /// App id, component app id, corp id or suite id at the end of encrypted messages; a test id, if left out
    #[arg(long)]
    receive_id: Option<String>,
    /// Send the check of the URL instead of a message
    #[arg(long)]
    check: bool,
}

impl Protocol {
    /// Whose pushes they are; none for payments.
    pub(super) fn family(self) -> Option<Family> {
        match self {
            Self::PayV3 | Self::PayV2 => None,
            Self::Message => Some(Family::Message),
            Self::OpenPlatform => Some(Family::OpenPlatform),
            Self::WeCom => Some(Family::WeCom),
        }
    }
}

/// Messages that are all one: each try is signed afresh.
pub(super) struct Push {
    /// What it is called in the report.
    pub(super) name: String,
    account: Account,
    path: String,
    offset: i64,
    content: Option<Value>,
}

impl Push {
    /// From the command line; `offset` is what the timestamp is off, in seconds.
    pub(super) fn new(
        args: &AccountArgs,
        family: Family,
        sample: Option<&str>,
        path: &str,
        offset: i64,
    ) -> Result<Self, String> {
        let sample = sample.unwrap_or("text");
        let found = sample::find(family, sample)
            .ok_or_else(|| format!("--sample: `{sample}` is unknown, `--list` names all"))?;
        let account = account(args, family);
        let name = if args.check { "check" } else { found.name };
        let content = (!args.check).then(|| found.content(unix_now()));
        let push = Self { name: name.to_owned(), account, path: path.to_owned(), offset, content };
        push.callback().map(|_| push)
    }

    /// One try.
    pub(super) fn callback(&self) -> Result<Callback, String> {
        let at = unix_now().saturating_add(self.offset);
        let callback = match &self.content {
            Some(content) => self.account.push(&self.path, at, content),
            None => self.account.check(&self.path, at).map(|(callback, _)| callback),
        };
        callback.ok_or_else(|| "--aes-key: an EncodingAESKey has 43 letters and digits".to_owned())
    }

    /// What an answer says, encrypted or not.
    pub(super) fn read(&self, answer: &str) -> String {
        self.account.open(answer).unwrap_or_else(|| answer.to_owned())
    }
}

fn account(args: &AccountArgs, family: Family) -> Account {
    let sample = Account::sample(family);
    Account {
        family,
        token: args.token.clone().unwrap_or(sample.token),
        encoding_aes_key: args.aes_key.clone().unwrap_or(sample.encoding_aes_key),
        receive_id: args.receive_id.clone().unwrap_or(sample.receive_id),
        mode: match args.mode {
            // Of WeCom and open platforms there is no other mode.
            ModeArg::Plain if family == Family::Message => Mode::Plain,
            ModeArg::Compatible if family == Family::Message => Mode::Compatible,
            ModeArg::Plain | ModeArg::Compatible | ModeArg::Safe => Mode::Safe,
        },
        format: match args.format {
            FormatArg::Xml => Format::Xml,
            FormatArg::Json => Format::Json,
        },
    }
}

/// Names the kinds of a family.
pub(super) fn list(family: Family) {
    for sample in sample::ALL.iter().filter(|sample| sample.family == family) {
        result(sample.name);
    }
}
