//! What the image itself knows of a file: who brought it, and what kind of file it is.
//!
//! A class moves the confidence of what stands in the file. It never hides anything, since whoever writes the image can
//! write its package databases too. How a class is found out is not here: see [`crate::scan`].

use std::fmt;

/// What a file is, by what the image says of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileClass {
    /// Where it comes from.
    pub tree: Tree,
    /// What it is there for.
    pub area: Area,
}

/// Where a file comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tree {
    /// Nothing else claims it.
    Application,
    /// A package claims it.
    Package {
        /// Which.
        package: Package,
        /// How well the claim stands.
        state: PackageState,
    },
    /// The standard library of a language that was put there without a package manager.
    Runtime {
        /// `Go`, `Python`.
        language: &'static str,
    },
}

/// A package of a distribution or of a language's registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Package {
    /// What installed it.
    pub system: PackageSystem,
    /// Its name, escaped.
    pub name: String,
    /// Its version, escaped, where the image tells it.
    pub version: Option<String>,
    /// Whether it names an open licence, so that its content is most likely public.
    pub is_open: bool,
}

/// What installs packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PackageSystem {
    /// Alpine's apk.
    Apk,
    /// Debian's dpkg.
    Dpkg,
    /// RubyGems.
    Gem,
    /// The go command's module cache.
    Go,
    /// Maven's local repository.
    Maven,
    /// npm, and what lays out `node_modules` as it does.
    Npm,
    /// pip, and what writes the same records.
    Python,
    /// RPM: Red Hat's, SUSE's and others.
    Rpm,
}

/// How well the claim of a package to a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PackageState {
    /// The file is compiled from one that is what the package brought.
    Compiled,
    /// The file was installed from a folder, an archive or a repository of source code and not from an index: it may
    /// be the application itself.
    Local,
    /// The file is not what the package brought.
    Modified,
    /// The content could not be compared, because the file is too large.
    Uncompared,
    /// The package keeps no hash of the file.
    Unhashed,
    /// The file is what the package brought, byte for byte.
    Unmodified,
}

/// What a file is there for, as its path tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// A database of a package manager.
    Database,
    /// Documentation or an example.
    Documentation,
    /// A lock file.
    LockFile,
    /// Nothing of the others.
    #[default]
    Ordinary,
    /// A test, or data of one.
    Test,
}

impl FileClass {
    /// `application`, `package` or `runtime`: the name in reports.
    pub fn kind(&self) -> &'static str {
        match self.tree {
            Tree::Application => "application",
            Tree::Package { .. } => "package",
            Tree::Runtime { .. } => "runtime",
        }
    }
}

/// The class as a reason: `unmodified file of Debian package python3-twisted, test data`.
impl fmt::Display for FileClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = match &self.tree {
            Tree::Package { state, .. } => match state {
                PackageState::Compiled => ("compiled from an unmodified file of ", ""),
                PackageState::Local => ("file of ", ", which did not come from an index"),
                PackageState::Modified => ("file that is not as it came with ", ""),
                PackageState::Uncompared => ("file of ", ", too large to be compared"),
                PackageState::Unhashed => ("file of ", ", which keeps no hash of it"),
                PackageState::Unmodified => ("unmodified file of ", ""),
            },
            _ => ("file of ", ""),
        };
        f.write_str(before)?;
        match &self.tree {
            Tree::Application => f.write_str("no known package")?,
            Tree::Package { package, .. } => write!(f, "{package}")?,
            Tree::Runtime { language } => write!(f, "the standard library of {language}")?,
        }
        f.write_str(after)?;
        match self.area {
            Area::Database => f.write_str(", a package manager's database"),
            Area::Documentation => f.write_str(", documentation"),
            Area::LockFile => f.write_str(", a lock file"),
            Area::Ordinary => Ok(()),
            Area::Test => f.write_str(", test data"),
        }
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.system {
            PackageSystem::Apk => "Alpine package",
            PackageSystem::Dpkg => "Debian package",
            PackageSystem::Gem => "Ruby gem",
            PackageSystem::Go => "Go module",
            PackageSystem::Maven => "Maven artifact",
            PackageSystem::Npm => "npm module",
            PackageSystem::Python => "Python distribution",
            PackageSystem::Rpm => "RPM package",
        };
        write!(f, "{what} {}", self.name)?;
        match &self.version {
            Some(version) => write!(f, " {version}"),
            None => Ok(()),
        }
    }
}

impl PackageSystem {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Apk => "apk",
            Self::Dpkg => "dpkg",
            Self::Gem => "gem",
            Self::Go => "go",
            Self::Maven => "maven",
            Self::Npm => "npm",
            Self::Python => "python",
            Self::Rpm => "rpm",
        }
    }
}

impl PackageState {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Compiled => "compiled",
            Self::Local => "local",
            Self::Modified => "modified",
            Self::Uncompared => "uncompared",
            Self::Unhashed => "unhashed",
            Self::Unmodified => "unmodified",
        }
    }
}

impl Area {
    /// The name in reports; ordinary files have none.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Database => Some("package-database"),
            Self::Documentation => Some("documentation"),
            Self::LockFile => Some("lock-file"),
            Self::Ordinary => None,
            Self::Test => Some("test"),
        }
    }

    /// What a path tells, seen from the root of what brought the file: a package called `test` is no test.
    pub fn of(path: &[u8]) -> Self {
        let path = path.to_ascii_lowercase();
        let mut parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        let name = parts.pop().unwrap_or_default();
        if DATABASES.iter().any(|ending| path.ends_with(ending)) || is_dpkg_table(&parts) {
            return Self::Database;
        }
        if LOCK_FILES.contains(&name) {
            return Self::LockFile;
        }
        if parts.iter().any(|part| is_test_folder(part)) || is_test_file(name) {
            return Self::Test;
        }
        let is_document = DOCUMENT_FOLDERS.iter().any(|folder| parts.contains(folder))
            || DOCUMENT_ENDINGS.iter().any(|ending| name.ends_with(ending))
            || DOCUMENT_STARTS.iter().any(|start| name.starts_with(start))
            || is_notes(&parts, name)
            || has_example_word(name);
        if is_document {
            Self::Documentation
        } else {
            Self::Ordinary
        }
    }
}

fn is_dpkg_table(parts: &[&[u8]]) -> bool {
    parts
        .windows(2)
        .any(|two| two == [&b"dpkg"[..], b"info"] || two == [&b"dpkg"[..], b"status.d"])
}

/// The notes of a Python distribution, which hold its README.
fn is_notes(parts: &[&[u8]], name: &[u8]) -> bool {
    name == b"pkg-info"
        || name == b"metadata" && parts.last().is_some_and(|folder| folder.ends_with(b".dist-info"))
}

fn has_example_word(name: &[u8]) -> bool {
    let mut words = name.split(|byte| b"._-".contains(byte));
    // An `example` without an ending is a program; `.env.example` is filled with values by mistake too often.
    !name.starts_with(b".")
        && name.contains(&b'.')
        && words.any(|word| matches!(word, b"example" | b"examples" | b"sample" | b"samples"))
}

/// Words by themselves only: `contest`, `latest` and `attestation` are no tests.
fn is_test_folder(part: &[u8]) -> bool {
    TEST_FOLDERS.contains(&part)
        || [&b"test_"[..], b"test-", b"tests_", b"tests-"]
            .iter()
            .any(|start| part.starts_with(start))
        || [&b"_test"[..], b"-test", b"_tests", b"-tests"]
            .iter()
            .any(|end| part.ends_with(end))
}

fn is_test_file(name: &[u8]) -> bool {
    let mut words = name.split(|byte| b"._-".contains(byte));
    let is_test = |word: &[u8]| matches!(word, b"test" | b"tests" | b"testdata");
    // The first word, or the last before the ending: `test_url.py`, `url_test.go`, `url.spec.js`, `test.key`.
    let first = words.next().unwrap_or_default();
    let rest: Vec<&[u8]> = words.collect();
    let last = rest.len().checked_sub(2).map_or(first, |index| rest[index]);
    let is_spec = rest.len() >= 2 && last == b"spec";
    !rest.is_empty() && (is_test(first) || is_test(last) || is_spec) || name.starts_with(b"conftest.")
}

const DATABASES: [&[u8]; 13] = [
    b".dist-info/record",
    b".egg-info/installed-files.txt",
    b".egg-info/sources.txt",
    b"lib/apk/db/installed",
    b"lib/apk/db/scripts.tar",
    b"lib/dpkg/available",
    b"lib/dpkg/status",
    b"lib/rpm/packages",
    b"lib/rpm/packages.db",
    b"lib/rpm/rpmdb.sqlite",
    b"lib/sysimage/rpm/packages",
    b"lib/sysimage/rpm/packages.db",
    b"lib/sysimage/rpm/rpmdb.sqlite",
];

const LOCK_FILES: [&[u8]; 12] = [
    b".package-lock.json",
    b"cargo.lock",
    b"composer.lock",
    b"gemfile.lock",
    b"go.sum",
    b"npm-shrinkwrap.json",
    b"package-lock.json",
    b"pipfile.lock",
    b"pnpm-lock.yaml",
    b"poetry.lock",
    b"uv.lock",
    b"yarn.lock",
];

const TEST_FOLDERS: [&[u8]; 17] = [
    b"__fixtures__",
    b"__mocks__",
    b"__tests__",
    b"fixture",
    b"fixtures",
    b"selftest",
    b"spec",
    b"specs",
    b"test",
    b"testcert",
    b"testcerts",
    b"testdata",
    b"testing",
    b"testlib",
    b"tests",
    b"testsuite",
    b"unittests",
];

const DOCUMENT_FOLDERS: [&[u8]; 12] = [
    b"demo",
    b"demos",
    b"doc",
    b"docs",
    b"documentation",
    b"example",
    b"examples",
    b"man",
    b"sample",
    b"samples",
    b"tutorial",
    b"tutorials",
];

const DOCUMENT_ENDINGS: [&[u8]; 5] = [b".adoc", b".markdown", b".md", b".pod", b".rst"];

const DOCUMENT_STARTS: [&[u8]; 3] = [b"changelog", b"changes.", b"readme"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_tells_what_a_file_is_there_for() {
        for (path, area) in [
            ("twisted/conch/test/keydata.py", Area::Test),
            ("Crypto/SelfTest/PublicKey/test_import_ECC.py", Area::Test),
            ("src/net/url/url_test.go", Area::Test),
            ("src/crypto/tls/testdata/example-key.pem", Area::Test),
            ("lib/url.spec.js", Area::Test),
            ("test.key", Area::Test),
            ("usr/share/doc/git/contrib/netrc", Area::Documentation),
            ("README.md", Area::Documentation),
            ("data/sts/2011-06-15/examples-1.json", Area::Documentation),
            ("apis/sso-oidc-2019-06-10.examples.json", Area::Documentation),
            ("joserfc-1.8.0.dist-info/METADATA", Area::Documentation),
            ("package-lock.json", Area::LockFile),
            ("var/lib/dpkg/info/libc6:amd64.md5sums", Area::Database),
            ("pip-24.0.dist-info/RECORD", Area::Database),
        ] {
            assert_eq!(Area::of(path.as_bytes()), area, "{path}");
        }
    }

    #[test]
    fn words_that_only_contain_test_or_doc_say_nothing() {
        for path in [
            "latest/settings.py",
            "app/contest/key.pem",
            "attestation.json",
            ".env.example",
            "METADATA",
            "test",
            "spec.json",
            "docker/config.json",
            "domain/manager.py",
            "app/testament.txt",
        ] {
            assert_eq!(Area::of(path.as_bytes()), Area::Ordinary, "{path}");
        }
    }

    #[test]
    fn a_class_reads_as_a_reason() {
        let class = |state, area| FileClass {
            tree: Tree::Package {
                package: Package {
                    system: PackageSystem::Dpkg,
                    name: "python3-twisted".to_owned(),
                    version: None,
                    is_open: true,
                },
                state,
            },
            area,
        };
        assert_eq!(
            class(PackageState::Unmodified, Area::Test).to_string(),
            "unmodified file of Debian package python3-twisted, test data"
        );
        assert_eq!(
            class(PackageState::Modified, Area::Ordinary).to_string(),
            "file that is not as it came with Debian package python3-twisted"
        );
    }
}
