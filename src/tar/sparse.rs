//! Sparse maps: old GNU, and PAX 0.0, 0.1 and 1.0.
