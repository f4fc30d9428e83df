//! Finds secrets in container images: in every layer, including what later layers deleted.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod cli;
pub mod content;
pub mod engine;
pub mod finding;
pub mod layer;
pub mod limits;
pub mod oci;
pub mod policy;
pub mod report;
pub mod resolve;
pub mod rules;
pub mod scan;
pub mod source;
pub mod tar;
pub mod text;
