//! A SARIF file → alerts of GitHub code scanning. Does not make or change the file; see [`crate::report::sarif`].
//!
//! [`Package::of`] checks what GitHub would refuse and compresses the file, [`Destination::find`] says where it goes,
//! [`upload`] sends it and waits until GitHub has read it. Behind them, `answer` explains what GitHub says, `client`
//! speaks HTTP. *Source*: GitHub's REST API, "Upload an analysis as SARIF data" and "Get information about a SARIF
//! upload"; the limits of "SARIF support for code scanning".

mod answer;
mod client;
mod destination;
mod error;
mod package;

pub use client::{Patience, upload};
pub use destination::{Destination, Given, Surroundings};
pub use error::UploadError;
pub use package::Package;

/// The access token. `Debug` does not show it, and no message quotes it.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A token as an environment variable holds it, without the line end a shell may have left. `None` where it is
    /// empty or could not stand in a header.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_plain.then(|| Self(text.to_owned()))
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What became of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// GitHub's name for the upload.
    pub id: String,
    /// How far it got.
    pub state: State,
    /// What GitHub says of analyses it read: `123 results were ignored`; escaped.
    pub warnings: Vec<String>,
}

/// How far an upload got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// GitHub has it and had not read it when the wait was over.
    Pending,
    /// GitHub read it: its alerts are those of the file.
    Processed,
    /// GitHub noted that the scan did not finish, as the file says. The alerts are what they were.
    ScanFailed,
}
