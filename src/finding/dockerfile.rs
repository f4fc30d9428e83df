//! Where in a Dockerfile something of an image was made, as plain values. How that is found out is not here: see
//! [`crate::dockerfile`].

use std::fmt;

use crate::oci::{History, Provenance};

/// What an image says of how it was built. Nothing of it is verified, and it may hold secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildFacts {
    /// The steps of its configuration, oldest first.
    pub history: Vec<History>,
    /// The provenances that were attached to it, if they tell of instructions.
    pub provenances: Vec<Provenance>,
}

/// A Dockerfile, and what of it made an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    /// Where it is: relative to the root of the checkout with `/` between names, or, where it is in none, as its
    /// provenance names it.
    pub path: String,
    /// Whether `path` is a file of the checkout.
    pub is_checked_out: bool,
    /// How its instructions were tied to the image.
    pub mapping: Mapping,
    /// Why nothing could be tied to it, or with which reservation; escaped.
    pub note: Option<String>,
    /// The instructions of all stages, in the order of the file.
    pub instructions: Vec<Instruction>,
    /// The instruction that stands for the image as a whole: `FROM` of the stage it was made from.
    pub from: Option<usize>,
}

/// One instruction of a Dockerfile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instruction {
    /// Its keyword in capital letters: `COPY`.
    pub keyword: String,
    /// Its first line, from 1.
    pub first_line: u64,
    /// Its last line, here-documents and continuations included.
    pub last_line: u64,
    /// The column of its first character, from 1, in UTF-16 code units.
    pub first_column: u64,
    /// The column behind its last character, from 1, in UTF-16 code units.
    pub end_column: u64,
    /// Its text, line breaks included. [`super::Report::conceal`] replaces the secrets in it.
    pub text: String,
}

/// The instruction that made something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MadeBy {
    /// The instruction, by its place in [`Dockerfile::instructions`]. `FROM` where the base image brought it.
    pub instruction: usize,
    /// How sure that is.
    pub certainty: Certainty,
}

/// How sure it is that an instruction made something. Where nothing is known, there is no [`MadeBy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Certainty {
    /// By its place between instructions that are sure; the texts do not agree.
    Positional,
    /// The texts are alike, or one of several that made the layer together fits best.
    Fuzzy,
    /// The builder says so, or the texts agree.
    Exact,
}

/// How the instructions of a Dockerfile were tied to an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mapping {
    /// Not at all: the file does not belong to the image, or the image tells nothing of its build.
    None,
    /// By the image's history.
    History,
    /// By what the builder says in a provenance.
    Provenance,
}

impl Certainty {
    /// The name in reports: `positional`, `fuzzy`, `exact`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Positional => "positional",
            Self::Fuzzy => "fuzzy",
            Self::Exact => "exact",
        }
    }
}

impl Mapping {
    /// The name in reports: `none`, `history`, `provenance`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::History => "history",
            Self::Provenance => "provenance",
        }
    }
}

impl Dockerfile {
    /// The instruction that made something.
    pub fn instruction(&self, made_by: MadeBy) -> Option<&Instruction> {
        self.instructions.get(made_by.instruction)
    }

    /// Whether the base image brought it.
    pub fn is_inherited(&self, made_by: MadeBy) -> bool {
        self.instruction(made_by)
            .is_some_and(|instruction| instruction.keyword == "FROM")
    }
}

impl fmt::Display for Certainty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
