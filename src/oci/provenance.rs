//! In-toto statements: SLSA provenance and SBOMs that builders attach to an image. Gives their texts, the
//! embedded Dockerfile decoded; verifies no signature.

use super::fields::Collector;
use super::json::{self, Json, Parsed, Reader};
use super::{ConfigField, DocumentError};

/// One in-toto statement. *Source*: in-toto attestation framework, Statement v0.1 and v1; BuildKit's
/// `docs/attestations` for what its provenance holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// `predicateType`, as `https://slsa.dev/provenance/v1` or `https://spdx.dev/Document`.
    pub predicate_type: Option<String>,
    /// Every text of the statement by its place. The Dockerfile that a provenance of `mode=max` embeds is one text
    /// at `Dockerfile`, further ones at `Dockerfile[1]` and so on.
    pub fields: Vec<ConfigField>,
}

impl Statement {
    /// Reads a statement, or the one inside a DSSE envelope or a Sigstore bundle. Whatever JSON it is, all of its
    /// texts are given.
    ///
    /// *Errors*: [`DocumentError::Malformed`] where the bytes are no JSON.
    pub fn parse(bytes: &[u8]) -> Result<Parsed<Statement>, DocumentError> {
        let read = json::read(bytes).map_err(|reason| DocumentError::Malformed { reason })?;
        let mut reader = Reader {
            oddities: read.oddities,
            ..Reader::default()
        };
        let mut collector = Collector::new("");
        collector.value("", "", &read.json);
        if !read.trailing.is_empty() {
            collector.push("trailing", &String::from_utf8_lossy(read.trailing));
        }
        let mut predicate_type = reader.text(&read.json, "predicateType");
        let bundled = reader.last(&read.json, "dsseEnvelope");
        let envelope = bundled.unwrap_or(&read.json);
        let payload = reader.last(envelope, "payload").and_then(Json::text);
        if let Some(payload) = payload.and_then(super::fields::decode_base64)
            && let Ok(inner) = json::read(&payload)
        {
            collector.value("payload", "", &inner.json);
            reader.oddities.extend(inner.oddities);
            predicate_type = predicate_type.or_else(|| reader.text(&inner.json, "predicateType"));
        }
        let statement = Statement {
            predicate_type,
            fields: collector.fields,
        };
        Ok(reader.finish(statement, &[]))
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn find<'f>(statement: &'f Statement, place: &str) -> Vec<&'f str> {
        let at_place = statement.fields.iter().filter(|field| field.place == place);
        at_place.map(|field| field.text.as_str()).collect()
    }

    #[test]
    fn a_slsa_v1_provenance_gives_its_dockerfile_and_build_arguments() {
        let dockerfile = STANDARD.encode("FROM scratch\nARG T=1\n");
        let json = format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","predicateType":"https://slsa.dev/provenance/v1",
            "predicate":{{"buildDefinition":{{"externalParameters":{{"request":{{"args":{{"build-arg:T":"v"}}}}}},
            "internalParameters":{{"buildConfig":{{"llbDefinition":[{{"id":"step0","op":{{"exec":{{"meta":
            {{"args":["/bin/sh","-c","echo x"],"env":["A=b"]}}}}}}}}]}}}}}},
            "runDetails":{{"metadata":{{"buildkit_metadata":{{"source":{{"infos":[{{"filename":"Dockerfile",
            "data":"{dockerfile}"}},{{"data":"{dockerfile}"}}]}}}}}}}}}}}}"#
        );
        let statement = Statement::parse(json.as_bytes()).unwrap().value;
        assert_eq!(
            statement.predicate_type.as_deref(),
            Some("https://slsa.dev/provenance/v1")
        );
        assert_eq!(find(&statement, "Dockerfile"), ["FROM scratch\nARG T=1\n"]);
        assert_eq!(find(&statement, "Dockerfile[1]").len(), 1);
        let arguments = "predicate.buildDefinition.externalParameters.request.args.build-arg:T";
        assert_eq!(find(&statement, arguments), ["build-arg:T=v"]);
        let exec = "predicate.buildDefinition.internalParameters.buildConfig.llbDefinition[0].op.exec.meta";
        assert_eq!(find(&statement, &format!("{exec}.args")), ["/bin/sh -c echo x"]);
        assert_eq!(find(&statement, &format!("{exec}.env")), ["A=b"]);
    }

    #[test]
    fn a_slsa_v0_2_provenance_gives_its_dockerfile() {
        let json = format!(
            r#"{{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://slsa.dev/provenance/v0.2",
            "predicate":{{"metadata":{{"https://mobyproject.org/buildkit@v1#metadata":{{"source":{{"infos":
            [{{"filename":"app.Dockerfile","data":"{}"}}]}}}}}}}}}}"#,
            STANDARD.encode("FROM a\n")
        );
        let statement = Statement::parse(json.as_bytes()).unwrap().value;
        assert_eq!(find(&statement, "Dockerfile"), ["FROM a\n"]);
        assert!(
            statement
                .fields
                .iter()
                .any(|field| field.text == "app.Dockerfile")
        );
    }

    #[test]
    fn an_enveloped_statement_is_opened() {
        let inner =
            STANDARD.encode(r#"{"predicateType":"https://spdx.dev/Document","predicate":{"comment":"c"}}"#);
        for json in [
            format!(r#"{{"payloadType":"application/vnd.in-toto+json","payload":"{inner}"}}"#),
            format!(r#"{{"dsseEnvelope":{{"payload":"{inner}"}}}}"#),
        ] {
            let statement = Statement::parse(json.as_bytes()).unwrap().value;
            assert_eq!(
                statement.predicate_type.as_deref(),
                Some("https://spdx.dev/Document")
            );
            assert_eq!(find(&statement, "payload.predicate.comment"), ["c"]);
        }
    }
}
