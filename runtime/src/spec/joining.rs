//! What a process that joins a running container needs of its configuration.
//!
//! The rest, of which the seccomp profile is most, is stepped over: it was judged and used by
//! create, and what `exec` needs of the profile is the compiled filter beside it.

use super::config::{IdMapping, Process, nullable, object};
use super::linux::{Linux, MemoryPolicy, Personality, Resources};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// As [`super::Spec`].
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct JoiningSpec {
    /// `process`.
    #[serde(deserialize_with = "object")]
    pub process: Option<Process>,
    #[serde(deserialize_with = "object")]
    linux: Option<JoiningLinux>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct JoiningLinux {
    #[serde(deserialize_with = "nullable")]
    uid_mappings: Vec<IdMapping>,
    #[serde(deserialize_with = "nullable")]
    gid_mappings: Vec<IdMapping>,
    #[serde(deserialize_with = "object")]
    resources: Option<Resources>,
    #[serde(deserialize_with = "object")]
    memory_policy: Option<MemoryPolicy>,
    #[serde(deserialize_with = "object")]
    personality: Option<Personality>,
    seccomp: Option<IgnoredAny>,
}

/// A configuration as far as it matters to a process that joins.
#[derive(Debug)]
pub struct Joining {
    /// `process`.
    pub process: Option<Process>,
    /// `linux` with the id mappings, resources, memory policy and personality.
    pub linux: Option<Linux>,
    /// `linux.seccomp` is there.
    pub has_seccomp: bool,
}

impl From<JoiningSpec> for Joining {
    fn from(spec: JoiningSpec) -> Self {
        let has_seccomp = spec.linux.as_ref().is_some_and(|linux| linux.seccomp.is_some());
        let linux = spec.linux.map(|linux| Linux {
            uid_mappings: linux.uid_mappings,
            gid_mappings: linux.gid_mappings,
            resources: linux.resources,
            memory_policy: linux.memory_policy,
            personality: linux.personality,
            ..Linux::default()
        });
        Self { process: spec.process, linux, has_seccomp }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::load::parse;

    fn joining(json: &str) -> Joining {
        parse::<JoiningSpec>(json.as_bytes()).unwrap().into()
    }

    #[test]
    fn what_matters_is_read_and_the_profile_is_not() {
        let found = joining(
            r#"{"process": {"args": ["a"]}, "mounts": 7, "linux": {
                "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
                "personality": {"domain": "LINUX32"}, "seccomp": {"defaultAction": 7}}}"#,
        );
        assert_eq!(found.process.unwrap().args, ["a"]);
        let linux = found.linux.unwrap();
        assert_eq!(linux.root_ids(), (1000, 0));
        assert_eq!(linux.personality.unwrap().domain, "LINUX32");
        assert!(found.has_seccomp);
    }

    #[test]
    fn null_is_no_profile() {
        assert!(!joining(r#"{"linux": {"seccomp": null}}"#).has_seccomp);
        assert!(!joining(r#"{"linux": {}}"#).has_seccomp);
        assert!(!joining("{}").has_seccomp);
    }
}
