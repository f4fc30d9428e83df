//! One entry of an image's history, taken apart: what BuildKit, the classic builder, buildah and kaniko write for an
//! instruction. Says what was made, not where that stands in a Dockerfile.

use crate::oci::History;

use super::words::fold;

/// An entry without what builders add.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Made {
    /// The instruction's keyword; `RUN` where there is none.
    pub(super) keyword: String,
    /// The rest, folded.
    pub(super) body: String,
    /// Of `COPY` and `ADD`, the sources where the builder keeps them.
    pub(super) sources: Option<String>,
    /// Of `COPY` and `ADD`, where to.
    pub(super) destination: String,
}

impl Made {
    pub(super) fn of(entry: &History) -> Self {
        Self::parse(entry.created_by.as_deref().unwrap_or_default())
    }

    fn parse(created_by: &str) -> Self {
        let text = created_by.trim();
        let text = text.strip_suffix("# buildkit").unwrap_or(text).trim_end();
        // `/bin/sh -c #(nop) ` by the classic builder and buildah; Windows has another shell before the mark.
        let unexecuted = text
            .find("#(nop)")
            .filter(|at| *at < 64)
            .map(|at| text[at + "#(nop)".len()..].trim());
        let rest = unexecuted.unwrap_or(text);
        let (first, behind) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let is_keyword = KEYWORDS.contains(&first.to_ascii_uppercase().as_str());
        // A command may begin with the word `copy`; an instruction is written in capitals unless a mark says what it is.
        let is_instruction = is_keyword && (unexecuted.is_some() || first == first.to_ascii_uppercase());
        let (keyword, body) = if is_instruction {
            (first.to_ascii_uppercase(), behind)
        } else {
            ("RUN".to_owned(), rest)
        };
        if keyword == "COPY" || keyword == "ADD" {
            return Self::copied(keyword, body);
        }
        Self {
            keyword,
            body: fold(body),
            ..Self::default()
        }
    }

    fn copied(keyword: String, body: &str) -> Self {
        let mut words: Vec<&str> = body.split_whitespace().collect();
        let flags = words.iter().take_while(|word| word.starts_with("--")).count();
        words.drain(..flags);
        let hashed = |word: &&str| {
            let kinds = ["file:", "dir:", "multi:"];
            kinds
                .iter()
                .any(|kind| word.strip_prefix(kind).is_some_and(|hash| hash.len() >= 16))
        };
        let is_hashed = words.first().is_some_and(hashed);
        let at = if is_hashed {
            words.iter().position(|word| *word == "in").map(|at| at + 1)
        } else {
            None
        };
        let at = at.unwrap_or(words.len().saturating_sub(1));
        let sources = fold(&words[..at.min(words.len())].join(" "));
        Self {
            keyword,
            body: fold(&words.join(" ")),
            sources: (!is_hashed).then_some(sources),
            destination: fold(&words.get(at..).unwrap_or_default().join(" ")),
        }
    }

    /// The build argument that brought `value`: the name in `RUN |1 NAME=value …`.
    pub(super) fn argument_of(&self, value: &str) -> Option<&str> {
        if !self.body.starts_with('|') {
            return None;
        }
        let before = &self.body[..self.body.find(&fold(value))?];
        let word = before.rsplit(' ').next()?;
        // An argument may hold more than the secret: `URL=https://user:secret@host`.
        let (name, _) = word.split_once('=')?;
        let is_name = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (is_name && !name.is_empty()).then_some(name)
    }
}

const KEYWORDS: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builder_tells_the_same_instruction() {
        let hash = "619b31c3f1b34954f5d5bfcf2bc4fe2f";
        for (created_by, keyword, body) in [
            ("RUN /bin/sh -c make all # buildkit", "RUN", "/bin/sh -c make all"),
            (
                "RUN |1 A=b c /bin/sh -c make # buildkit",
                "RUN",
                "|1 A=b c /bin/sh -c make",
            ),
            ("|1 A=b /bin/sh -c make", "RUN", "|1 A=b /bin/sh -c make"),
            ("/bin/sh -c make", "RUN", "/bin/sh -c make"),
            ("RUN make", "RUN", "make"),
            ("make", "RUN", "make"),
            ("copy a b", "RUN", "copy a b"),
            ("/bin/sh -c #(nop)  CMD [\"sh\"]", "CMD", "[sh]"),
            ("ENV A=1", "ENV", "A=1"),
            ("/bin/sh -c #(nop) ENV A=\"x y\"", "ENV", "A=x y"),
            ("", "RUN", ""),
        ] {
            let made = Made::parse(created_by);
            assert_eq!(
                (made.keyword.as_str(), made.body.as_str()),
                (keyword, body),
                "{created_by}"
            );
        }
        for (created_by, sources, destination) in [
            ("COPY a b /c # buildkit".to_owned(), Some("a b"), "/c"),
            (
                "ADD --chown=1:1 --chmod=600 a /c/ # buildkit".to_owned(),
                Some("a"),
                "/c/",
            ),
            (format!("/bin/sh -c #(nop) COPY file:{hash} in /c "), None, "/c"),
            (
                format!("/bin/sh -c #(nop) ADD --chown=1 multi:{hash} in /c/ "),
                None,
                "/c/",
            ),
            ("COPY in /c".to_owned(), Some("in"), "/c"),
            ("COPY file:a /c".to_owned(), Some("file:a"), "/c"),
            ("COPY".to_owned(), Some(""), ""),
        ] {
            let made = Made::parse(&created_by);
            assert_eq!(
                (made.sources.as_deref(), made.destination.as_str()),
                (sources, destination),
                "{created_by}"
            );
        }
    }

    #[test]
    fn a_build_argument_is_found_by_its_value() {
        let made = Made::parse("RUN |2 A=1 URL=https://u:hunter22@h /bin/sh -c make # buildkit");
        assert_eq!(made.argument_of("hunter22"), Some("URL"));
        assert_eq!(made.argument_of("missing1"), None);
        assert_eq!(Made::parse("RUN T=hunter22 make").argument_of("hunter22"), None);
    }
}
