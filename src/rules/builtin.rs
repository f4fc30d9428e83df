//! The rules of `rules/`, embedded.
