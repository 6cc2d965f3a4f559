//! `wxgate check`: everything that is wrong with a configuration, or what it was found to be.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::Exit;
use super::report::{json, result, talk};
use crate::clock::{Clock, UnixTime};
use crate::config::{self, Examined, Problem};
use crate::gate::endpoint::{ProtocolSettings, Settings};
use crate::wechat::key::VerifyingKey;

/// Check configuration and keys; says all problems at once.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Configuration file
    #[arg(long, default_value = "wxgate.toml")]
    config: PathBuf,
    /// The result as one line of JSON
    #[arg(long)]
    json: bool,
}

/// What came of the check.
#[derive(Serialize)]
struct Checked<'a> {
    file: String,
    ok: bool,
    problems: Vec<&'a Problem>,
    warnings: &'a [Problem],
    endpoints: Vec<Endpoint>,
}

#[derive(Serialize)]
struct Endpoint {
    name: String,
    host: Option<String>,
    path: String,
    protocol: &'static str,
    keys: Vec<Key>,
    /// Where further ones are downloaded.
    download: Option<String>,
    #[serde(flatten)]
    secrets: Secrets,
    signing_secrets: usize,
    upstream: Vec<String>,
}

/// How many secrets of each kind: more than one while they rotate.
#[derive(Default, Serialize)]
struct Secrets {
    api_v3_keys: usize,
    api_v2_keys: usize,
    tokens: usize,
    aes_keys: usize,
}

#[derive(Serialize)]
struct Key {
    id: String,
    /// The last day, in UTC; a public key has none.
    expires: Option<String>,
    expires_in_days: Option<i64>,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let examined = config::examine(&args.config);
    let checked = Checked::new(args.config.display().to_string(), &examined, Clock::System.now());
    if args.json {
        json(&checked);
    } else {
        for warning in checked.warnings {
            talk(warning.clone().into_warning());
        }
        result(text(&examined, &checked));
    }
    exit(&examined).into()
}

fn exit(examined: &Examined) -> Exit {
    match &examined.outcome {
        Ok(_) => Exit::Good,
        Err(problems) if problems.is_unreadable() => Exit::Usage,
        Err(_) => Exit::Failed,
    }
}

fn text(examined: &Examined, checked: &Checked<'_>) -> String {
    match &examined.outcome {
        Ok(_) => checked.to_string(),
        Err(problems) => problems.to_string(),
    }
}

impl<'a> Checked<'a> {
    fn new(file: String, examined: &'a Examined, now: UnixTime) -> Self {
        let (problems, endpoints) = match &examined.outcome {
            Ok(config) => (Vec::new(), config.endpoints.iter().map(|settings| Endpoint::new(settings, now)).collect()),
            Err(problems) => (problems.iter().collect(), Vec::new()),
        };
        Self { file, ok: examined.outcome.is_ok(), problems, warnings: &examined.warnings, endpoints }
    }
}

/// A configuration without problems.
impl fmt::Display for Checked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for endpoint in &self.endpoints {
            writeln!(f, "{endpoint}")?;
        }
        write!(f, "{}: no problems{}", self.file, and_warnings(self.warnings.len()))
    }
}

fn and_warnings(warnings: usize) -> String {
    match warnings {
        0 => String::new(),
        1 => ", 1 warning".to_owned(),
        several => format!(", {several} warnings"),
    }
}

impl Endpoint {
    fn new(settings: &Settings, now: UnixTime) -> Self {
        let none = Secrets::default();
        let (protocol, keys, secrets) = match &settings.protocol {
            ProtocolSettings::PayV3(pay) => {
                let keys = pay.verifying_keys.iter().map(|key| Key::new(key, now)).collect();
                ("pay-v3", keys, Secrets { api_v3_keys: pay.api_v3.len(), ..none })
            }
            ProtocolSettings::PayV2(pay) => ("pay-v2", Vec::new(), Secrets { api_v2_keys: pay.api_v2.len(), ..none }),
            ProtocolSettings::Message(push) => {
                let name = if push.is_open_platform { "open-platform" } else { "message" };
                (name, Vec::new(), Secrets { tokens: push.tokens.len(), aes_keys: push.aes.len(), ..none })
            }
            ProtocolSettings::WeCom(push) => {
                ("wecom", Vec::new(), Secrets { tokens: push.tokens.len(), aes_keys: push.aes.len(), ..none })
            }
        };
        Self {
            name: settings.name.clone(),
            host: settings.host.clone(),
            path: settings.path.to_string(),
            protocol,
            keys,
            download: settings.download.as_ref().map(|download| download.url.to_string()),
            secrets,
            signing_secrets: settings.upstream.signing.len(),
            upstream: settings.upstream.urls.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Key {
    fn new(key: &VerifyingKey, now: UnixTime) -> Self {
        let days = |end: UnixTime| end.secs().saturating_sub(now.secs()).div_euclid(24 * 3600);
        Self {
            id: key.id().to_string(),
            expires: key.not_after().map(config::day),
            expires_in_days: key.not_after().map(days),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.as_deref().unwrap_or("any host");
        writeln!(f, "endpoint {}", self.name)?;
        writeln!(f, "  answers   {} on {} ({})", self.path, host, self.protocol)?;
        for key in &self.keys {
            writeln!(f, "  verifies  {key}")?;
        }
        if let Some(url) = &self.download {
            writeln!(f, "  verifies  with what is at {url}")?;
        }
        let Secrets { api_v3_keys, api_v2_keys, tokens, aes_keys } = self.secrets;
        if tokens > 0 {
            writeln!(f, "  verifies  with {}", several(tokens, "token"))?;
        }
        for (keys, what) in [(api_v3_keys, "APIv3 key"), (api_v2_keys, "APIv2 key"), (aes_keys, "EncodingAESKey")] {
            if keys > 0 {
                writeln!(f, "  opens     with {}", several(keys, what))?;
            }
        }
        for url in &self.upstream {
            writeln!(f, "  forwards  {url}")?;
        }
        match self.signing_secrets {
            0 => write!(f, "  signs     nothing"),
            secrets => write!(f, "  signs     with {}", several(secrets, "webhook secret")),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        match (&self.expires, self.expires_in_days) {
            (Some(day), Some(days)) if days >= 0 => write!(f, ", expires {day}, in {}", several_days(days)),
            (Some(day), _) => write!(f, ", expired {day}"),
            (None, _) => f.write_str(", does not expire"),
        }
    }
}

fn several(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn several_days(days: i64) -> String {
    several(usize::try_from(days).unwrap_or_default(), "day")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cli::init;

    fn checked_at(path: &std::path::Path, now: &str) -> (Exit, String, serde_json::Value) {
        let examined = config::examine(path);
        let now = UnixTime::from_secs(now.parse::<jiff::Timestamp>().unwrap().as_second());
        let checked = Checked::new("wxgate.toml".to_owned(), &examined, now);
        (exit(&examined), text(&examined, &checked), serde_json::to_value(&checked).unwrap())
    }

    #[test]
    fn a_good_configuration_is_told_with_its_keys_and_never_a_secret() {
        let dir = tempfile::tempdir().unwrap();
        init::init(dir.path()).unwrap();
        let (exit, text, json) = checked_at(&dir.path().join("wxgate.toml"), "2026-01-01T00:00:00Z");
        assert_eq!(exit, Exit::Good);
        for words in [
            "endpoint shop-pay",
            "/notify/shop-pay on any host (pay-v3)",
            ", does not expire",
            ", expires ",
            "with 1 APIv3 key",
            "http://127.0.0.1:9000/events",
            "wxgate.toml: no problems",
        ] {
            assert!(text.contains(words), "{words} is not in\n{text}");
        }
        assert_eq!(json["ok"], true);
        assert_eq!(json["problems"], serde_json::json!([]));
        let keys = json["endpoints"][0]["keys"].as_array().unwrap();
        assert!(keys.iter().any(|key| key["id"].as_str().unwrap().starts_with("PUB_KEY_ID_")), "{keys:?}");
        assert!(keys.iter().any(|key| key["expires_in_days"].is_i64()), "{keys:?}");
        for secret in ["apiv3.key", "signing.key", "admin.token"] {
            let secret = fs::read_to_string(dir.path().join("keys").join(secret)).unwrap();
            assert!(!format!("{text}{json}").contains(secret.trim()));
        }
    }

    #[test]
    fn problems_have_a_place_for_machines_and_an_absent_file_is_wrong_usage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wxgate.toml");
        fs::write(&path, "[server]\nthreds = 1\n").unwrap();
        let (exit, text, json) = checked_at(&path, "2026-01-01T00:00:00Z");
        assert_eq!(exit, Exit::Failed);
        assert!(text.ends_with("2 problems"), "{text}");
        assert_eq!(json["ok"], false);
        let problem = &json["problems"][1];
        assert_eq!((problem["line"].as_u64(), problem["column"].as_u64()), (Some(2), Some(1)), "{json}");
        assert_eq!(problem["hint"], "did you mean `threads`?");
        assert_eq!(json["endpoints"], serde_json::json!([]));

        let (exit, text, json) = checked_at(&dir.path().join("absent.toml"), "2026-01-01T00:00:00Z");
        assert_eq!(exit, Exit::Usage);
        assert!(text.contains("absent.toml: cannot be read"), "{text}");
        assert_eq!(json["problems"][0]["line"], serde_json::Value::Null);
    }
}
