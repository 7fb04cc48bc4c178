//! The image configuration (image-spec config.md, with Docker's additions).
#![expect(clippy::zero_sized_map_values, reason = "Docker's sets are objects of `{}`")]

use crate::error::{Error, Result};
use crate::image::digest::Digest;
use crate::image::platform::Platform;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// A value that is always `{}`: members of Docker's sets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// The parsed configuration of an image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// GOARCH.
    #[serde(default, deserialize_with = "null")]
    pub architecture: String,
    /// GOARM and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// GOOS.
    #[serde(default, deserialize_with = "null")]
    pub os: String,
    /// The commit's message (Docker).
    #[serde(default, deserialize_with = "null", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// What wrote it (Docker).
    #[serde(default, deserialize_with = "null", skip_serializing_if = "String::is_empty")]
    pub docker_version: String,
    /// How to run it.
    #[serde(default, deserialize_with = "null")]
    pub config: RunConfig,
    /// The layers.
    pub rootfs: RootFs,
    /// How it came to be, oldest first.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
}

/// How a container of the image runs: Docker's `Config` of an image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RunConfig {
    /// `name`, `uid`, `name:group`, `uid:gid`.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `80/tcp`.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Empty>,
    /// `NAME=value`.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Comes before the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// The command, or the entrypoint's default arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Paths that get a volume of their own.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Empty>,
    /// Absolute, or empty for `/`.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Free labels.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// `SIGTERM`, `15`.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Seconds between the stop signal and SIGKILL (Docker).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    /// The shell of shell-form commands (Docker).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// How health is probed (Docker).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Instructions for images built on this one (Docker).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_build: Option<Vec<String>>,
}

/// A health probe; times are nanoseconds, 0 for the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]`, `["CMD-SHELL", "…"]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Vec<String>>,
    /// Between probes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// For one probe.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// Before failures count.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Between probes while starting.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures in a row that make it unhealthy.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: i64,
}

/// The layers of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Digests of the uncompressed layers, lowest first.
    #[serde(default, deserialize_with = "null")]
    pub diff_ids: Vec<Digest>,
}

/// One step of an image's making.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The command.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    /// Who.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// Why.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// True if the step made no layer.
    #[serde(default, deserialize_with = "null", skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// Go writes nil lists and maps as `null`.
fn null<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl ImageConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    /// It is no JSON, has no layers list, or a rootfs of another type.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let config: Self = serde_json::from_slice(bytes)
            .map_err(|error| Error::invalid(format!("image configuration: {error}")))?;
        if config.rootfs.kind != "layers" {
            let kind = &config.rootfs.kind;
            return Err(Error::invalid(format!("image configuration: rootfs of type {kind:?}")));
        }
        Ok(config)
    }

    /// Chain ids of the layers, lowest first (image-spec config.md#layer-chainid).
    pub fn chain_ids(&self) -> Vec<Digest> {
        chain_ids(&self.rootfs.diff_ids)
    }

    /// Seconds since the epoch; 0 when unknown.
    pub fn created_seconds(&self) -> i64 {
        seconds(self.created.as_deref())
    }

    /// What it runs on.
    pub fn platform(&self) -> Platform {
        Platform {
            architecture: self.architecture.clone(),
            os: self.os.clone(),
            variant: self.variant.clone(),
        }
    }

    /// Nanoseconds since the epoch; 0 when unknown.
    pub fn created_nanoseconds(&self) -> i128 {
        instant(self.created.as_deref()).map_or(0, jiff::Timestamp::as_nanosecond)
    }
}

impl History {
    /// Seconds since the epoch; 0 when unknown.
    pub fn created_seconds(&self) -> i64 {
        seconds(self.created.as_deref())
    }
}

fn seconds(time: Option<&str>) -> i64 {
    instant(time).map_or(0, jiff::Timestamp::as_second)
}

fn instant(time: Option<&str>) -> Option<jiff::Timestamp> {
    time.and_then(|time| time.parse().ok())
}

/// Chain ids: the first is the first diff id, each next hashes the one before with its diff id.
pub fn chain_ids(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(diff_ids.len());
    for diff_id in diff_ids {
        let id = match chain.last() {
            None => diff_id.clone(),
            Some(parent) => Digest::of(format!("{parent} {diff_id}").as_bytes()),
        };
        chain.push(id);
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_of_docker_is_read() {
        let config = ImageConfig::parse(
            br#"{"architecture":"amd64","os":"linux","created":"2026-11-23T16:01:34.055111532Z",
                "config":{"Env":["A=b"],"Cmd":["sh"],"Volumes":null,"Labels":{"a":"b"},
                "ExposedPorts":{"80/tcp":{}},"Entrypoint":null,"OnBuild":null},
                "rootfs":{"type":"layers","diff_ids":[]},"history":null}"#,
        )
        .unwrap();
        assert_eq!(config.config.cmd, Some(vec!["sh".to_owned()]));
        assert_eq!(config.created_seconds(), 1_795_449_694);
        assert!(ImageConfig::parse(br#"{"rootfs":{"type":"x"}}"#).is_err());
        assert!(
            ImageConfig::parse(br#"{"rootfs":{"type":"layers","diff_ids":["../x"]}}"#).is_err()
        );
    }

    #[test]
    fn chains_hash_parents() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        let chain = chain_ids(&[a.clone(), b.clone()]);
        assert_eq!(chain[0], a);
        assert_eq!(chain[1], Digest::of(format!("{a} {b}").as_bytes()));
    }
}
