//! Lua that runs inside of Redis: a script is one step, which no other client sees half of.
//!
//! A script is sent by its digest, and by its text only when the server does not have it (`NOSCRIPT`: it is new, or was
//! restarted, or took over from another). The link may send a script again when a connection breaks before the answer is
//! there: **a script must do no harm when it runs twice with the same arguments.**
//!
//! `KEYS[1]` is the tag that all keys of the script begin with (`{wxgate:shop-pay}`); a script makes the rest of their names
//! itself, since they depend on what it reads. They share the tag's slot, which is what a Cluster asks for. No key is named
//! as the tag itself, nor as the tag and `-`: in a Cluster the link puts the latter behind the keys.
//!
//! **Which clock.** `lua/clock.lua`, put before every script, gives `now`: the server's own time, in milliseconds. Gateways'
//! clocks differ, by seconds when one is set wrong; a lease that one gateway gave must not be over for another. A test that
//! turns the time by hand gives it as `ARGV[1]`, which is empty otherwise.

use std::fmt::Write as _;
use std::sync::OnceLock;

use redis::Cmd;
use sha1::{Digest as _, Sha1};

use crate::clock::UnixTime;

/// One script.
pub(in crate::store) struct Script {
    /// What it does, for metrics: `op` of `wxgate_store_errors_total`.
    pub(super) name: &'static str,
    text: &'static str,
    digest: OnceLock<String>,
}

impl Script {
    /// A script with all that it needs in its text.
    pub(in crate::store) const fn new(name: &'static str, text: &'static str) -> Self {
        Self { name, text, digest: OnceLock::new() }
    }

    /// Runs it if the server has it.
    pub(super) fn by_digest(&self, keys: &[&[u8]], args: &[&[u8]]) -> Cmd {
        let digest = self.digest.get_or_init(|| {
            Sha1::digest(self.text).iter().fold(String::with_capacity(40), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}"); // a string takes everything
                hex
            })
        });
        command("EVALSHA", digest.as_bytes(), keys, args)
    }

    /// Runs it, and has the server keep it.
    pub(super) fn by_text(&self, keys: &[&[u8]], args: &[&[u8]]) -> Cmd {
        command("EVAL", self.text.as_bytes(), keys, args)
    }
}

fn command(verb: &str, script: &[u8], keys: &[&[u8]], args: &[&[u8]]) -> Cmd {
    let bytes = keys.iter().chain(args).map(|part| part.len()).fold(script.len(), usize::saturating_add);
    let mut cmd = Cmd::with_capacity(keys.len().saturating_add(args.len()).saturating_add(3), bytes.saturating_add(16));
    cmd.arg(verb).arg(script).arg(keys.len());
    keys.iter().chain(args).for_each(|part| {
        cmd.arg(*part);
    });
    cmd
}

/// Whose time a script goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Times {
    /// The server's: see above.
    Server,
    /// That of the ask: a test turns it.
    Given,
}

impl Times {
    /// `ARGV[1]` of a script.
    pub(in crate::store) fn argument(self, now: UnixTime) -> String {
        match self {
            Self::Server => String::new(),
            Self::Given => now.millis().to_string(),
        }
    }
}
