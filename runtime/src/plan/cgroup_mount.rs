//! What a mount of type `cgroup` shows (config-linux.md "Control groups"): on v2 the unified
//! hierarchy, on v1 a tmpfs with one directory per hierarchy.

use crate::cgroup::layout::Layout;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::{Path, PathBuf};

/// How the container's view of its cgroups is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CgroupMount {
    /// cgroup v2.
    Unified {
        /// Bound instead, where the file system can't be mounted.
        fallback: CString,
    },
    /// cgroup v1.
    Hierarchies {
        /// One directory each.
        binds: Vec<Hierarchy>,
        /// Names of the controllers that share a hierarchy, and its directory.
        links: Vec<(CString, CString)>,
    },
}

/// One v1 hierarchy as seen by the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Directory, such as `cpu,cpuacct`.
    pub name: CString,
    /// Directory of the host to bind, or the name shown when `data` is mounted.
    pub source: CString,
    /// The runtime's own directory, for a container that got no cgroup and so stays there.
    pub own: CString,
    /// Options of a real mount of type cgroup; needs a cgroup namespace.
    pub data: Option<CString>,
}

/// Plans the view for a container whose cgroups are `paths` (controller to directory).
pub fn plan(
    layout: &Layout,
    paths: &BTreeMap<String, PathBuf>,
    own_namespace: bool,
) -> CgroupMount {
    let c = |path: &Path| CString::new(path.as_os_str().as_encoded_bytes()).unwrap_or_default();
    match layout {
        Layout::V2(unified) => {
            let own = paths.get("").filter(|_| own_namespace);
            CgroupMount::Unified { fallback: c(own.unwrap_or(&unified.root)) }
        }
        Layout::V1 { hierarchies, .. } => {
            let mut binds = Vec::with_capacity(hierarchies.len());
            let mut links = Vec::new();
            for hierarchy in hierarchies {
                let Some(name) = hierarchy.mount.file_name().map(Path::new) else { continue };
                if hierarchy.controllers.len() > 1 {
                    for controller in &hierarchy.controllers {
                        links.push((c(Path::new(controller)), c(name)));
                    }
                }
                let joined = hierarchy.controllers.join(",");
                let named = joined.strip_prefix("name=");
                let inside = hierarchy.controllers.iter().find_map(|name| paths.get(name));
                let own = hierarchy.mount.join(hierarchy.own_path.trim_start_matches('/'));
                binds.push(if own_namespace {
                    let source = c(Path::new(named.unwrap_or("cgroup")));
                    let data = Some(c(Path::new(&joined)));
                    Hierarchy { name: c(name), source, own: c(&own), data }
                } else {
                    let source = c(inside.unwrap_or(&own));
                    Hierarchy { name: c(name), source, own: c(&own), data: None }
                });
            }
            CgroupMount::Hierarchies { binds, links }
        }
    }
}
