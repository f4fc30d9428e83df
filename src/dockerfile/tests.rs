//! What locating an image's layers comes to, from history and provenance to lines.
