//! An endpoint: a path with its protocol, keys, limits and upstream.

use std::time::Duration;

use crate::wechat::pay_v3;
use crate::{gate::upstream, limit};

/// `[endpoint.NAME]`, checked, with its keys read and parsed.
pub struct Settings {
    /// The endpoint's name, a label of metrics.
    pub name: String,
    /// Host that it answers to; none: any.
    pub host: Option<String>,
    /// Path that it answers to, exactly.
    pub path: String,
    /// Protocol with keys.
    pub protocol: ProtocolSettings,
    /// `limits`
    pub limits: limit::Settings,
    /// `upstream`
    pub upstream: upstream::Settings,
    /// How far a timestamp may be off.
    pub window: Duration,
}

/// `protocol`, with what it needs.
pub enum ProtocolSettings {
    /// `pay-v3`
    PayV3(pay_v3::Settings),
}
