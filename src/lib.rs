//! Finds secrets in container images: in every layer, including what later layers deleted.
//!
//! # The picture
//!
//! ```text
//! target ─ source::open ─▶ Source ─▶ blobs ─▶ hash ─▶ decode ─┬▶ windows ──────────▶ prefilter ─▶ hits ─┐
//!                             │                               └▶ tar::Framer ─▶ Region, Entry ───────────┴▶ Candidates
//!                             │                                                                                 │
//!                             │                                                       LayerRecord, one per blob ◀┘
//!                             └─▶ Image(s): configuration, history, annotations, attestations ─▶ scan::metadata ─▶ Candidates
//!
//! LayerRecords of an image ─▶ resolve (life) ─▶ scan::assemble (pairs, confidence) ─▶ Report ─▶ policy ─▶ Reporter ─▶ exit code
//! ```
//!
//! Each blob is streamed once and never written to disk. Literals are looked for in the raw decompressed stream, cut into
//! overlapping windows; what they lead to is verified inside the region of the archive it stands in: the content of one
//! file, a header field, padding, what follows the end. So small files cost nothing extra, no byte goes unseen, and no
//! match reaches from one file into the next.
//!
//! # Who may import whom
//!
//! | module | turns | imports |
//! |---|---|---|
//! | [`limits`] | caps, with their reasons | |
//! | [`text`] | bytes into text that is safe to print; lines, columns, context | |
//! | [`oci`] | documents into typed values | limits text |
//! | [`tar`] | a stream into regions and entries, by Go's rules | limits |
//! | [`rules`] | TOML into a checked rule set | limits text |
//! | [`engine`] | windows into candidates; knows no images | rules limits text |
//! | [`content`] | compressed streams, archives, git objects, databases and encoded text into the bytes they hold | tar limits |
//! | [`layer`] | a blob into its record | engine content tar oci limits text |
//! | [`source`] | a target into images and blobs | oci tar content limits text |
//! | [`finding`] | plain values: what a run returns | oci limits text, rule ids |
//! | [`resolve`] | path tables into the life of each file | finding layer tar |
//! | [`scan`] | targets into a report | all of the above |
//! | [`dockerfile`] | history or provenance into the lines of a Dockerfile | oci finding text |
//! | [`sweep`] | a registry into a state, and a state into answers | all of the above but policy |
//! | [`policy`] | a report into a verdict | finding oci, rule ids, text |
//! | [`report`] | a report into text, JSON, SARIF | finding oci policy text, rule notes |
//! | [`github`] | a SARIF file into alerts of code scanning | source text |
//! | [`cli`] | arguments into an exit code | everything |
//!
//! A test reads the imports and holds every module to this table.
//!
//! # What is absent
//!
//! Nothing here unpacks an image, writes any of its content to disk, executes anything of it, or verifies a secret
//! against the service it opens. Only [`cli`] prints, knows exit codes and ends the process. There is no unsafe code.
//!
//! # Example
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use layersift::rules::RuleSet;
//! use layersift::scan::{Scan, Target};
//! use layersift::source::{self, OpenOptions};
//!
//! let target = "image.tar";
//! let report = Scan::new(Arc::new(RuleSet::builtin())).run(vec![Target {
//!     name: source::printable(target),
//!     repository: None,
//!     opened: source::open(target, &OpenOptions::default()),
//! }])?;
//! for finding in &report.findings {
//!     println!("{}: {} ({} places)", finding.rule, finding.secret, finding.occurrences.len());
//! }
//! # Ok::<(), layersift::scan::ScanError>(())
//! ```
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod cli;
pub mod content;
pub mod dockerfile;
pub mod engine;
pub mod finding;
pub mod github;
pub mod layer;
pub mod limits;
pub mod oci;
pub mod policy;
pub mod report;
pub mod resolve;
pub mod rules;
pub mod scan;
pub mod source;
pub mod sweep;
pub mod tar;
pub mod text;
