//! One callback, from top to bottom.
