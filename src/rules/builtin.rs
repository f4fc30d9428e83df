//! The rules of `rules/`, embedded by the build script. Checks nothing: see `load`.

/// Name, text and tree of every file in `rules/`, in order of name.
pub(super) static FILES: &[(&str, &str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/rules.rs"));
