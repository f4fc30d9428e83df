//! Every text of a JSON document with its place, so that a secret is found wherever a builder wrote it. Knows
//! which fields are environment, commands and labels; leaves out numbers, and judges nothing.

use base64::Engine as _;

use super::json::{self, Json, join, same_key};
use super::media_type::{Claim, claim};
use super::{ConfigField, Digest};

/// Every text of the JSON document `bytes`, with places below `root` (which may be empty).
///
/// Environment entries are `KEY=value`, labels and annotations `key=value`, the words of a command are joined by
/// spaces, and a text under a key that no specification knows is `key=value` too, so that rules see its name.
/// The base64 of a descriptor's `data` is decoded. Digests and media types
/// known by name are left out. Bytes that are no JSON are one text; so are bytes behind the
/// document. *Limits*: beyond 100,000 texts the rest is given as one.
pub fn fields(root: &str, bytes: &[u8]) -> Vec<ConfigField> {
    let mut collector = Collector::new(root);
    match json::read(bytes) {
        Ok(read) => {
            collector.value(root, "", &read.json);
            if !read.trailing.is_empty() {
                collector.push(&join(root, "trailing"), &String::from_utf8_lossy(read.trailing));
            }
        }
        Err(_) => collector.push(
            if root.is_empty() { "document" } else { root },
            &String::from_utf8_lossy(bytes),
        ),
    }
    collector.fields
}

/// Gathers the texts of one document.
pub(super) struct Collector {
    pub(super) fields: Vec<ConfigField>,
    root: String,
    /// The Dockerfiles that an in-toto statement embeds, seen so far.
    dockerfiles: usize,
}

impl Collector {
    pub(super) fn new(root: &str) -> Self {
        Self {
            fields: Vec::new(),
            root: root.to_owned(),
            dockerfiles: 0,
        }
    }

    pub(super) fn push(&mut self, place: &str, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        let full = self.fields.len() > TEXTS;
        match self.fields.last_mut().filter(|_| full) {
            Some(last) => {
                last.text.push('\n');
                last.text.push_str(text);
            }
            None => {
                let place = match place {
                    _ if self.fields.len() == TEXTS => self.root.as_str(),
                    // The document itself, or a key of it.
                    "" => "document",
                    place => place,
                };
                self.fields.push(ConfigField {
                    place: place.to_owned(),
                    text: text.to_owned(),
                });
            }
        }
    }

    /// Adds the texts of `value`, which stands at `place` under `key`.
    pub(super) fn value(&mut self, place: &str, key: &str, value: &Json) {
        match value {
            Json::Array(items) => self.array(place, key, items),
            Json::Object(members) => self.object(place, key, members),
            // A digest is no secret, and every rule for hex would stumble over it.
            Json::Text(text) if Digest::parse(text).is_ok_and(|digest| digest.algorithm().is_some()) => {}
            Json::Text(text) if same_key(key, "mediaType") && claim(text) != Claim::Other => {}
            Json::Text(text) if same_key(key, "data") => self.embedded(place, text),
            Json::Text(text) if key.is_empty() || is_any(key, KNOWN) => self.push(place, text),
            Json::Text(text) => self.push(place, &format!("{key}={text}")),
            Json::Bool(_) | Json::Float(_) | Json::Negative | Json::Null | Json::Unsigned(_) => {}
        }
    }

    fn object(&mut self, place: &str, key: &str, members: &[(String, Json)]) {
        let is_map = is_any(key, MAPS);
        for (name, value) in members {
            if let (true, Json::Text(text)) = (is_map, value) {
                self.push(place, &format!("{name}={text}"));
                continue;
            }
            // The names of volumes, ports and the like are as free as values.
            if !matches!(value, Json::Text(_)) && !is_identifier(name) {
                self.push(place, name);
            }
            self.value(&join(place, name), name, value);
        }
    }

    fn array(&mut self, place: &str, key: &str, items: &[Json]) {
        let words = || items.iter().filter_map(Json::text);
        let only_text = items.iter().all(|item| item.text().is_some());
        if only_text && is_any(key, COMMANDS) {
            self.push(place, &words().collect::<Vec<_>>().join(" "));
        } else if only_text && items.len() > LINES {
            self.push(place, &words().collect::<Vec<_>>().join("\n"));
        } else if only_text && same_key(key, "env") {
            for word in words() {
                self.push(place, word);
            }
        } else {
            let dockerfiles = same_key(key, "infos");
            for (index, item) in items.iter().enumerate() {
                let place = format!("{place}[{index}]");
                if dockerfiles {
                    self.source_file(&place, item);
                } else {
                    self.value(&place, "", item);
                }
            }
        }
    }

    /// A source file of a provenance, whose text is the Dockerfile. *Source*: BuildKit's `source.infos[]`.
    fn source_file(&mut self, place: &str, file: &Json) {
        for (name, value) in file.members() {
            let decoded = value
                .text()
                .filter(|_| same_key(name, "data"))
                .and_then(decode_base64);
            match decoded {
                Some(bytes) => {
                    let own = match self.dockerfiles {
                        0 => "Dockerfile".to_owned(),
                        number => format!("Dockerfile[{number}]"),
                    };
                    self.dockerfiles += 1;
                    self.push(&own, &String::from_utf8_lossy(&bytes));
                }
                None => self.value(&join(place, name), name, value),
            }
        }
        if !matches!(file, Json::Object(_)) {
            self.value(place, "", file);
        }
    }

    /// Base64 of another document. What it does not decode to text stays as written too.
    fn embedded(&mut self, place: &str, text: &str) {
        match decode_base64(text).map(String::from_utf8) {
            Some(Ok(decoded)) => self.push(place, &decoded),
            Some(Err(error)) => {
                self.push(place, text);
                self.push(place, &String::from_utf8_lossy(error.as_bytes()));
            }
            None => self.push(place, text),
        }
    }
}

/// Decodes base64 as documents carry it: standard or URL alphabet, with or without padding.
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    use base64::alphabet::{STANDARD, URL_SAFE};
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    let lenient = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let text: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    [STANDARD, URL_SAFE]
        .iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, lenient).decode(&text).ok())
}

fn is_any(key: &str, names: &[&str]) -> bool {
    names.iter().any(|name| same_key(key, name))
}

fn is_identifier(name: &str) -> bool {
    json::component(name) == name && !name.contains('/')
}

/// Texts kept apart; a document of 8 MiB could hold two million of one letter.
const TEXTS: usize = 100_000;

/// Strings of an array that are texts of their own; longer arrays are one text, a line each.
const LINES: usize = 1_000;

/// Arrays whose words are one command line, in configurations and in BuildKit's `exec` operations.
const COMMANDS: &[&str] = &["Args", "Cmd", "Entrypoint", "OnBuild", "Shell", "Test"];

/// Maps whose keys are free text.
const MAPS: &[&str] = &["Annotations", "Labels"];

/// Fields whose name tells a rule nothing.
const KNOWN: &[&str] = &[
    "architecture",
    "artifactType",
    "author",
    "comment",
    "created",
    "created_by",
    "digest",
    "docker_version",
    "Domainname",
    "filename",
    "Hostname",
    "id",
    "Image",
    "mediaType",
    "name",
    "os",
    "os.version",
    "parent",
    "StopSignal",
    "type",
    "uri",
    "User",
    "v1Compatibility",
    "variant",
    "WorkingDir",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn of(root: &str, json: &str) -> Vec<(String, String)> {
        fields(root, json.as_bytes())
            .into_iter()
            .map(|field| (field.place, field.text))
            .collect()
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter()
            .map(|(place, text)| ((*place).into(), (*text).into()))
            .collect()
    }

    #[test]
    fn a_configuration_gives_environment_commands_labels_and_history() {
        let found = of(
            "",
            r#"{"author":"me","config":{"Env":["A=1","B=2"],"Cmd":["sh","-c","run --token x"],
                "Labels":{"maintainer":"you"},"Healthcheck":{"Test":["CMD","true"],"Interval":5},
                "Volumes":{"/srv/a b":{}},"OnBuild":["RUN a","RUN b"]},
                "history":[{"created_by":"one"},{"created_by":"two","comment":"c"}],"moby.x":{"secret":"v"}}"#,
        );
        assert_eq!(
            found,
            pairs(&[
                ("author", "me"),
                ("config.Env", "A=1"),
                ("config.Env", "B=2"),
                ("config.Cmd", "sh -c run --token x"),
                ("config.Labels", "maintainer=you"),
                ("config.Healthcheck.Test", "CMD true"),
                ("config.Volumes", "/srv/a b"),
                ("config.OnBuild", "RUN a RUN b"),
                ("history[0].created_by", "one"),
                ("history[1].created_by", "two"),
                ("history[1].comment", "c"),
                ("moby.x.secret", "secret=v"),
            ])
        );
    }

    #[test]
    fn a_key_of_the_document_itself_has_a_place_too() {
        assert_eq!(
            of("", r#"{"/srv/a b":{"x":1},"os":"linux"}"#),
            pairs(&[("document", "/srv/a b"), ("os", "linux")])
        );
        assert_eq!(of("", r#""text""#), pairs(&[("document", "text")]));
    }

    #[test]
    fn every_one_of_several_equal_keys_is_given() {
        let found = of(
            "",
            r#"{"config":{"Env":["A=1"]},"config":{"Env":["A=2"],"env":["A=3"]}}"#,
        );
        let texts: Vec<_> = found.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["A=1", "A=2", "A=3"]);
    }

    #[test]
    fn descriptors_of_an_index_keep_their_place() {
        let embedded = base64::engine::general_purpose::STANDARD.encode("{\"k\":\"v\"}");
        let json = format!(
            r#"{{"manifests":[{{"digest":"sha256:00"}},{{"annotations":{{"a":"b"}},"data":"{embedded}"}}]}}"#
        );
        assert_eq!(
            of("index", &json),
            pairs(&[
                ("index.manifests[0].digest", "sha256:00"),
                ("index.manifests[1].annotations", "a=b"),
                ("index.manifests[1].data", "{\"k\":\"v\"}"),
            ])
        );
    }

    #[test]
    fn what_is_no_json_is_one_text() {
        assert_eq!(of("config", "KEY=value"), pairs(&[("config", "KEY=value")]));
        assert_eq!(
            of("manifest", "{} KEY=value"),
            pairs(&[("manifest.trailing", " KEY=value")])
        );
    }

    #[test]
    fn many_texts_are_bounded_and_none_is_lost() {
        let members: Vec<String> = (0..120_000).map(|n| format!(r#""k{n}":"v{n}""#)).collect();
        let found = fields("", format!("{{{}}}", members.join(",")).as_bytes());
        assert_eq!(found.len(), TEXTS + 1);
        assert!(found.last().unwrap().text.ends_with("k119999=v119999"));
        let long = format!("[{}]", vec!["\"x\""; 5000].join(","));
        assert_eq!(fields("", long.as_bytes()).len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn no_text_of_a_document_is_missed(words in proptest::collection::vec("[a-z]{1,8}", 1..12), shape in 0u8..4) {
            let json = words.iter().rev().fold("{}".to_owned(), |inner, word| match shape {
                0 => format!(r#"{{"{word}":"{word}!","next":{inner}}}"#),
                1 => format!(r#"{{"Labels":{{"{word}":"{word}!"}},"next":[{inner}]}}"#),
                2 => format!(r#"[["{word}!"],{inner}]"#),
                _ => format!(r#"{{"cmd":["x","{word}!"],"cmd":{inner}}}"#),
            });
            let found = fields("", json.as_bytes());
            for word in &words {
                let expected = format!("{word}!");
                let given = found.iter().any(|field| field.text.contains(&expected));
                proptest::prop_assert!(given, "{} in {}", expected, json);
            }
        }
    }
}
