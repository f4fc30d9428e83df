//! What is inside bytes: compressed streams and encoded text here, nested archives with them. Knows no layers.

pub mod decode;
pub mod text;
