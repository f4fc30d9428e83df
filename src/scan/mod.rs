//! Joins sources, layers and findings.
