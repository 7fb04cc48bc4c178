//! `/version` and `/info`.

use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The answer of `/version`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Version {
    /// Product.
    pub platform: Platform,
    /// Deck itself and what it runs.
    pub components: Vec<Component>,
    /// Deck's version.
    pub version: String,
    /// The newest API version served.
    pub api_version: String,
    /// The oldest API version served.
    #[serde(rename = "MinAPIVersion")]
    pub min_api_version: String,
    /// Commit deck was built from.
    pub git_commit: String,
    /// Docker's compiler version; empty here.
    pub go_version: String,
    /// `linux`.
    pub os: String,
    /// Machine, in Go's words.
    pub arch: String,
    /// `uname -r`.
    pub kernel_version: String,
    /// When it was built.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub build_time: String,
}

/// The product's name.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Platform {
    /// Name.
    pub name: String,
}

/// A part and its version.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Component {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// More about it; all values are strings.
    pub details: BTreeMap<String, Value>,
}
