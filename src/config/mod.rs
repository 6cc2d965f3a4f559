//! The file and its checks: TOML in, plain settings of the components out, or every problem at once.
//!
//! `document` gives the tables key by key, so that a key that nobody reads is an error; `sections`, `endpoint` and
//! `keys` read them; `reference` follows them to secrets and key files; `cross` checks what no key shows alone.
//! Nothing is started, opened or written: a check has no effects.

mod cross;
mod document;
mod download;
mod endpoint;
mod files;
mod fixed;
mod keys;
mod problem;
mod push;
mod redis;
mod reference;
mod rule_files;
mod rules;
mod scalar;
mod sections;
mod watch;

#[cfg(test)]
mod tests;

use std::path::Path;

use toml::de::DeTable;

use crate::clock::{Clock, UnixTime};
use crate::{admin, gate, observe, server, store};
use document::Table;
use problem::Findings;
use reference::Outside;

pub use files::Files;
pub use fixed::Fixed;
pub use problem::{Place, Problem, Problems};
pub use rule_files::read_rule_files;
pub use watch::Watch;

/// A configuration that passed every check.
pub struct Config {
    /// `[server]`
    pub server: server::Settings,
    /// `[admin]`; none if the section is absent.
    pub admin: Option<admin::Settings>,
    /// `[store]`
    pub store: store::Settings,
    /// `[audit]`
    pub audit: observe::AuditSettings,
    /// `[endpoint.*]`, in the order of the file. At least one.
    pub endpoints: Vec<gate::endpoint::Settings>,
}

/// What came of looking at a configuration.
pub struct Examined {
    /// The configuration, or all that is wrong with it.
    pub outcome: Result<Config, Problems>,
    /// What works and is yet worth a look.
    pub warnings: Vec<Problem>,
    /// Every file that was read, or looked for in vain: if one of them changes, look again.
    pub files: Files,
}

impl Config {
    /// What a running gateway cannot change, for [`Fixed::changed`].
    pub fn fixed(&self) -> Fixed {
        Fixed::of(self)
    }
}

/// Reads and checks the file, the key files and the environment that it names. Blocking.
pub fn load(path: &Path) -> Result<Config, Problems> {
    examine(path).outcome
}

/// The same, with warnings and the files to [`Watch`]. Blocking.
pub fn examine(path: &Path) -> Examined {
    let directory = path.parent().unwrap_or(Path::new(""));
    let mut outside = Outside { directory, files: Files::default(), now: Clock::System.now() };
    let (outcome, warnings) = match read(path, &mut outside) {
        Ok(text) => check(path, &text, &mut outside),
        Err(problems) => (Err(problems), Vec::new()),
    };
    Examined { outcome, warnings, files: outside.files }
}

fn read(path: &Path, outside: &mut Outside<'_>) -> Result<String, Problems> {
    let bytes = outside.files.read(path).map_err(|error| {
        let hint = "name another file with --config, or write one with `wxgate init DIR`";
        Problems::unreadable(path, format!("cannot be read: {error}"), hint.to_owned())
    })?;
    String::from_utf8(bytes.to_vec()).map_err(|error| {
        let hint = "save it as UTF-8, which TOML is written in";
        Problems::unreadable(path, format!("is not text: {}", error.utf8_error()), hint.to_owned())
    })
}

fn check(path: &Path, text: &str, outside: &mut Outside<'_>) -> (Result<Config, Problems>, Vec<Problem>) {
    let mut findings = Findings::new(path, text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        findings.syntax(&error.span().unwrap_or(0..0), message);
    }
    // Half a document would only look as if keys were missing.
    let config = errors.is_empty().then(|| settings(document.get_ref(), outside, &mut findings));
    let (problems, warnings) = findings.into_parts();
    let outcome = match problems {
        Some(problems) => Err(problems),
        None => Ok(config.expect("a document without errors is read")),
    };
    (outcome, warnings)
}

fn settings(document: &DeTable<'_>, outside: &mut Outside<'_>, findings: &mut Findings<'_>) -> Config {
    let mut root = Table::root(document);
    let (admin_at, audit_at) = (root.place_of("admin"), root.place_of("audit"));
    let server = sections::server(&mut root, findings);
    let admin = sections::admin(&mut root, outside, findings);
    let store = sections::store(&mut root, outside, findings);
    let audit = sections::audit(&mut root, outside, findings);
    let rules = rules::rules(&mut root, outside, findings);
    let endpoints = endpoint::endpoints(&mut root, &rules, outside, findings);
    root.finish(findings);
    cross::routes(&endpoints, findings);
    cross::listeners(&server, admin.as_ref(), &admin_at, findings);
    cross::targets(&server, &endpoints, findings);
    cross::ages(&store, &endpoints, findings);
    cross::paths(&store, &audit, &audit_at, findings);
    let mut endpoints: Vec<_> = endpoints.into_iter().filter_map(|found| found.settings).collect();
    download::keep_beside(&store, endpoints.iter_mut().filter_map(|endpoint| endpoint.download.as_mut()));
    Config { server, admin, store, audit, endpoints }
}

/// The day of a moment, in UTC.
pub(crate) fn day(time: UnixTime) -> String {
    let stamp = jiff::Timestamp::from_millisecond(time.millis());
    stamp.map_or_else(|_| "a day outside of the calendar".to_owned(), |stamp| stamp.strftime("%Y-%m-%d").to_string())
}
