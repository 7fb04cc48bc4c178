//! `hull state`: what runtime-spec `runtime.md#state` asks for, and what runc adds to it.

use super::exit_code::ExitCode;
use super::global::Global;
use super::print;
use crate::container::state::OCI_VERSION;
use crate::container::summary::Summary;
use crate::container::{Container, Status, Store};
use crate::error::{Error, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// A container as `state` and `list` print it; the order of the fields is runc's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// Version of the specification the runtime follows.
    pub oci_version: &'static str,
    /// Container id.
    pub id: String,
    /// Pid of init; 0 when stopped.
    pub pid: i32,
    /// `creating`, `created`, `running`, `paused` or `stopped`.
    pub status: &'static str,
    /// Absolute path of the bundle.
    pub bundle: String,
    /// Absolute path of the root file system.
    pub rootfs: String,
    /// RFC 3339 in UTC.
    pub created: String,
    /// Annotations of the configuration.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// User who made the container; `state` leaves it empty.
    pub owner: String,
}

/// Carries the command out.
#[inline(never)]
pub fn run(global: &Global, id: &str) -> Result<ExitCode> {
    let container = Store::open_for(&global.root, id)?.load(id)?;
    print(&render(&View::of(&container, String::new())?)?)?;
    Ok(ExitCode::SUCCESS)
}

impl View {
    /// What is to be seen of `container`.
    pub fn of(container: &Container, owner: String) -> Result<Self> {
        let status = container.status()?;
        let state = &container.state;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Ok(Self {
            oci_version: OCI_VERSION,
            id: state.id.clone(),
            pid: if status == Status::Stopped { 0 } else { state.init_process_pid },
            status: status.name(),
            bundle: text(&state.bundle),
            rootfs: text(&state.rootfs),
            created: state.created.clone(),
            annotations: state.annotations.clone(),
            owner,
        })
    }

    /// What is to be seen of the started container `id`; nothing if its summary is damaged.
    pub fn brief(id: &str, summary: &Summary<'_>, owner: String) -> Result<Option<Self>> {
        let Some(annotations) = summary.annotations() else { return Ok(None) };
        let status = summary.status()?;
        Ok(Some(Self {
            oci_version: OCI_VERSION,
            id: id.to_owned(),
            pid: if status == Status::Stopped { 0 } else { summary.init.pid },
            status: status.name(),
            bundle: summary.bundle.to_owned(),
            rootfs: summary.rootfs.to_owned(),
            created: summary.created.to_owned(),
            annotations,
            owner,
        }))
    }
}

/// The state as indented JSON, without a newline at the end as runc prints it.
pub fn render(view: &View) -> Result<String> {
    serde_json::to_string_pretty(view).map_err(|error| Error::config(error.to_string()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn view() -> View {
        View {
            oci_version: "1.3.0",
            id: "web".into(),
            pid: 4242,
            status: "running",
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            created: "2026-11-23T16:01:02.12Z".into(),
            annotations: BTreeMap::new(),
            owner: String::new(),
        }
    }

    #[test]
    fn state_without_annotations() {
        assert_eq!(
            render(&view()).unwrap(),
            r#"{
  "ociVersion": "1.3.0",
  "id": "web",
  "pid": 4242,
  "status": "running",
  "bundle": "/b",
  "rootfs": "/b/rootfs",
  "created": "2026-11-23T16:01:02.12Z",
  "owner": ""
}"#
        );
    }

    #[test]
    fn annotations_stand_before_the_owner() {
        let annotations = BTreeMap::from([("b".into(), "2".into()), ("a\"".into(), "1".into())]);
        let text = render(&View { annotations, ..view() }).unwrap();
        let tail = "  \"annotations\": {\n    \"a\\\"\": \"1\",\n    \"b\": \"2\"\n  },\n  \
                    \"owner\": \"\"\n}";
        assert!(text.ends_with(tail), "{text}");
    }
}
