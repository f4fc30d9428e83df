//! The layers of a sweep as files, one for each of many machines: which blobs, and where they can be had. No login is in
//! them, and nothing of what is in the layers.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::job::Job;
use super::terms::{Difference, Terms};

/// The form of the files.
const SCHEMA: &str = "layersift.shard/1";

/// 1 GiB: a line is a few hundred bytes, so this is some millions of layers.
const MAX_BYTES: u64 = 1 << 30;

/// A part of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its number, from 0.
    pub number: usize,
    /// How many there are.
    pub of: usize,
    /// What is to be read.
    pub jobs: Vec<Job>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    schema: String,
    shard: usize,
    of: usize,
    layers: usize,
    #[serde(flatten)]
    terms: Terms,
}

/// Why a file is no shard that can be read here.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It was made on other terms.
    #[error("`{}` was made with {difference}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// In what they differ.
        difference: Difference,
    },
    /// A file or folder cannot be read or written.
    #[error("cannot use `{}`", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is something else.
    #[error("`{}` is no shard of a plan: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl Shard {
    /// Deals out jobs, so that all shards have about the same number of bytes, and each of them first what is first.
    pub fn deal(jobs: Vec<Job>, shards: usize) -> Vec<Self> {
        let of = shards.max(1);
        let mut dealt: Vec<Self> = (0..of)
            .map(|number| Self {
                number,
                of,
                jobs: Vec::new(),
            })
            .collect();
        let mut order: Vec<usize> = (0..jobs.len()).collect();
        order.sort_by_key(|index| std::cmp::Reverse(jobs[*index].size));
        let mut burden: std::collections::BinaryHeap<_> =
            (0..of).map(|number| std::cmp::Reverse((0, number))).collect();
        let mut of_job = vec![0; jobs.len()];
        for index in order {
            let std::cmp::Reverse((bytes, number)) = burden.pop().expect("there is one shard at least");
            of_job[index] = number;
            // A request is a burden too.
            let burden_of_job = jobs[index].size.unwrap_or(0).saturating_add(1);
            burden.push(std::cmp::Reverse((burden_of_job.saturating_add(bytes), number)));
        }
        for (job, number) in jobs.into_iter().zip(of_job) {
            dealt[number].jobs.push(job);
        }
        dealt
    }

    /// The file of a shard in the folder of its plan.
    pub fn file(folder: &Path, number: usize) -> PathBuf {
        folder.join(format!("shard-{number:05}.jsonl"))
    }

    /// Writes it into the folder of its plan.
    ///
    /// *Errors*: where that is not possible.
    pub fn write(&self, folder: &Path, terms: &Terms) -> Result<PathBuf, PlanError> {
        let path = Self::file(folder, self.number);
        let write = || {
            let mut bytes = Vec::new();
            let head = Head {
                schema: SCHEMA.to_owned(),
                shard: self.number,
                of: self.of,
                layers: self.jobs.len(),
                terms: terms.clone(),
            };
            serde_json::to_writer(&mut bytes, &head)?;
            bytes.push(b'\n');
            for job in &self.jobs {
                serde_json::to_writer(&mut bytes, job)?;
                bytes.push(b'\n');
            }
            whole(&path, &bytes)
        };
        match write() {
            Ok(()) => Ok(path),
            Err(source) => Err(PlanError::Io { path, source }),
        }
    }

    /// Reads a file that was written by [`Shard::write`].
    ///
    /// *Errors*: where it is none, is cut off, or was made on other terms.
    pub fn read(path: &Path, terms: &Terms) -> Result<Self, PlanError> {
        let io = |source| PlanError::Io {
            path: path.to_path_buf(),
            source,
        };
        let malformed = |why: String| PlanError::Malformed {
            path: path.to_path_buf(),
            why,
        };
        if fs::metadata(path).map_err(io)?.len() > MAX_BYTES {
            return Err(malformed(format!("it has more than {MAX_BYTES} bytes")));
        }
        let text = fs::read_to_string(path).map_err(io)?;
        let mut lines = text.lines();
        let head: Head = serde_json::from_str(lines.next().unwrap_or_default())
            .map_err(|error| malformed(error.to_string()))?;
        if head.schema != SCHEMA {
            let schema = crate::text::escape(head.schema.as_bytes());
            return Err(malformed(format!("its schema is `{schema}`, not `{SCHEMA}`")));
        }
        terms
            .agree(&head.terms)
            .map_err(|difference| PlanError::Foreign {
                path: path.to_path_buf(),
                difference,
            })?;
        let jobs: Vec<Job> = lines
            .enumerate()
            .map(|(index, line)| {
                serde_json::from_str(line).map_err(|error| malformed(format!("line {}: {error}", index + 2)))
            })
            .collect::<Result<_, _>>()?;
        if jobs.len() != head.layers {
            return Err(malformed(format!(
                "it has {} layers of {}",
                jobs.len(),
                head.layers
            )));
        }
        Ok(Self {
            number: head.shard,
            of: head.of,
            jobs,
        })
    }
}

/// Writes a file that is there whole or not at all.
///
/// *Errors*: where it cannot be written. What was there is left as it was.
pub fn whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::job::Place;
    use super::*;
    use crate::oci::Digest;

    fn job(number: u64, size: u64) -> Job {
        Job {
            digest: Digest::of(&number.to_le_bytes()),
            size: Some(size),
            media_type: "application/vnd.oci.image.layer.v1.tar".to_owned(),
            places: vec![Place {
                host: "registry.example.com".to_owned(),
                repository: "app".to_owned(),
            }],
        }
    }

    fn terms(rules: &str) -> Terms {
        Terms {
            rules: rules.to_owned(),
            key: "k".to_owned(),
            limits: "l".to_owned(),
        }
    }

    proptest! {
        #[test]
        fn shards_have_every_job_once_and_no_shard_is_far_above_the_others(
            sizes in proptest::collection::vec(0_u64..1000, 0..60),
            shards in 1_usize..8,
        ) {
            let jobs: Vec<Job> = sizes.iter().enumerate().map(|(n, size)| job(n as u64, *size)).collect();
            let dealt = Shard::deal(jobs.clone(), shards);
            prop_assert_eq!(dealt.len(), shards);
            let mut all: Vec<&Job> = dealt.iter().flat_map(|shard| &shard.jobs).collect();
            all.sort_by(|a, b| a.digest.cmp(&b.digest));
            let mut expected: Vec<&Job> = jobs.iter().collect();
            expected.sort_by(|a, b| a.digest.cmp(&b.digest));
            prop_assert_eq!(all, expected);
            let burden = |shard: &Shard| -> u64 { shard.jobs.iter().map(|job| job.size.unwrap() + 1).sum() };
            let most = dealt.iter().map(burden).max().unwrap_or(0);
            let least = dealt.iter().map(burden).min().unwrap_or(0);
            let largest = sizes.iter().max().map_or(0, |size| size + 1);
            prop_assert!(most - least <= largest, "{} and {}", most, least);
        }
    }

    #[test]
    fn a_shard_is_read_back_and_one_of_other_terms_or_cut_off_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let shard = Shard {
            number: 3,
            of: 4,
            jobs: vec![job(1, 10), job(2, 20)],
        };
        let path = shard.write(folder.path(), &terms("a")).unwrap();
        assert_eq!(Shard::read(&path, &terms("a")).unwrap(), shard);
        assert!(matches!(
            Shard::read(&path, &terms("b")),
            Err(PlanError::Foreign {
                difference: Difference::Rules,
                ..
            })
        ));
        let text = fs::read_to_string(&path).unwrap();
        let cut = text.trim_end().rsplit_once('\n').unwrap().0;
        fs::write(&path, cut).unwrap();
        let error = Shard::read(&path, &terms("a")).unwrap_err();
        assert!(error.to_string().contains("1 layers of 2"), "{error}");
        fs::write(&path, "{}").unwrap();
        assert!(matches!(
            Shard::read(&path, &terms("a")),
            Err(PlanError::Malformed { .. })
        ));
    }
}
