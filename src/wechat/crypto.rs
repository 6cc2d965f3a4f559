//! The only file of the protocols that names a crypto package.
