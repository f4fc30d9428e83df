//! The bytes of a SARIF file → what the API takes: checked against what GitHub refuses, gzip, base64. Does not check
//! the file against the SARIF schema.

use std::collections::HashSet;
use std::io::Write as _;

use base64::Engine as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::UploadError;
use crate::text;

/// A file ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Base64 of gzip.
    pub(super) sarif: String,
    /// The tool of its first run.
    pub(super) tool: String,
    /// Results of all its runs.
    pub results: u64,
    /// Whether a run says of itself that it did not finish.
    pub is_unfinished: bool,
    /// The categories, one for each run that has one; escaped.
    pub categories: Vec<String>,
}

impl Package {
    /// Checks and packs a file.
    ///
    /// *Errors*: `NotSarif` for what is no SARIF 2.1.0, has a run without results, or two runs of one tool and
    /// category; `TooMuch` over one of GitHub's limits. *Cost*: about 0.1 s for 10 MB.
    pub fn of(file: &[u8]) -> Result<Self, UploadError> {
        Self::within(file, MOST_GZIP_BYTES)
    }

    fn within(file: &[u8], most_bytes: u64) -> Result<Self, UploadError> {
        let not_sarif = |why: String| UploadError::NotSarif { why };
        let log: Log = serde_json::from_slice(file)
            .map_err(|error| not_sarif(text::escape(error.to_string().as_bytes())))?;
        if log.version != "2.1.0" {
            let version = text::escape(log.version.as_bytes());
            return Err(not_sarif(format!("its version is `{version}`, not `2.1.0`")));
        }
        let Some(first) = log.runs.first() else {
            return Err(not_sarif("it has no run".to_owned()));
        };
        too_much(
            "runs",
            log.runs.len(),
            MOST_RUNS,
            "write one file per image: `--format sarif=DIR/`",
        )?;
        let mut identities = HashSet::new();
        let mut categories = Vec::new();
        let mut results = 0;
        for (run, number) in log.runs.iter().zip(1..) {
            let Some(of_run) = &run.results else {
                return Err(not_sarif(format!(
                    "run {number} has no `results`, not even an empty list"
                )));
            };
            too_much(
                "results in one run",
                of_run.len(),
                MOST_RESULTS,
                "raise `--severity` or `--min-confidence`",
            )?;
            results += of_run.len() as u64;
            let category = run.category();
            if !identities.insert((run.tool.driver.name.as_str(), category)) {
                let category = text::escape(category.unwrap_or_default().as_bytes());
                let why = format!("run {number} has the tool and the category of another, `{category}`");
                return Err(not_sarif(why));
            }
            categories.extend(category.map(|category| text::escape(category.as_bytes())));
        }
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        let packed = gzip
            .write_all(file)
            .and_then(|()| gzip.finish())
            .expect("memory takes all that is written");
        let size = packed.len() as u64;
        if size > most_bytes {
            return Err(UploadError::TooMuch {
                what: "bytes after compression",
                count: size,
                most: most_bytes,
                hint: "write one file per image, `--format sarif=DIR/`, or raise `--severity` or `--min-confidence`",
            });
        }
        Ok(Self {
            sarif: base64::engine::general_purpose::STANDARD.encode(packed),
            tool: first.tool.driver.name.clone(),
            results,
            is_unfinished: log.runs.iter().any(Run::is_unfinished),
            categories,
        })
    }
}

fn too_much(what: &'static str, count: usize, most: usize, hint: &'static str) -> Result<(), UploadError> {
    if count <= most {
        return Ok(());
    }
    Err(UploadError::TooMuch {
        what,
        count: count as u64,
        most: most as u64,
        hint,
    })
}

/// What of a log is looked at.
#[derive(Deserialize)]
struct Log {
    version: String,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    automation_details: Option<AutomationDetails>,
    invocations: Option<Vec<Invocation>>,
    results: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize)]
struct Tool {
    driver: Driver,
}

#[derive(Deserialize)]
struct Driver {
    name: String,
}

#[derive(Deserialize)]
struct AutomationDetails {
    id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: Option<bool>,
}

impl Run {
    /// What stands before the last slash of the id; without a slash there is none.
    fn category(&self) -> Option<&str> {
        let id = self.automation_details.as_ref()?.id.as_deref()?;
        id.rsplit_once('/').map(|(category, _)| category)
    }

    fn is_unfinished(&self) -> bool {
        let mut invocations = self.invocations.iter().flatten();
        invocations.any(|invocation| invocation.execution_successful == Some(false))
    }
}

/// Bytes after gzip: what GitHub takes of one file.
const MOST_GZIP_BYTES: u64 = 10 * 1024 * 1024;

/// Runs of one file.
const MOST_RUNS: usize = 20;

/// Results of one run; of these it shows 5,000.
const MOST_RESULTS: usize = 25_000;

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use serde_json::{Value, json};

    use super::*;

    fn run(category: &str, results: usize) -> Value {
        json!({
            "tool": {"driver": {"name": "layersift"}},
            "automationDetails": {"id": category},
            "results": vec![json!({}); results],
        })
    }

    fn package(runs: Vec<Value>) -> Result<Package, UploadError> {
        Package::of(json!({"version": "2.1.0", "runs": runs}).to_string().as_bytes())
    }

    #[test]
    fn a_package_is_the_file_in_gzip_and_base64() {
        let file = json!({"version": "2.1.0", "runs": [run("layersift/app/linux-amd64/", 3)]}).to_string();
        let package = Package::of(file.as_bytes()).unwrap();
        let packed = base64::engine::general_purpose::STANDARD
            .decode(&package.sarif)
            .unwrap();
        let mut unpacked = String::new();
        flate2::read::GzDecoder::new(&packed[..])
            .read_to_string(&mut unpacked)
            .unwrap();
        assert_eq!(unpacked, file);
        assert_eq!((package.results, package.is_unfinished), (3, false));
        assert_eq!(package.categories, ["layersift/app/linux-amd64"]);
        assert_eq!(package.tool, "layersift");
    }

    #[test]
    fn what_github_refuses_is_not_sent() {
        let mut without_results = run("a/", 0);
        without_results.as_object_mut().unwrap().remove("results");
        for (runs, expected) in [
            (vec![], "no run"),
            (vec![without_results], "run 1 has no `results`"),
            (
                vec![run("a/b/", 0), run("a/b/7", 0)],
                "run 2 has the tool and the category",
            ),
            (vec![run("a/\u{1b}/", 0), run("a/\u{1b}/", 0)], "`a/\\u{1b}`"),
            (
                (0..21).map(|n| run(&format!("{n}/"), 0)).collect(),
                "21 runs, and GitHub takes 20",
            ),
            (
                vec![run("a/", 25_001)],
                "25001 results in one run, and GitHub takes 25000",
            ),
        ] {
            let error = package(runs).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(package((0..20).map(|n| run(&format!("{n}/"), 0)).collect()).is_ok());
        for (file, expected) in [
            (r#"{"version": "2.0.0", "runs": []}"#, "`2.0.0`"),
            (r#"{"schema": "layersift.report/1"}"#, "missing field"),
            ("", "EOF"),
        ] {
            let error = Package::of(file.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_limit_of_bytes_is_that_of_the_compressed_file() {
        let file = json!({"version": "2.1.0", "runs": [run("a/", 500)]}).to_string();
        assert!(file.len() > 300);
        assert!(Package::within(file.as_bytes(), 300).is_ok());
        let error = Package::within(file.as_bytes(), 20).unwrap_err();
        assert!(matches!(error, UploadError::TooMuch { most: 20, .. }), "{error}");
    }

    #[test]
    fn a_run_that_did_not_finish_is_told() {
        let mut unfinished = run("a/", 0);
        unfinished["invocations"] = json!([{"executionSuccessful": false}]);
        assert!(package(vec![run("b/", 0), unfinished]).unwrap().is_unfinished);
    }
}
