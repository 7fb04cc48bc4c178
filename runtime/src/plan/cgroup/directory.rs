//! Where a container's cgroups are.
//!
//! An absolute cgroupsPath is below the mount point of each hierarchy. A relative one, or the id
//! when there is none, is below the runtime's own cgroup on v1, and beside it on v2, where a
//! cgroup with processes can't have children with controllers. Either is cleaned before it is
//! joined, so that no `..` leads out (GHSA-g54h-m393-cpwq).

use super::{Directory, Request};
use crate::cgroup::layout::Layout;
use crate::spec::Problem;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The directories for `request`.
pub(super) fn directories(
    layout: &Layout,
    request: &Request<'_>,
) -> Result<Vec<Directory>, Problem> {
    let (inner, absolute) = inner(request)?;
    let join = |mount: &Path, base: &str| {
        let mut path = mount.to_owned();
        path.extend(components(base));
        path.extend(&inner);
        path
    };
    let own = |path| if absolute { "" } else { path };
    Ok(match layout {
        Layout::V2(unified) => {
            let parent = unified.own_path.as_deref().unwrap_or_default();
            let parent = parent.rsplit_once('/').map_or("", |(parent, _)| parent);
            vec![Directory {
                controllers: unified.controllers.clone(),
                mount: unified.root.clone(),
                path: join(&unified.root, own(parent)),
                unified: true,
            }]
        }
        Layout::V1 { hierarchies, unified } => {
            let mut directories: Vec<Directory> = hierarchies
                .iter()
                .map(|hierarchy| Directory {
                    controllers: hierarchy.controllers.clone(),
                    mount: hierarchy.mount.clone(),
                    path: join(&hierarchy.mount, own(&hierarchy.own_path)),
                    unified: false,
                })
                .collect();
            directories.extend(unified.iter().map(|mount| Directory {
                controllers: Vec::new(),
                mount: mount.clone(),
                path: join(mount, ""),
                unified: true,
            }));
            directories
        }
    })
}

/// The components of the path below a mount point or the own cgroup, and whether it is the former.
fn inner<'a>(request: &Request<'a>) -> Result<(Vec<&'a str>, bool), Problem> {
    let path = match request.cgroups_path {
        "" => request.id,
        path => path,
    };
    let at = "linux.cgroupsPath";
    if path.contains('\0') {
        return Err(Problem::new(at, format!("{path:?} contains a NUL byte")));
    }
    let inner = components(path);
    if inner.is_empty() {
        // The root of a hierarchy can't be limited, and to delete such a container would be to
        // kill the host.
        return Err(Problem::new(at, format!("{path:?} is the root of the hierarchy")));
    }
    Ok((inner, path.starts_with('/')))
}

/// The components of `path` with `.` and `..` resolved; `..` at the top stays there.
fn components(path: &str) -> Vec<&str> {
    let mut components = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                components.pop();
            }
            name => components.push(name),
        }
    }
    components
}

/// The directories by controller.
pub(super) fn paths(directories: &[Directory]) -> BTreeMap<String, PathBuf> {
    let mut paths = BTreeMap::new();
    for directory in directories {
        if directory.unified {
            paths.insert(String::new(), directory.path.clone());
            continue;
        }
        for controller in &directory.controllers {
            paths.insert(controller.clone(), directory.path.clone());
        }
    }
    paths
}
