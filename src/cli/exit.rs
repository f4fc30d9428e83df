//! Exit codes. Nothing else knows the numbers.

use std::process::ExitCode;

use crate::policy::Outcome;

/// How a command ended. `0` is the only pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// Everything was scanned, and nothing is at or above the threshold.
    Clean,
    /// Everything was scanned, and there are findings.
    Findings,
    /// The command line or a file it names is wrong, or a report could not be written.
    Usage,
    /// No target was found or could be read, or GitHub did not take an upload.
    Unresolved,
    /// Something was not scanned, no findings so far; or an upload was sent and not read.
    Incomplete,
    /// Something was not scanned, and there are findings.
    IncompleteWithFindings,
    /// Ended by a signal; the report is marked partial.
    Interrupted(i32),
}

impl Exit {
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Findings => 1,
            Self::Usage => 2,
            Self::Unresolved => 3,
            Self::Incomplete => 4,
            Self::IncompleteWithFindings => 5,
            Self::Interrupted(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }

    /// The code for an error that ended a command.
    pub(super) fn of(error: &anyhow::Error) -> Self {
        let is_unanswered = |error: &crate::github::UploadError| error.is_remote();
        if error.downcast_ref::<crate::source::SourceError>().is_some()
            || error.downcast_ref::<crate::sweep::QueueError>().is_some()
            || error.downcast_ref().is_some_and(is_unanswered)
        {
            Self::Unresolved
        } else {
            Self::Usage
        }
    }
}

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Clean => Self::Clean,
            Outcome::Findings => Self::Findings,
            Outcome::Incomplete => Self::Incomplete,
            Outcome::IncompleteWithFindings => Self::IncompleteWithFindings,
            Outcome::Unresolved => Self::Unresolved,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Ends the process at once: only for a second signal, when whoever sent it will not wait.
#[expect(clippy::exit, reason = "a second signal means now")]
pub(super) fn now(exit: Exit) -> ! {
    std::process::exit(i32::from(exit.code()))
}
