//! Manifests and indexes (image-spec manifest.md, image-index.md; Docker's schema 2); pure.

use crate::error::{Error, Result};
use crate::image::{Digest, Platform};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Largest manifest read (distribution-spec: registries take at least 4 MiB).
pub const MAX_MANIFEST: u64 = 4 << 20;
/// Largest image configuration read.
pub const MAX_CONFIG: u64 = 8 << 20;
/// Most layers of an image: overlay takes 500 lower directories.
pub const MAX_LAYERS: usize = 500;
/// Most manifests of an index.
const MAX_INDEX: usize = 4096;

/// Media type of an OCI manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an OCI index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of Docker's manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Media type of Docker's index.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Media type of an OCI configuration.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Media type of Docker's configuration.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Media type of a plain layer.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// What points at content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    #[serde(default)]
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// What it runs on, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Free notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// An image's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// What it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// The configuration.
    pub config: Descriptor,
    /// Lowest first.
    pub layers: Vec<Descriptor>,
}

/// An index's manifests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// What it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// In the author's order.
    pub manifests: Vec<Descriptor>,
}

/// A document of either kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// Several.
    Index(Index),
}

impl Document {
    /// Reads a manifest or an index. `claimed` is the media type its giver claims, if any: a
    /// document that claims another itself is refused, as one that could be read as both is.
    ///
    /// # Errors
    /// It is malformed, schema 1, too large, or ambiguous.
    pub fn parse(bytes: &[u8], claimed: Option<&str>) -> Result<Self> {
        if bytes.len() as u64 > MAX_MANIFEST {
            return Err(Error::invalid("manifest: larger than 4 MiB"));
        }
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| Error::invalid(format!("manifest: {error}")))?;
        if value.get("schemaVersion").and_then(Value::as_u64) == Some(1) {
            return Err(Error::unsupported(
                "manifest: Docker schema 1 is not supported; push the image anew with a current \
                 client",
            ));
        }
        let own = value.get("mediaType").and_then(Value::as_str);
        if let (Some(own), Some(claimed)) = (own, claimed)
            && own != claimed
        {
            let message = format!("manifest: sent as {claimed}, but says it is {own:?}");
            return Err(Error::invalid(message));
        }
        let (layers, manifests) = (value.get("layers"), value.get("manifests"));
        if layers.is_some() && manifests.is_some() {
            return Err(Error::invalid("manifest: has both layers and manifests"));
        }
        let kind = own.or(claimed);
        let index = match kind {
            Some(OCI_INDEX | DOCKER_LIST) => true,
            Some(OCI_MANIFEST | DOCKER_MANIFEST) => false,
            Some(other) if !other.is_empty() && other != "application/json" => {
                return Err(Error::unsupported(format!("manifest: media type {other:?}")));
            }
            _ => manifests.is_some(),
        };
        let malformed = |error| Error::invalid(format!("manifest: {error}"));
        if index {
            let index: Index = serde_json::from_value(value).map_err(malformed)?;
            if index.manifests.len() > MAX_INDEX {
                return Err(Error::invalid("manifest: index of too many manifests"));
            }
            return Ok(Self::Index(index));
        }
        let manifest: Manifest = serde_json::from_value(value).map_err(malformed)?;
        manifest.check()?;
        Ok(Self::Manifest(manifest))
    }
}

impl Manifest {
    fn check(&self) -> Result<()> {
        if self.schema_version != 2 {
            return Err(Error::invalid(format!("manifest: schema {}", self.schema_version)));
        }
        if self.layers.len() > MAX_LAYERS {
            return Err(Error::invalid("manifest: more than 500 layers"));
        }
        if self.config.size > MAX_CONFIG {
            return Err(Error::invalid("manifest: configuration larger than 8 MiB"));
        }
        let kind = self.config.media_type.as_str();
        if !matches!(kind, OCI_CONFIG | DOCKER_CONFIG | "" | "application/octet-stream") {
            return Err(Error::unsupported(format!(
                "manifest: no container image, its configuration is of type {kind:?}"
            )));
        }
        let layer = self.layers.iter().find(|layer| !is_layer(&layer.media_type));
        if let Some(layer) = layer {
            let kind = &layer.media_type;
            return Err(Error::unsupported(format!("manifest: layer of media type {kind:?}")));
        }
        Ok(())
    }

    /// The media type: its own, or OCI's.
    pub fn kind(&self) -> &str {
        if self.media_type.is_empty() { OCI_MANIFEST } else { &self.media_type }
    }
}

/// Whether a media type is of a layer we unpack. Foreign layers come from elsewhere: refused.
fn is_layer(kind: &str) -> bool {
    let kind = kind.split('+').next().unwrap_or_default();
    matches!(
        kind,
        "" | OCI_LAYER
            | "application/vnd.docker.image.rootfs.diff.tar"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd"
            | "application/vnd.docker.container.image.rootfs.diff.tar.gzip"
    )
}

impl Index {
    /// The manifest that serves a platform best; of equals the first.
    ///
    /// # Errors
    /// 404 when none does; the message tells what there is.
    pub fn choose(&self, wanted: &Platform) -> Result<&Descriptor> {
        let mut best: Option<(u8, &Descriptor)> = None;
        for descriptor in &self.manifests {
            let rank = match &descriptor.platform {
                Some(platform) => wanted.rank(platform),
                // An index of one image need not name a platform.
                None => Some(0),
            };
            if let Some(rank) = rank
                && best.is_none_or(|(other, _)| rank > other)
            {
                best = Some((rank, descriptor));
            }
        }
        best.map(|(_, descriptor)| descriptor).ok_or_else(|| {
            let mut offered: Vec<String> = self
                .manifests
                .iter()
                .filter_map(|descriptor| descriptor.platform.as_ref())
                .filter(|platform| platform.os != "unknown")
                .map(Platform::to_string)
                .collect();
            offered.dedup();
            let offered = offered.join(", ");
            Error::not_found(format!(
                "no matching manifest for {wanted} in the manifest list entries; there is: {offered}"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn descriptor(kind: &str, platform: &str) -> Value {
        let mut value =
            json!({"mediaType": kind, "digest": Digest::of(platform.as_bytes()), "size": 1});
        if let Ok(platform) = platform.parse::<Platform>() {
            value["platform"] = serde_json::to_value(platform).unwrap();
        }
        value
    }

    fn parse(value: &Value, claimed: Option<&str>) -> Result<Document> {
        Document::parse(value.to_string().as_bytes(), claimed)
    }

    #[test]
    fn what_is_ambiguous_or_no_image_is_refused() {
        let layers = json!([descriptor("application/vnd.oci.image.layer.v1.tar+gzip", "")]);
        let config = descriptor(OCI_CONFIG, "");
        let good = json!({"schemaVersion": 2, "config": config, "layers": layers});
        assert!(matches!(parse(&good, Some(OCI_MANIFEST)), Ok(Document::Manifest(_))));
        let with = |key: &str, value: Value| {
            let mut changed = good.clone();
            changed[key] = value;
            changed
        };
        assert_eq!(parse(&with("schemaVersion", json!(1)), None).unwrap_err().status, 501);
        assert!(parse(&with("mediaType", json!(OCI_INDEX)), Some(OCI_MANIFEST)).is_err());
        assert!(parse(&with("manifests", json!([])), None).is_err());
        assert!(parse(&with("config", descriptor("application/x-helm", "")), None).is_err());
        let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
        assert!(parse(&with("layers", json!([descriptor(foreign, "")])), None).is_err());
        let negative = json!([{"digest": Digest::of(b""), "size": -1}]);
        assert!(parse(&with("layers", negative), None).is_err());
        let many: Vec<Value> = (0..501).map(|_| descriptor(OCI_LAYER, "")).collect();
        assert!(parse(&with("layers", json!(many)), None).is_err());
        assert!(parse(&json!([]), None).is_err());
    }

    #[test]
    fn the_platform_decides_in_an_index() {
        let index = json!({"schemaVersion": 2, "manifests": [
            descriptor(OCI_MANIFEST, "linux/arm64"), descriptor(OCI_MANIFEST, "linux/amd64"),
            descriptor(OCI_MANIFEST, "unknown/unknown")]});
        let Document::Index(index) = parse(&index, Some(OCI_INDEX)).unwrap() else { panic!() };
        let chosen = index.choose(&"linux/amd64".parse().unwrap()).unwrap();
        assert_eq!(chosen.digest, Digest::of(b"linux/amd64"));
        let error = index.choose(&"linux/s390x".parse().unwrap()).unwrap_err();
        assert!(error.message.contains("linux/arm64, linux/amd64"), "{error}");
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Document::parse(&bytes, None);
        }
    }
}
