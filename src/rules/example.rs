//! Expands templates of examples with a seed.
