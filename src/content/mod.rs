//! What is inside bytes: compressed streams, archives, git objects, databases, and encoded text with them. Knows no layers.

pub mod archive;
pub mod decode;
pub mod git;
pub mod pyc;
pub mod sqlite;
pub mod text;
