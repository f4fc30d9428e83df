//! `manifest.json` of an archive as `docker save` writes it: which members make up which image. Names members as
//! the archive does; opens none.

use super::DocumentError;
use super::json::{self, DocumentOddity, Json, Parsed, Reader};

/// One image of an archive. *Source*: Docker's image specification v1.2, "Combined Image JSON + Filesystem
/// Changeset Format"; containerd and Podman write the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SavedImage {
    /// The member that holds the configuration. Empty where the document names none.
    pub config: String,
    /// The names of the image, `app:1.4`.
    pub names: Vec<String>,
    /// The members that hold the layers, base first.
    pub layers: Vec<String>,
}

impl SavedImage {
    /// Reads the images that `manifest.json` lists.
    ///
    /// *Errors*: [`DocumentError::Malformed`] where it is no JSON array.
    pub fn parse_all(bytes: &[u8]) -> Result<Parsed<Vec<SavedImage>>, DocumentError> {
        let read = json::read(bytes).map_err(|reason| DocumentError::Malformed { reason })?;
        let Json::Array(items) = &read.json else {
            let reason = "it is JSON, but no array".to_owned();
            return Err(DocumentError::Malformed { reason });
        };
        let mut reader = Reader {
            oddities: read.oddities,
            ..Reader::default()
        };
        let images = items
            .iter()
            .map(|item| SavedImage {
                config: reader.text(item, "Config").unwrap_or_default(),
                names: reader.texts(item, "RepoTags"),
                layers: reader.texts(item, "Layers"),
            })
            .collect();
        Ok(reader.finish(images, &[]))
    }
}

/// The tags of an archive without `manifest.json`, as Docker wrote it before 1.10: each name with the id of its top
/// layer, in the order of the document. *Source*: Docker's image specification v1, `repositories`.
///
/// *Errors*: [`DocumentError::Malformed`] where it is no JSON object.
pub fn repositories(bytes: &[u8]) -> Result<Vec<(String, String)>, DocumentError> {
    let read = json::read(bytes).map_err(|reason| DocumentError::Malformed { reason })?;
    if !matches!(read.json, Json::Object(_)) {
        let reason = "it is JSON, but no object".to_owned();
        return Err(DocumentError::Malformed { reason });
    }
    let tags = read.json.members().iter().flat_map(|(repository, tags)| {
        tags.members()
            .iter()
            .filter_map(move |(tag, id)| Some((format!("{repository}:{tag}"), id.text()?.to_owned())))
    });
    Ok(tags.collect())
}

/// The id of the layer below, by the `json` of a layer in such an archive. `None` for the base.
pub fn parent_layer(bytes: &[u8]) -> Option<String> {
    let read = json::read(bytes).ok()?;
    let parent = Reader::default().text(&read.json, "parent")?;
    Some(parent).filter(|parent| !parent.is_empty())
}

impl Reader {
    /// The texts of the last array called `key`.
    fn texts(&mut self, object: &Json, key: &'static str) -> Vec<String> {
        let items = self.last(object, key).map(Json::items).unwrap_or_default();
        let texts: Vec<String> = items
            .iter()
            .filter_map(|item| item.text().map(str::to_owned))
            .collect();
        if texts.len() < items.len() {
            self.oddities.push(DocumentOddity::WrongType {
                place: key.to_owned(),
            });
        }
        texts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_images_is_read() {
        let json = br#"[{"Config":"c.json","RepoTags":["a:1","b:2"],"Layers":["x/layer.tar"],"Parent":"p"},
            {"Config":"d.json","RepoTags":null,"Layers":null}]"#;
        let parsed = SavedImage::parse_all(json).unwrap();
        assert_eq!(parsed.value[0].names, ["a:1", "b:2"]);
        assert_eq!(parsed.value[0].layers, ["x/layer.tar"]);
        assert!(parsed.value[1].names.is_empty() && parsed.oddities.is_empty());
    }

    #[test]
    fn tags_and_parents_of_old_archives_are_read() {
        let tags = repositories(br#"{"app":{"1":"aa","2":"bb"},"odd":7}"#).unwrap();
        assert_eq!(
            tags,
            [("app:1".into(), "aa".into()), ("app:2".into(), "bb".into())]
        );
        assert_eq!(parent_layer(br#"{"parent":"aa"}"#).as_deref(), Some("aa"));
        assert_eq!(parent_layer(br#"{"parent":""}"#), None);
    }

    #[test]
    fn what_is_no_list_is_refused_and_wrong_members_are_told() {
        assert!(SavedImage::parse_all(b"{}").is_err());
        assert!(SavedImage::parse_all(b"null").is_err());
        let parsed = SavedImage::parse_all(br#"[null,{"config":7,"Layers":[1,"a"]}]"#).unwrap();
        assert_eq!(parsed.value[1].layers, ["a"]);
        assert!(parsed.oddities.len() > 1);
    }
}
