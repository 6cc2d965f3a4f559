//! A door for a fuzz target (`fuzz/`), in builds that fuzz alone.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a panic is how a target fails"
)]

use super::captured::parse;

/// Anything as a captured request, in both of its forms.
pub fn captured(data: &[u8]) {
    let Ok(captured) = parse(data) else { return };
    let received = captured.received();
    assert!(received.path.len() + received.query.len() <= data.len());
    assert!(captured.body.len() <= data.len(), "a body longer than what it stood in");
    assert!(captured.headers.len() <= data.len());
}
