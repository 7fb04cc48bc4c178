//! Who a container's process runs as: names looked up in the image's own passwd and group.

use crate::error::{Error, Result};
use std::path::Path;

/// Resolved ids of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups, sorted.
    pub groups: Vec<u32>,
    /// The user's home in passwd.
    pub home: Option<String>,
}

/// Resolves `user[:group]` and further groups in the root file system at `root`.
///
/// # Errors
/// 400 for a name that is not there or an id out of range; 500 when passwd or group is no bounded
/// regular file inside the root.
pub fn resolve(root: &Path, user: &str, groups: &[String]) -> Result<Identity> {
    let _ = (root, user, groups);
    Err(Error::unsupported("user lookup"))
}
