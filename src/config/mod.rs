//! The file and its checks: TOML in, plain settings of the components out, or every problem at once.

use std::fmt;
use std::path::Path;

use crate::{admin, gate, observe, server, store};

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

/// Everything that is wrong with a configuration.
#[derive(Debug)]
pub struct Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = f;
        unimplemented!()
    }
}

impl Config {
    /// What a running gateway cannot change, for [`Fixed::changed`].
    pub fn fixed(&self) -> Fixed {
        unimplemented!()
    }
}

/// The settings that take a restart.
pub struct Fixed {}

impl Fixed {
    /// Keys (`server.listen`, …) whose values differ.
    pub fn changed(&self, now: &Self) -> Vec<&'static str> {
        let _ = now;
        unimplemented!()
    }
}

/// Reads and checks the file, the key files and the environment that it names.
pub fn load(path: &Path) -> Result<Config, Problems> {
    let _ = path;
    unimplemented!()
}
