//! From a report to text, JSON, SARIF.
