//! What BuildKit's provenance of `mode=max` tells of a build: source files, and which lines made which layer. Believes
//! none of it: whether it is about an image is for whoever compares the digests. Verifies no signature.

use super::fields::decode_base64;
use super::json::{self, Json};
use super::{Digest, DocumentError};

/// The steps of one build. *Source*: BuildKit's `docs/attestations`, SLSA v1 and v0.2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The digests of what it says it is about. Empty in what a builder printed before there was an image.
    pub subjects: Vec<Digest>,
    /// The source files it embeds, in their order: the Dockerfile is the first one.
    pub sources: Vec<SourceFile>,
    /// The steps, each after those it needs.
    pub steps: Vec<BuildStep>,
    /// The target stage that was asked for.
    pub target: Option<String>,
}

/// A source file of a build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFile {
    /// Its name as the builder was given it: relative to the folder of the Dockerfile, not to any checkout.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// One step of a build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildStep {
    /// Its name: `step4`.
    pub id: String,
    /// Whether it fetches something: a base image, the context.
    pub is_source: bool,
    /// The steps whose results it takes, as `step1:0`.
    pub inputs: Vec<String>,
    /// Where the instruction stands, each a place in [`Provenance::sources`] with the first and the last line, from 1.
    pub lines: Vec<(usize, u64, u64)>,
    /// The layers of what it made, base first: one chain for each time the result was kept. The last layer of a chain is
    /// the step's own, or that of the step before where it made none.
    pub chains: Vec<Vec<Digest>>,
}

impl Provenance {
    /// Reads one statement, or every one of a metadata file that `docker buildx build --metadata-file` wrote. Those that
    /// hold no source lines, as with `mode=min`, are left out.
    ///
    /// *Errors*: [`DocumentError::Malformed`] where the bytes are no JSON.
    pub fn parse_all(bytes: &[u8]) -> Result<Vec<Provenance>, DocumentError> {
        let read = json::read(bytes).map_err(|reason| DocumentError::Malformed { reason })?;
        let mut all = Vec::new();
        statement(&read.json, &mut all);
        for (name, value) in read.json.members() {
            // `buildx.build.provenance`, or one for each platform: `buildx.build.provenance/linux/arm64`.
            if name.starts_with("buildx.build.provenance") {
                statement(value, &mut all);
            } else if name == "payload" || name == "dsseEnvelope" {
                let envelope = if name == "payload" { &read.json } else { value };
                let payload = last(envelope, &["payload"]).and_then(Json::text);
                if let Some(inner) = payload.and_then(decode_base64)
                    && let Ok(inner) = json::read(&inner)
                {
                    statement(&inner.json, &mut all);
                }
            }
        }
        Ok(all)
    }

    /// Every layer that the build made or started from.
    pub fn layers(&self) -> impl Iterator<Item = &Digest> {
        self.steps.iter().flat_map(|step| &step.chains).flatten()
    }
}

/// Reads a statement, or a predicate without one, as buildx prints it.
fn statement(json: &Json, all: &mut Vec<Provenance>) {
    let predicate = last(json, &["predicate"]).unwrap_or(json);
    let v1 = [
        "buildDefinition",
        "internalParameters",
        "buildConfig",
        "llbDefinition",
    ];
    let definition = last(predicate, &v1).or_else(|| last(predicate, &["buildConfig", "llbDefinition"]));
    let metadata = last(predicate, &["runDetails", "metadata", "buildkit_metadata"]).or_else(|| {
        let v02 = "https://mobyproject.org/buildkit@v1#metadata";
        last(predicate, &["metadata", v02])
    });
    let (Some(definition), Some(metadata)) = (definition, metadata) else {
        return;
    };
    let mut provenance = Provenance::default();
    let parameters = ["buildDefinition", "externalParameters", "request", "args"];
    let arguments =
        last(predicate, &parameters).or_else(|| last(predicate, &["invocation", "parameters", "args"]));
    provenance.target = arguments
        .and_then(|arguments| last(arguments, &["target"]))
        .and_then(Json::text)
        .map(str::to_owned);
    for subject in last(json, &["subject"]).map(Json::items).unwrap_or_default() {
        for (algorithm, value) in last(subject, &["digest"]).map(Json::members).unwrap_or_default() {
            let digest = value.text().map(|hex| format!("{algorithm}:{hex}"));
            provenance
                .subjects
                .extend(digest.and_then(|text| Digest::parse(&text).ok()));
        }
    }
    for file in last(metadata, &["source", "infos"])
        .map(Json::items)
        .unwrap_or_default()
    {
        let text = |key| last(file, &[key]).and_then(Json::text);
        let bytes = text("data").and_then(decode_base64).unwrap_or_default();
        provenance.sources.push(SourceFile {
            name: text("filename").unwrap_or_default().to_owned(),
            text: String::from_utf8_lossy(&bytes).into_owned(),
        });
    }
    let locations = last(metadata, &["source", "locations"]);
    let layers = last(metadata, &["layers"]);
    for step in definition.items() {
        let Some(id) = last(step, &["id"]).and_then(Json::text) else {
            continue;
        };
        // Both spellings were seen: with the name of the kind, and without.
        let source = last(step, &["op", "Op", "source"]).or_else(|| last(step, &["op", "source"]));
        let inputs = last(step, &["inputs"]).map(Json::items).unwrap_or_default();
        provenance.steps.push(BuildStep {
            id: id.to_owned(),
            is_source: source.is_some(),
            inputs: inputs.iter().filter_map(Json::text).map(str::to_owned).collect(),
            lines: lines(locations.and_then(|all| last(all, &[id]))),
            chains: Vec::new(),
        });
    }
    for (name, chains) in layers.map(Json::members).unwrap_or_default() {
        let id = name.split_once(':').map_or(name.as_str(), |(id, _)| id);
        let Some(step) = provenance.steps.iter_mut().find(|step| step.id == id) else {
            continue;
        };
        for chain in chains.items() {
            let digest = |layer| last(layer, &["digest"]).and_then(Json::text);
            let read: Option<Vec<Digest>> = (chain.items().iter())
                .map(|layer| Digest::parse(digest(layer)?).ok())
                .collect();
            // A chain with a hole says nothing of which layer is the last.
            step.chains.extend(read.filter(|chain| !chain.is_empty()));
        }
    }
    all.push(provenance);
}

/// The ranges of a step. BuildKit writes one for each line of an instruction, and leaves out what is zero.
fn lines(locations: Option<&Json>) -> Vec<(usize, u64, u64)> {
    let mut lines = Vec::new();
    let locations = locations
        .and_then(|step| last(step, &["locations"]))
        .map(Json::items);
    for location in locations.unwrap_or_default() {
        let source = number(location, &["sourceIndex"]).unwrap_or(0);
        let ranges = last(location, &["ranges"]).map(Json::items).unwrap_or_default();
        let starts = ranges
            .iter()
            .filter_map(|range| number(range, &["start", "line"]));
        let ends = ranges.iter().filter_map(|range| number(range, &["end", "line"]));
        if let (Some(first), Some(end), Ok(source)) = (
            starts.clone().min(),
            ends.chain(starts).max(),
            usize::try_from(source),
        ) && first > 0
        {
            lines.push((source, first, end));
        }
    }
    lines
}

fn number(json: &Json, path: &[&str]) -> Option<u64> {
    match last(json, path)? {
        Json::Unsigned(number) => Some(*number),
        _ => None,
    }
}

/// The value at the end of a path of keys; of equal keys the last, as Go reads them.
fn last<'j>(json: &'j Json, path: &[&str]) -> Option<&'j Json> {
    let mut value = json;
    for key in path {
        let found = value.members().iter().rev().find(|(name, _)| name == key);
        value = &found?.1;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn layer(name: char) -> String {
        format!("sha256:{}", name.to_string().repeat(64))
    }

    /// The part that is the same in both versions.
    fn metadata() -> String {
        format!(
            r#"{{"source":{{"infos":[{{"filename":"Dockerfile","data":"{}"}}],
            "locations":{{"step0":{{}},"step1":{{"locations":[{{"ranges":[{{"start":{{"line":2}},"end":{{"line":2}}}},
            {{"start":{{"line":3}},"end":{{"line":3}}}}]}}]}}}}}},
            "layers":{{"step1:0":[[{{"digest":"{}"}},{{"digest":"{}"}}],[{{"digest":"no digest"}}]]}}}}"#,
            STANDARD.encode("FROM a\nRUN x \\\n  y\n"),
            layer('a'),
            layer('b'),
        )
    }

    const STEPS: &str = r#"[{"id":"step0","op":{}},{"id":"step1","inputs":["step0:0"]}]"#;

    fn check(provenance: &Provenance) {
        assert_eq!(provenance.sources[0].text, "FROM a\nRUN x \\\n  y\n");
        assert_eq!(provenance.steps.len(), 2);
        let step = &provenance.steps[1];
        assert_eq!(step.inputs, ["step0:0"]);
        assert_eq!(step.lines, [(0, 2, 3)]);
        let chain: Vec<String> = step.chains[0].iter().map(ToString::to_string).collect();
        assert_eq!(chain, [layer('a'), layer('b')]);
        assert_eq!(step.chains.len(), 1);
    }

    #[test]
    fn both_versions_tell_lines_and_layers() {
        let v1 = format!(
            r#"{{"subject":[{{"digest":{{"sha256":"{}"}}}}],"predicate":{{"buildDefinition":{{"internalParameters":
            {{"buildConfig":{{"llbDefinition":{STEPS}}}}},"externalParameters":{{"request":{{"args":{{"target":"t"}}}}}}}},
            "runDetails":{{"metadata":{{"buildkit_metadata":{}}}}}}}}}"#,
            "c".repeat(64),
            metadata()
        );
        let all = Provenance::parse_all(v1.as_bytes()).unwrap();
        check(&all[0]);
        assert_eq!(all[0].subjects[0].to_string(), layer('c'));
        assert_eq!(all[0].target.as_deref(), Some("t"));

        let v02 = format!(
            r#"{{"predicate":{{"buildConfig":{{"llbDefinition":{STEPS}}},"metadata":
            {{"https://mobyproject.org/buildkit@v1#metadata":{}}}}}}}"#,
            metadata()
        );
        check(&Provenance::parse_all(v02.as_bytes()).unwrap()[0]);
    }

    #[test]
    fn a_metadata_file_of_several_platforms_has_a_provenance_for_each() {
        let predicate = format!(
            r#"{{"buildConfig":{{"llbDefinition":{STEPS}}},"metadata":
            {{"https://mobyproject.org/buildkit@v1#metadata":{}}}}}"#,
            metadata()
        );
        let file = format!(
            r#"{{"buildx.build.provenance/linux/amd64":{predicate},"buildx.build.provenance/linux/arm64":{predicate},
            "containerimage.digest":"{}"}}"#,
            layer('d')
        );
        let all = Provenance::parse_all(file.as_bytes()).unwrap();
        assert_eq!(all.len(), 2);
        check(&all[1]);
    }

    #[test]
    fn what_tells_of_no_instruction_gives_nothing() {
        for json in [
            "{}",
            "[]",
            r#"{"predicate":{"buildType":"x"}}"#,
            r#"{"buildx.build.provenance":7}"#,
        ] {
            assert_eq!(Provenance::parse_all(json.as_bytes()).unwrap(), [], "{json}");
        }
        assert!(Provenance::parse_all(b"FROM a").is_err());
    }
}
