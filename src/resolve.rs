//! From path tables to the life of an occurrence.
