//! What tests share.

pub mod scripted;
