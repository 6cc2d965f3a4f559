//! Logs of the process itself, on standard error.

/// Starts logging; the level comes from `WXGATE_LOG`, `info` if it is not set.
pub fn start(json: bool) {
    let _ = json;
    unimplemented!()
}
