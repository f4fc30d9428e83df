//! All integration tests, in one binary: it links once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

/// What is wrong, damaged or not there.
mod bad_input;
/// What it does from its options to its reports.
mod behaviour;
/// Layers that an earlier scan read.
mod cache;
/// What a package brought is quieter than what was put there.
mod classes;
/// Commands that scan nothing: completions, manual pages, logins, what a machine has.
mod cli;
/// A key that a later layer hides, in every disguise.
mod codecov;
/// Decoders against the tools that wrote the data.
mod decode;
/// Images of a local engine.
#[cfg(unix)]
mod engine;
/// What the fuzz targets run, for a second each.
mod faults_of_ours;
mod fuzz_bodies;
/// What a policy asks of a scan.
mod gate;
/// Git history inside layers.
mod git_history;
/// Uploads to code scanning.
mod github;
/// What hostile images must not bring about, and the table that says which test stands for which hazard.
mod hazards;
/// Secrets that stand encoded.
mod hidden_text;
/// Key stores as tools write them.
mod key_stores;
/// Who may import whom.
mod layering;
/// Alerts on the lines of a Dockerfile.
#[cfg(unix)]
mod lines;
/// Sweeps that many machines share.
#[cfg(unix)]
mod machines;
/// Archives inside layers, and archives in those.
mod nested;
/// Where people work.
#[cfg(unix)]
mod places;
/// How much of what is planted is found.
mod quality;
/// What the README shows is what the program does.
mod readme;
/// Registries: real ones, and one that misbehaves on command.
mod registry;
/// Reports: their schema, and hostile names in every field.
mod report;
/// Every rule, in the kinds of files it lives in.
mod rules;
/// Rules of one's own: listed, checked, tried, and in the format of Gitleaks.
mod rules_command;
/// The same image in, the same report out.
mod sources;
/// Records without their secrets.
mod stored_records;
/// Rows of databases and constants of compiled modules.
mod stores_of_values;
/// What the tests are made with.
#[allow(
    dead_code,
    reason = "made for the tests of every area, not only for those that are here"
)]
mod support;
/// Whether `support` makes what it says: other tools read it.
mod support_works;
/// Sweeps of whole registries.
#[cfg(unix)]
mod sweep;
/// Our framing of tar archives against Go's.
mod tar_differential;
/// What CI and releases may do, and with what.
mod workflows;
