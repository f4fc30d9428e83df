//! prefilter.
