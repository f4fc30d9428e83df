//! What is inside bytes: compressed streams here, nested archives and encoded text with them. Knows no layers.

pub mod decode;
pub mod text;
