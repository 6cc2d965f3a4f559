//! Secrets and key files: the configuration only says where they are. Nothing here repeats what it read, nor what stands
//! where a reference should: that may be the secret itself.

use std::ops::Range;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::document::{Value, quoted};
use super::files::Files;
use super::problem::Findings;
use crate::clock::UnixTime;
use crate::secret::Secret;

const REFERENCE: &str = "a reference to a secret, `{ env = \"NAME\" }` or `{ file = \"path\" }`";
const LITERAL_HINT: &str = "a secret is never written in this file, so that the file can be shown and versioned: put it into \
    an environment variable or a file of its own, and if it was shared, take a new one";

/// What is outside of the configuration: files beside it, the environment, the time.
pub(super) struct Outside<'d> {
    /// What relative paths are relative to.
    pub(super) directory: &'d Path,
    /// Every file that was read, or looked for.
    pub(super) files: Files,
    /// What the ends of certificates are compared with.
    pub(super) now: UnixTime,
}

impl Outside<'_> {
    /// A path as the configuration means it.
    pub(super) fn path(&self, written: &str) -> PathBuf {
        #[cfg(fuzzing)]
        let written = super::fuzzing::inside(written);
        self.directory.join(written)
    }

    /// The secrets of a key that takes one, or several while it rotates.
    pub(super) fn secrets(&mut self, value: &Value<'_>, findings: &mut Findings<'_>) -> Vec<(Secret, Range<usize>)> {
        let items = value.one_or_more();
        if items.is_empty() {
            value.expected_secretly(findings, &format!("at least one {}", &REFERENCE[2..]), LITERAL_HINT);
        }
        items.iter().filter_map(|item| Some((self.secret(item, findings)?, item.at().clone()))).collect()
    }

    /// The secret that a reference leads to, without the white space around it.
    pub(super) fn secret(&mut self, value: &Value<'_>, findings: &mut Findings<'_>) -> Option<Secret> {
        if !value.is_table() {
            value.expected_secretly(findings, REFERENCE, LITERAL_HINT);
            return None;
        }
        let mut table = value.table(findings, LITERAL_HINT)?;
        let (env, file) = (table.take("env"), table.take("file"));
        table.finish(findings);
        let bytes = match (&env, &file) {
            (Some(env), None) => self::env(env, findings)?,
            (None, Some(file)) => self.secret_file(file, findings)?,
            (Some(_), Some(_)) | (None, None) => {
                let message = format!("`{}` is not {REFERENCE}", value.name());
                findings.problem(value.at(), message, "exactly one of `env` and `file` says where the secret is");
                return None;
            }
        };
        let secret = bytes.trim_ascii();
        if secret.is_empty() {
            let message = format!("`{}` refers to an empty secret", value.name());
            findings.problem(value.at(), message, "set the variable, or write the secret into the file");
            return None;
        }
        Some(Secret::new(secret.to_vec()))
    }

    fn secret_file(&mut self, value: &Value<'_>, findings: &mut Findings<'_>) -> Option<Zeroizing<Vec<u8>>> {
        let Some(written) = value.as_str().filter(|path| !path.is_empty()) else {
            value.expected_secretly(findings, "the path of a file", LITERAL_HINT);
            return None;
        };
        let path = self.path(written);
        match self.files.read(&path) {
            Ok(bytes) => {
                warn_if_open_to_others(&path, value, findings);
                Some(bytes)
            }
            Err(error) => {
                let message = format!("the file that `{}` names cannot be read: {error}", value.name());
                findings.problem(value.at(), message, self.path_hint());
                None
            }
        }
    }

    /// The text of a file that holds no secret.
    pub(super) fn text(&mut self, value: &Value<'_>, findings: &mut Findings<'_>) -> Option<String> {
        let hint = self.path_hint();
        let what = "the path of a PEM file";
        let written = value.parsed(findings, what, &hint, |path| (!path.is_empty()).then_some(path))?;
        let read = self.files.read(&self.path(written)).map(|bytes| String::from_utf8(bytes.to_vec()));
        match read {
            Ok(Ok(text)) => Some(text),
            Ok(Err(_)) => {
                let message = format!("{} is not a PEM file: it is not text", quoted(written));
                let hint = "PEM begins with `-----BEGIN`; convert DER with `openssl x509 -inform der` or `openssl pkey -pubin -inform der`";
                findings.problem(value.at(), message, hint);
                None
            }
            Err(error) => {
                findings.problem(value.at(), format!("{} cannot be read: {error}", quoted(written)), hint);
                None
            }
        }
    }

    fn path_hint(&self) -> String {
        let here = if self.directory.as_os_str().is_empty() { Path::new(".") } else { self.directory };
        format!("paths are relative to the directory of the configuration, {}", quoted(&here.display().to_string()))
    }
}

fn env(value: &Value<'_>, findings: &mut Findings<'_>) -> Option<Zeroizing<Vec<u8>>> {
    let is_name = |name: &&str| {
        let first_is_letter = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        first_is_letter && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let Some(name) = value.as_str().filter(is_name) else {
        value.expected_secretly(
            findings,
            "the name of an environment variable, like \"SHOP_API_V3_KEY\"",
            LITERAL_HINT,
        );
        return None;
    };
    let Some(secret) = std::env::var_os(name) else {
        // The APIv3 key itself, put here by mistake, looks like a name; only what is written as names are is repeated.
        let is_usual =
            name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_') && name.contains('_');
        let which = if is_usual { quoted(name) } else { format!("that `{}` names", value.name()) };
        let hint = "set it where wxgate is started; `env` takes the name of a variable, never the secret itself";
        findings.problem(value.at(), format!("the environment variable {which} is not set"), hint);
        return None;
    };
    Some(Zeroizing::new(secret.into_vec()))
}

/// A warning only: some platforms mount secrets with wide modes into containers where nobody else is.
fn warn_if_open_to_others(path: &Path, value: &Value<'_>, findings: &mut Findings<'_>) {
    let Ok(metadata) = std::fs::metadata(path) else { return };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        let message =
            format!("the secret that `{}` names is open to every user of this machine (mode {mode:04o})", value.name());
        findings.warning(value.at(), message, "`chmod 600` it");
    }
}
