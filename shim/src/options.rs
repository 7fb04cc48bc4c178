//! Which engine to run and how, from either option message containerd sends.

use crate::error::{At, Error, Result};
use crate::proto::Any;
use crate::proto::options::{OPTIONS, Options, RUNTIME_OPTIONS, RuntimeOptions};
use prost::Message;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Where containerd's runc shim keeps its engine's state, a directory per namespace.
const ROOT: &str = "/run/containerd/runc";
/// The longest options file that is read.
const CONFIG_LIMIT: u64 = 1 << 20;

/// The options in force. The names in JSON are those of the `options.json` that containerd's own
/// shim leaves in a bundle, so that either shim can clean up after the other; the aliases are
/// the keys of the CRI plugin's TOML.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EngineOptions {
    /// The engine: a name looked up in PATH, or a path.
    #[serde(alias = "BinaryName", skip_serializing_if = "String::is_empty")]
    pub binary_name: String,
    /// The directory of the engine's state, without the namespace.
    #[serde(alias = "Root", skip_serializing_if = "String::is_empty")]
    pub root: String,
    /// Let systemd make the control groups.
    #[serde(alias = "SystemdCgroup", skip_serializing_if = "is_false")]
    pub systemd_cgroup: bool,
    /// Use MS_MOVE and chroot instead of pivot_root(2).
    #[serde(alias = "NoPivotRoot", skip_serializing_if = "is_false")]
    pub no_pivot_root: bool,
    /// Keep the caller's session keyring.
    #[serde(alias = "NoNewKeyring", skip_serializing_if = "is_false")]
    pub no_new_keyring: bool,
    /// The control group the shim itself joins.
    #[serde(alias = "ShimCgroup", skip_serializing_if = "String::is_empty")]
    pub shim_cgroup: String,
    /// Owner of the standard streams.
    #[serde(alias = "IoUid", skip_serializing_if = "is_zero")]
    pub io_uid: u32,
    /// Group of the standard streams.
    #[serde(alias = "IoGid", skip_serializing_if = "is_zero")]
    pub io_gid: u32,
    /// The criu program, of containerd 1.x.
    #[serde(alias = "CriuPath", skip_serializing_if = "String::is_empty")]
    pub criu_path: String,
    /// Where checkpoints are written.
    #[serde(alias = "CriuImagePath", skip_serializing_if = "String::is_empty")]
    pub criu_image_path: String,
    /// Where criu works.
    #[serde(alias = "CriuWorkPath", skip_serializing_if = "String::is_empty")]
    pub criu_work_path: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

impl EngineOptions {
    /// Whether containers are to be checkpointed: any option for criu says so. It can't dump a
    /// process that has files of the host's open, such as fifos.
    pub fn checkpoints(&self) -> bool {
        [&self.criu_path, &self.criu_image_path, &self.criu_work_path]
            .iter()
            .any(|path| !path.is_empty())
    }

    /// Reads what containerd sent: nothing, runc's options, or a table of TOML.
    ///
    /// # Errors
    /// A message of another type, or one that can't be read.
    pub fn from_any(any: Option<&Any>) -> Result<Self> {
        let Some(any) = any.filter(|any| !any.type_url.is_empty()) else {
            return Ok(Self::default());
        };
        if any.is(OPTIONS) {
            let options = Options::decode(any.value.as_slice())
                .map_err(|error| Error::invalid(format!("runtime options: {error}")))?;
            return Self::from_options(options);
        }
        if any.is(RUNTIME_OPTIONS) {
            let options = RuntimeOptions::decode(any.value.as_slice())
                .map_err(|error| Error::invalid(format!("runtime options: {error}")))?;
            return Self::from_runtime_options(options);
        }
        Err(Error::invalid(format!(
            "runtime options of type {:?}: only {OPTIONS} and {RUNTIME_OPTIONS} are known",
            any.type_url
        )))
    }

    fn from_options(options: Options) -> Result<Self> {
        if !options.task_api_address.is_empty() {
            return Err(Error::invalid(
                "option task_api_address: only the shim's own socket serves",
            ));
        }
        Ok(Self {
            binary_name: options.binary_name,
            root: options.root,
            systemd_cgroup: options.systemd_cgroup,
            no_pivot_root: options.no_pivot_root,
            no_new_keyring: options.no_new_keyring,
            shim_cgroup: options.shim_cgroup,
            io_uid: options.io_uid,
            io_gid: options.io_gid,
            criu_path: options.criu_path,
            criu_image_path: options.criu_image_path,
            criu_work_path: options.criu_work_path,
        })
    }

    fn from_runtime_options(options: RuntimeOptions) -> Result<Self> {
        let text = if !options.config_body.is_empty() {
            String::from_utf8(options.config_body)
                .map_err(|_| Error::invalid("runtime options: config_body is not UTF-8"))?
        } else if !options.config_path.is_empty() {
            let path = Path::new(&options.config_path);
            crate::files::read_bounded(path, CONFIG_LIMIT)
                .at(|| format!("runtime options: read {}", path.display()))
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())?
        } else {
            String::new()
        };
        toml::from_str(&text).map_err(|error| {
            Error::invalid(format!("runtime options: {}", error.message().replace('\n', " ")))
        })
    }

    /// The engine's program; hull unless another is named.
    pub fn binary(&self) -> &str {
        if self.binary_name.is_empty() { "hull" } else { &self.binary_name }
    }

    /// The directory of the engine's state for `namespace`.
    pub fn root(&self, namespace: &str) -> PathBuf {
        let root = if self.root.is_empty() { ROOT } else { &self.root };
        Path::new(root).join(namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runcs_message_is_read() {
        let options = Options {
            binary_name: "crun".to_owned(),
            systemd_cgroup: true,
            io_uid: 1000,
            ..Options::default()
        };
        let read = EngineOptions::from_any(Some(&Any::pack(OPTIONS, &options))).unwrap();
        assert_eq!((read.binary(), read.systemd_cgroup, read.io_uid), ("crun", true, 1000));
        assert_eq!(read.root("ns"), Path::new("/run/containerd/runc/ns"));
    }

    #[test]
    fn the_cri_plugins_table_is_read() {
        let options = RuntimeOptions {
            type_url: OPTIONS.to_owned(),
            config_body: b"BinaryName = \"/usr/bin/hull\"\nSystemdCgroup = true\nRoot = \"/r\"\n\
                IoUid = 5\nCriuImagePath = \"\"\n"
                .to_vec(),
            ..RuntimeOptions::default()
        };
        let read = EngineOptions::from_any(Some(&Any::pack(RUNTIME_OPTIONS, &options))).unwrap();
        assert_eq!((read.binary(), read.systemd_cgroup, read.io_uid), ("/usr/bin/hull", true, 5));
        assert_eq!(read.root("k8s.io"), Path::new("/r/k8s.io"));
    }

    #[test]
    fn nothing_means_hull_and_other_types_are_refused() {
        assert_eq!(EngineOptions::from_any(None).unwrap().binary(), "hull");
        let other = Any { type_url: "some.Options".to_owned(), value: Vec::new() };
        let error = EngineOptions::from_any(Some(&other)).unwrap_err();
        assert!(error.message().contains("some.Options"), "{error}");
    }

    #[test]
    fn broken_toml_is_an_error_of_one_line() {
        let options =
            RuntimeOptions { config_body: b"BinaryName = [".to_vec(), ..RuntimeOptions::default() };
        let error =
            EngineOptions::from_any(Some(&Any::pack(RUNTIME_OPTIONS, &options))).unwrap_err();
        assert!(!error.message().contains('\n'), "{error}");
    }

    #[test]
    fn the_bundles_copy_reads_back() {
        let options = EngineOptions { root: "/r".to_owned(), ..EngineOptions::default() };
        let json = serde_json::to_string(&options).unwrap();
        assert_eq!(json, r#"{"root":"/r"}"#);
        assert_eq!(serde_json::from_str::<EngineOptions>(&json).unwrap(), options);
    }
}
