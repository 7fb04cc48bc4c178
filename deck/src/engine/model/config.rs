//! `Config` of a container, and the body of `POST /containers/create`.

use super::host::HostConfig;
use super::words;
use crate::image::config::{Empty, Healthcheck};
use crate::net::EndpointSettings;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Go's set: `{"name": {}}`.
#[expect(clippy::zero_sized_map_values, reason = "that is its JSON")]
pub type Set = BTreeMap<String, Empty>;

/// What runs in a container: the part of a create request an image can give defaults for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the Engine API's fields under their own names")]
#[allow(clippy::zero_sized_map_values, reason = "objects of empty objects, as the API has them")]
pub struct ContainerConfig {
    pub hostname: String,
    pub domainname: String,
    pub user: String,
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: Set,
    pub tty: bool,
    pub open_stdin: bool,
    pub stdin_once: bool,
    pub env: Option<Vec<String>>,
    #[serde(deserialize_with = "words")]
    pub cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub args_escaped: bool,
    pub image: String,
    pub volumes: Option<Set>,
    pub working_dir: String,
    #[serde(deserialize_with = "words")]
    pub entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub network_disabled: bool,
    /// Moved to the endpoint in API 1.44; still accepted.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mac_address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_build: Option<Vec<String>>,
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "words")]
    pub shell: Option<Vec<String>>,
}

/// The body of `POST /containers/create`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct CreateRequest {
    /// What runs.
    #[serde(flatten)]
    pub config: ContainerConfig,
    /// How it runs on this host.
    #[serde(rename = "HostConfig")]
    pub host: HostConfig,
    /// The networks it is on.
    #[serde(rename = "NetworkingConfig")]
    pub networking: NetworkingConfig,
}

/// The networks of a create request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct NetworkingConfig {
    /// By network name.
    pub endpoints_config: BTreeMap<String, EndpointSettings>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_may_be_one_string() {
        let request: CreateRequest =
            serde_json::from_str(r#"{"Image":"a","Cmd":"ls","Entrypoint":["x","y"]}"#).unwrap();
        assert_eq!(request.config.cmd.unwrap(), ["ls"]);
        assert_eq!(request.config.entrypoint.unwrap(), ["x", "y"]);
        assert_eq!(request.config.env, None);
    }

    #[test]
    fn null_and_empty_stay_apart() {
        let config = ContainerConfig { env: Some(vec![]), ..ContainerConfig::default() };
        let json = serde_json::to_value(&config).unwrap();
        assert_eq!(json["Env"], serde_json::json!([]));
        assert!(json["Cmd"].is_null());
        assert!(json.get("StopSignal").is_none());
        assert_eq!(json["Labels"], serde_json::json!({}));
    }
}
