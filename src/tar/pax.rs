//! PAX records by their declared length.
