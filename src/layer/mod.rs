//! From a blob to its record: verify, decompress, frame, match.
