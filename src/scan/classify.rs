//! Finds out the class of each file that holds a candidate, from the package databases and the paths of all layers of
//! an image, and moves confidence for it, for the life of the file and for who shares its layer. Hides nothing: what is
//! lowered is in the report, with its reason.
//!
//! A database in any layer counts, whatever layer the file is in: what a package once promised of a content stays true.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::finding::{Area, FileClass, Occurrence, Package, PackageState, PackageSystem, Status, Tree};
use crate::layer::LayerRecord;
use crate::layer::owner::{Compared, ContentDigest, Owner, Promise, System};
use crate::resolve::Member;
use crate::rules::{Confidence, Evidence, Rule, SecretKind};
use crate::text::escape;

use super::pairs::Hit;

/// The class of a file, and whether it says that its content was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) class: FileClass,
    /// Whether confidence is lowered for it. Never for a file that was changed after its package brought it or that a
    /// later layer deletes: somebody meant something by that.
    pub(super) is_published: bool,
}

type Records<'r> = &'r [Option<&'r Arc<LayerRecord>>];

/// The standing of each of these members. Cost: one pass over all paths of the image.
pub(super) fn standings(records: Records<'_>, lives: &HashMap<Member, Status>) -> HashMap<Member, Standing> {
    let mut wanted = HashSet::new();
    let paths: Vec<(Member, Vec<u8>)> = lives
        .keys()
        .filter_map(|member| Some((*member, path_of(records, *member)?)))
        .collect();
    for (_, path) in &paths {
        wanted.extend(markers(path));
        wanted.extend(module(path).into_iter().flat_map(|module| module.licences(path)));
        wanted.extend(source(path));
        for subject in [Some(path.clone()), source(path)].into_iter().flatten() {
            let owners = claims(records, &subject).map(|(owner, _)| owner);
            wanted.extend(owners.flat_map(|owner| [direct_url(owner), copyright(owner)]));
        }
    }
    let image = Image {
        records,
        present: present(records, wanted),
    };
    paths
        .into_iter()
        .map(|(member, path)| (member, image.standing(member, &path, &lives[&member])))
        .collect()
}

/// Lowers the confidence of a hit in published content.
///
/// One step for what packages are known to have leaked: tokens, and keys of companies in what they build for themselves.
/// Two for what a person chose, which in a package is an example; for keys in what an open package published; for all that
/// a distribution published, where everybody reads it and nobody's own key can work; and for everything in tests and
/// documentation. A token whose checksum is right loses one step wherever it is.
pub(super) fn lower(rule: &Rule, hit: &mut Hit) {
    let occurrence = &mut hit.occurrence;
    let Some(class) = &occurrence.class else { return };
    let is_illustration = matches!(class.area, Area::Documentation | Area::Test);
    let is_example = rule.kind == SecretKind::Guessable && !is_settings(&occurrence.origin);
    let has = |evidence| hit.evidence.contains(&evidence);
    // Parsed, but not paired: private keys, JSON web tokens.
    let is_public = is_public(&class.tree) && has(Evidence::Parsed) && !has(Evidence::Paired);
    let is_distributed =
        is_distributed(&class.tree) && !has(Evidence::Paired) && !is_settings(&occurrence.origin);
    let is_worthless = is_illustration || is_example || is_public || is_distributed;
    let steps = if is_worthless && !has(Evidence::Checksum) {
        2
    } else {
        1
    };
    let confidence = match (occurrence.confidence, steps) {
        (Confidence::High, 1) => Confidence::Medium,
        _ => Confidence::Low,
    };
    if confidence < occurrence.confidence {
        occurrence.confidence = confidence;
        hit.evidence.push(Evidence::Packaged);
        hit.evidence.sort_unstable();
    }
}

/// Raises the confidence of a hit in a file that somebody put into the image and that a later layer deletes. Not where the
/// value itself says that it is worth little, and not what is of low confidence: whole folders of sources and caches are
/// deleted, and what in them only looks like a secret is no surer for it.
pub(super) fn raise(hit: &mut Hit) {
    let occurrence = &mut hit.occurrence;
    let is_own = occurrence
        .class
        .as_ref()
        .is_some_and(|class| class.tree == Tree::Application && class.area == Area::Ordinary);
    let is_deleted = matches!(occurrence.status, Status::Deleted { .. });
    let is_weak = hit.evidence.iter().any(|evidence| {
        matches!(
            evidence,
            Evidence::Encrypted
                | Evidence::Expired
                | Evidence::Patterned
                | Evidence::PublicTestKey
                | Evidence::Sample
                | Evidence::TestMode
                | Evidence::Unpaired
        )
    });
    if is_own && is_deleted && !is_weak && occurrence.confidence == Confidence::Medium {
        occurrence.confidence = Confidence::High;
        hit.evidence.push(Evidence::Deleted);
        hit.evidence.sort_unstable();
    }
}

/// Lowers what was found in a file of a layer that images of several repositories have, unless it is proven. One step
/// and never below medium: what is shared is as likely a company's own base image, secrets and all.
pub(super) fn lower_shared(occurrence: &mut Occurrence, evidence: &mut Vec<Evidence>) {
    let is_proven = evidence
        .iter()
        .any(|evidence| matches!(evidence, Evidence::Checksum | Evidence::Paired | Evidence::Parsed));
    if occurrence.confidence == Confidence::High && !is_proven {
        occurrence.confidence = Confidence::Medium;
        evidence.push(Evidence::Shared);
        evidence.sort_unstable();
    }
}

/// Whether the content was published for everybody to read.
fn is_public(tree: &Tree) -> bool {
    match tree {
        Tree::Application => false,
        Tree::Package { package, state } => {
            let is_kept = match state {
                PackageState::Compiled | PackageState::Unmodified => true,
                // The go command compares what it downloads with a public log, and makes it read-only.
                PackageState::Unhashed => package.system == PackageSystem::Go,
                _ => false,
            };
            package.is_open && is_kept
        }
        Tree::Runtime { .. } => true,
    }
}

/// Whether a distribution's package with an open licence brought the content, by its hash. Those of languages are not
/// asked: companies publish what is theirs in the same way.
fn is_distributed(tree: &Tree) -> bool {
    let is_of_distribution = matches!(
        tree,
        Tree::Package { package, .. }
            if matches!(package.system, PackageSystem::Apk | PackageSystem::Dpkg | PackageSystem::Rpm)
    );
    is_of_distribution && is_public(tree)
}

/// Whether a file is one that people put their own values in, such as `.env`: packages were published with theirs.
fn is_settings(origin: &crate::finding::Origin) -> bool {
    match origin {
        crate::finding::Origin::File { path, .. } => name(&path.0).starts_with(b"."),
        _ => false,
    }
}

struct Image<'r> {
    records: Records<'r>,
    /// Where each path that was asked for is.
    present: HashMap<Vec<u8>, Vec<Member>>,
}

impl Image<'_> {
    fn standing(&self, member: Member, path: &[u8], life: &Status) -> Standing {
        let (tree, from) = self.tree(member, path);
        let area = match Area::of(path) {
            area @ (Area::Database | Area::LockFile) => area,
            _ => Area::of(&path[from..]),
        };
        let is_published = match &tree {
            Tree::Application => false,
            Tree::Runtime { .. } => *life == Status::Present,
            Tree::Package { state, .. } => match (state, life) {
                (
                    PackageState::Compiled | PackageState::Unhashed | PackageState::Unmodified,
                    Status::Present,
                ) => true,
                // Manuals of 15 MB exist, and nobody edits them in place.
                (PackageState::Uncompared, Status::Present) => area == Area::Documentation,
                // Another version of the package took its place.
                (PackageState::Unmodified, Status::Overwritten { by }) => {
                    *by != member.0 + 1
                        && self
                            .records
                            .get(by.wrapping_sub(1))
                            .copied()
                            .flatten()
                            .is_some_and(|record| record.ownership.claims(path).next().is_some())
                }
                _ => false,
            },
        };
        Standing {
            class: FileClass { tree, area },
            is_published,
        }
    }

    /// What brought the file, and where in its path that begins.
    fn tree(&self, member: Member, path: &[u8]) -> (Tree, usize) {
        self.claimed(member, path)
            .or_else(|| self.module(path))
            .or_else(|| self.runtime(path))
            .unwrap_or((Tree::Application, 0))
    }

    fn claimed(&self, member: Member, path: &[u8]) -> Option<(Tree, usize)> {
        // A compiled module is in no database, but it is beside its source.
        let source = source(path).and_then(|source| {
            let members = self.present.get(&source)?;
            let same_layer = members.iter().rev().find(|other| other.0 == member.0);
            Some((source, *same_layer.or(members.last())?))
        });
        let claim = |subject: &[u8], member: Member, unknown: PackageState| {
            let digest = digest_of(self.records, member);
            claims(self.records, subject)
                .map(|(owner, promise)| (state(digest, promise, unknown), owner))
                .max_by_key(|(state, _)| rank(*state))
        };
        let (state, owner) = claim(path, member, PackageState::Uncompared).or_else(|| {
            let (source, member) = source?;
            let (state, owner) = claim(&source, member, PackageState::Unhashed)?;
            let state = match state {
                PackageState::Unmodified => PackageState::Compiled,
                state => state,
            };
            Some((state, owner))
        })?;
        let is_local = owner.system == System::Python
            && !matches!(state, PackageState::Modified | PackageState::Uncompared)
            && self.present.contains_key(&direct_url(owner));
        let below = match owner.system {
            System::Python => parent(&owner.notes).len(),
            System::Apk | System::Dpkg | System::Rpm => 0,
        };
        let from = if path.starts_with(parent(&owner.notes)) {
            below
        } else {
            0
        };
        let package = Package {
            system: match owner.system {
                System::Apk => PackageSystem::Apk,
                System::Dpkg => PackageSystem::Dpkg,
                System::Python => PackageSystem::Python,
                System::Rpm => PackageSystem::Rpm,
            },
            name: escape(&owner.name),
            version: Some(escape(&owner.version)).filter(|version| !version.is_empty()),
            is_open: self.is_open(owner),
        };
        let state = if is_local { PackageState::Local } else { state };
        Some((Tree::Package { package, state }, from))
    }

    fn is_open(&self, owner: &Owner) -> bool {
        match owner.system {
            System::Apk | System::Rpm => owner.is_open,
            System::Dpkg => self.present.contains_key(&copyright(owner)),
            System::Python => {
                let mut records = self.records.iter().copied().flatten();
                records.any(|record| record.ownership.is_open(&owner.notes))
            }
        }
    }

    fn module(&self, path: &[u8]) -> Option<(Tree, usize)> {
        let module = module(path)?;
        if let Some(marker) = &module.marker
            && !self.present.contains_key(marker)
        {
            return None;
        }
        let package = Package {
            system: module.system,
            name: escape(module.name),
            version: module.version.map(escape),
            is_open: module
                .licences(path)
                .any(|licence| self.present.contains_key(&licence)),
        };
        let state = PackageState::Unhashed;
        Some((Tree::Package { package, state }, module.from))
    }

    fn runtime(&self, path: &[u8]) -> Option<(Tree, usize)> {
        runtimes(path)
            .find(|(_, marker, _)| self.present.contains_key(marker))
            .map(|(language, _, from)| (Tree::Runtime { language }, from))
    }
}

fn state(digest: Option<ContentDigest>, promise: Promise, unknown: PackageState) -> PackageState {
    match digest.map(|digest| digest.compare(promise)) {
        Some(Compared::Different) => PackageState::Modified,
        Some(Compared::NoHash) => PackageState::Unhashed,
        Some(Compared::Same) => PackageState::Unmodified,
        None => unknown,
    }
}

/// Several packages, or versions of one, may claim a path: what is the same as one of them is unmodified, and what is
/// like none is modified even if another package keeps no hash.
fn rank(state: PackageState) -> u8 {
    match state {
        PackageState::Unmodified => 3,
        PackageState::Modified => 2,
        PackageState::Unhashed => 1,
        PackageState::Compiled | PackageState::Local | PackageState::Uncompared => 0,
    }
}

fn path_of(records: Records<'_>, (layer, entry): Member) -> Option<Vec<u8>> {
    let record = records.get(layer).copied().flatten()?;
    Some(record.paths.row(entry)?.path.into_owned())
}

/// The hashes of a whole file.
fn digest_of(records: Records<'_>, (layer, entry): Member) -> Option<ContentDigest> {
    let record = records.get(layer).copied().flatten()?;
    let size = record.paths.row(entry)?.size;
    let digest = record.contents.get(&entry).copied();
    digest.filter(|digest| digest.length == size)
}

fn claims<'r>(records: Records<'r>, path: &[u8]) -> impl Iterator<Item = (&'r Owner, Promise)> + use<'r> {
    let claims: Vec<(&'r Owner, Promise)> = records
        .iter()
        .copied()
        .flatten()
        .flat_map(|record| record.ownership.claims(path))
        .collect();
    claims.into_iter()
}

/// Which of these paths there are, and where.
fn present(records: Records<'_>, wanted: HashSet<Vec<u8>>) -> HashMap<Vec<u8>, Vec<Member>> {
    let mut present: HashMap<Vec<u8>, Vec<Member>> = HashMap::new();
    if wanted.is_empty() {
        return present;
    }
    for (layer, record) in records.iter().enumerate() {
        let Some(record) = record else { continue };
        let mut rows = record.paths.rows();
        while let (entry, Some(row)) = (rows.number(), rows.read()) {
            if wanted.contains(&row.path[..]) {
                present
                    .entry(row.path.into_owned())
                    .or_default()
                    .push((layer, entry));
            }
        }
    }
    present
}

/// The paths whose presence decides what this one is.
fn markers(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    module(path)
        .and_then(|module| module.marker)
        .into_iter()
        .chain(runtimes(path).map(|(_, marker, _)| marker))
}

/// What pip leaves with a distribution that did not come from an index. *Source*: PyPA, "Recording the Direct URL
/// Origin of installed distributions" (PEP 610).
fn direct_url(owner: &Owner) -> Vec<u8> {
    [&owner.notes[..], b"/direct_url.json"].concat()
}

/// The licence of a Debian package, which policy asks of every one and even images without documentation keep.
/// *Source*: Debian Policy 12.5.
fn copyright(owner: &Owner) -> Vec<u8> {
    [b"usr/share/doc/", &owner.name[..], b"/copyright"].concat()
}

/// The source of a compiled Python module: `a/__pycache__/b.cpython-312.opt-1.pyc` is of `a/b.py`.
fn source(path: &[u8]) -> Option<Vec<u8>> {
    let stem = path.strip_suffix(b".pyc")?;
    let folder = parent(stem);
    let module = name(stem);
    match folder.strip_suffix(b"__pycache__/") {
        Some(above) => {
            let module = module.split(|byte| *byte == b'.').next()?;
            Some([above, module, b".py"].concat())
        }
        None => Some([folder, module, b".py"].concat()),
    }
}

/// A module of a registry by where it lies.
struct Module<'p> {
    system: PackageSystem,
    name: &'p [u8],
    version: Option<&'p [u8]>,
    /// What must be there too.
    marker: Option<Vec<u8>>,
    /// Where in the path its own files begin.
    from: usize,
}

impl Module<'_> {
    /// Where a module of Go has its licence: the go command packs it even where the module is a part of a repository. What
    /// others write of theirs in `package.json` and the like is not read.
    fn licences(&self, path: &[u8]) -> impl Iterator<Item = Vec<u8>> + use<> {
        let root = path[..self.from].to_vec();
        let names = match self.system {
            PackageSystem::Go => &LICENCES[..],
            _ => &[],
        };
        names.iter().map(move |name| [&root[..], name].concat())
    }
}

/// What files of licences are called in most modules.
const LICENCES: [&[u8]; 5] = [b"LICENSE", b"LICENSE.md", b"LICENSE.txt", b"LICENCE", b"COPYING"];

fn module(path: &[u8]) -> Option<Module<'_>> {
    npm(path)
        .or_else(|| gem(path))
        .or_else(|| go(path))
        .or_else(|| maven(path))
}

/// `…/node_modules/NAME/…` or `…/node_modules/@SCOPE/NAME/…`, with a `package.json`.
fn npm(path: &[u8]) -> Option<Module<'_>> {
    let root = last_folder(path, b"node_modules/")?;
    let length = components(&path[root..], if path[root..].starts_with(b"@") { 2 } else { 1 })?;
    let from = root + length;
    Some(Module {
        system: PackageSystem::Npm,
        name: &path[root..from - 1],
        version: None,
        marker: Some([&path[..from], b"package.json"].concat()),
        from,
    })
}

/// `…/gems/NAME-VERSION/…`, with a file beside `gems` that specifies it.
fn gem(path: &[u8]) -> Option<Module<'_>> {
    let root = last_folder(path, b"gems/")?;
    let from = root + components(&path[root..], 1)?;
    let full_name = &path[root..from - 1];
    let above = &path[..root - b"gems/".len()];
    let dash = full_name
        .windows(2)
        .position(|two| two[0] == b'-' && two[1].is_ascii_digit())?;
    Some(Module {
        system: PackageSystem::Gem,
        name: &full_name[..dash],
        version: Some(&full_name[dash + 1..]),
        marker: Some([above, b"specifications/", full_name, b".gemspec"].concat()),
        from,
    })
}

/// `…/pkg/mod/MODULE@VERSION/…`, or `…/HOST.TLD/…@VERSION/…` with a `go.mod`, where `GOMODCACHE` is another folder.
fn go(path: &[u8]) -> Option<Module<'_>> {
    let cache = last_folder(path, b"pkg/mod/");
    let at = cache.unwrap_or(0);
    let at = at + path[at..].windows(2).position(|two| two == b"@v")?;
    let from = at + components(&path[at..], 1)?;
    let root = match cache {
        Some(cache) => cache,
        None => host(&path[..at])?,
    };
    Some(Module {
        system: PackageSystem::Go,
        name: &path[root..at],
        version: Some(&path[at + 1..from - 1]),
        marker: cache.is_none().then(|| [&path[..from], b"go.mod"].concat()),
        from,
    })
}

/// Where the last component of a path begins that could be the name of a host.
fn host(path: &[u8]) -> Option<usize> {
    let starts = memchr::memrchr_iter(b'/', path).map(|slash| slash + 1).chain([0]);
    let component = |start: &usize| {
        path[*start..]
            .split(|byte| *byte == b'/')
            .next()
            .unwrap_or_default()
    };
    starts
        .skip(1)
        .find(|start| memchr::memchr(b'.', component(start)).is_some_and(|dot| dot > 0))
}

/// `….m2/repository/GROUP/ARTIFACT/VERSION/FILE`.
fn maven(path: &[u8]) -> Option<Module<'_>> {
    let root = last_folder(path, b".m2/repository/")?;
    let mut words = path[root..].rsplitn(4, |byte| *byte == b'/');
    let (file, version, artifact) = (words.next()?, words.next()?, words.next()?);
    words.next()?;
    // What Maven puts there is named after the folders it is in.
    let is_own = file
        .strip_prefix(artifact)
        .and_then(|rest| rest.strip_prefix(b"-"))
        .is_some_and(|rest| rest.starts_with(version));
    is_own.then_some(Module {
        system: PackageSystem::Maven,
        name: artifact,
        version: Some(version),
        marker: None,
        from: path.len() - file.len(),
    })
}

/// For each folder above a path that could be the standard library of a language: the file that makes it one, and
/// where what is in it begins.
fn runtimes(path: &[u8]) -> impl Iterator<Item = (&'static str, Vec<u8>, usize)> {
    let folders = path
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'/')
        .map(|(slash, _)| slash + 1);
    folders.filter_map(move |from| {
        let (root, rest) = path.split_at(from);
        let is_foreign = rest.starts_with(b"site-packages/") || rest.starts_with(b"dist-packages/");
        if name(&root[..from - 1]).starts_with(b"python") && !is_foreign {
            return Some(("Python", [root, b"os.py"].concat(), from));
        }
        let is_go = rest.starts_with(b"src/") || rest.starts_with(b"test/");
        is_go.then(|| ("Go", [root, b"src/runtime/proc.go"].concat(), from))
    })
}

/// Where the last folder of this name ends, if there is one.
fn last_folder(path: &[u8], folder: &[u8]) -> Option<usize> {
    let is_start = |at: &usize| *at == 0 || path[at - 1] == b'/';
    let ends = path.windows(folder.len()).enumerate().rev();
    ends.filter(|(_, window)| *window == folder)
        .map(|(at, _)| at)
        .find(is_start)
        .map(|at| at + folder.len())
}

/// The length of the first `count` components with their slashes, if something follows them.
fn components(path: &[u8], count: usize) -> Option<usize> {
    let mut slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes.nth(count - 1).map(|(slash, _)| slash + 1)
}

/// The folder of a path, with its slash.
fn parent(path: &[u8]) -> &[u8] {
    &path[..path.len() - name(path).len()]
}

fn name(path: &[u8]) -> &[u8] {
    let start = path
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |slash| slash + 1);
    &path[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// System, name, version, marker, and the path inside.
    fn module_of(path: &str) -> Option<(&'static str, String, String, String, String)> {
        let module = module(path.as_bytes())?;
        Some((
            module.system.name(),
            text(module.name),
            module.version.map(text).unwrap_or_default(),
            module.marker.map(|marker| text(&marker)).unwrap_or_default(),
            path[module.from..].to_owned(),
        ))
    }

    #[test]
    fn modules_are_told_from_where_they_lie() {
        let of = |parts: (&'static str, &str, &str, &str, &str)| {
            let owned = |text: &str| text.to_owned();
            Some((
                parts.0,
                owned(parts.1),
                owned(parts.2),
                owned(parts.3),
                owned(parts.4),
            ))
        };
        for (path, expected) in [
            (
                "srv/node_modules/a/node_modules/public-encrypt/test/ec.priv",
                of((
                    "npm",
                    "public-encrypt",
                    "",
                    "srv/node_modules/a/node_modules/public-encrypt/package.json",
                    "test/ec.priv",
                )),
            ),
            (
                "node_modules/@acme/test/index.js",
                of((
                    "npm",
                    "@acme/test",
                    "",
                    "node_modules/@acme/test/package.json",
                    "index.js",
                )),
            ),
            (
                "usr/local/bundle/gems/puma-dev-6.4.2/examples/key.pem",
                of((
                    "gem",
                    "puma-dev",
                    "6.4.2",
                    "usr/local/bundle/specifications/puma-dev-6.4.2.gemspec",
                    "examples/key.pem",
                )),
            ),
            (
                "root/go/pkg/mod/example.com/acme/lib@v1.2.3/testdata/key.pem",
                of(("go", "example.com/acme/lib", "v1.2.3", "", "testdata/key.pem")),
            ),
            (
                "var/cache/mod/gopkg.in/acme.v3@v3.0.1/conn.go",
                of((
                    "go",
                    "gopkg.in/acme.v3",
                    "v3.0.1",
                    "var/cache/mod/gopkg.in/acme.v3@v3.0.1/go.mod",
                    "conn.go",
                )),
            ),
            ("srv/releases/acme@v3.0.1/conn.go", None),
            (
                "root/.m2/repository/com/acme/lib/1.0/lib-1.0.jar",
                of(("maven", "lib", "1.0", "", "lib-1.0.jar")),
            ),
            ("root/.m2/repository/com/acme/lib/1.0/settings.xml", None),
            ("srv/my_node_modules/a/key.pem", None),
            ("srv/node_modules/.env", None),
            ("srv/gems/key.pem", None),
            ("srv/pkg/mod/key.pem", None),
        ] {
            assert_eq!(module_of(path), expected, "{path}");
        }
    }

    #[test]
    fn a_compiled_module_has_its_source_beside_it() {
        let source = |path: &str| source(path.as_bytes()).map(|source| text(&source));
        assert_eq!(
            source("a/__pycache__/b.cpython-312.opt-1.pyc").as_deref(),
            Some("a/b.py")
        );
        assert_eq!(source("__pycache__/b.cpython-312.pyc").as_deref(), Some("b.py"));
        assert_eq!(source("a/b.pyc").as_deref(), Some("a/b.py"));
        assert_eq!(source("a/b.py"), None);
    }

    #[test]
    fn a_runtime_is_told_from_a_file_of_its_own() {
        let markers = |path: &str| -> Vec<String> {
            runtimes(path.as_bytes())
                .map(|(_, marker, _)| text(&marker))
                .collect()
        };
        assert_eq!(
            markers("usr/local/lib/python3.12/test/keycert.pem"),
            ["usr/local/lib/python3.12/os.py"]
        );
        assert_eq!(
            markers("usr/local/lib/python3.12/site-packages/a.py"),
            Vec::<String>::new()
        );
        assert_eq!(
            markers("usr/local/go/src/net/url/url_test.go"),
            ["usr/local/go/src/runtime/proc.go"]
        );
        assert_eq!(markers("etc/passwd"), Vec::<String>::new());
    }
}
