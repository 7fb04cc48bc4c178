//! The options of config.md "Linux mount options", as one table.

use crate::sys::mount as attr;
use nix::libc;

/// What an option does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Sets these mount(2) flags.
    Set(u64),
    /// Clears these mount(2) flags.
    Clear(u64),
    /// Changes the propagation type, alone or of the whole tree.
    Propagation(u64),
    /// Sets a mount_setattr(2) attribute on the whole tree.
    SetRecursive(u64),
    /// Clears one on the whole tree.
    ClearRecursive(u64),
    /// tmpfs starts with a copy of what it covers.
    CopyUp,
    /// Id-mapped; of the whole tree if true.
    IdMap(bool),
}

use Effect::{Clear, ClearRecursive, CopyUp, IdMap, Propagation, Set, SetRecursive};

/// `MS_NOSYMFOLLOW`, Linux 5.10; not in every libc.
pub const MS_NOSYMFOLLOW: u64 = 256;

/// Name and effect; sorted by name. An option not listed is data for the file system.
pub const OPTIONS: [(&str, Effect); 62] = [
    ("async", Clear(libc::MS_SYNCHRONOUS)),
    ("atime", Clear(libc::MS_NOATIME)),
    ("bind", Set(libc::MS_BIND)),
    ("defaults", Set(0)),
    ("dev", Clear(libc::MS_NODEV)),
    ("diratime", Clear(libc::MS_NODIRATIME)),
    ("dirsync", Set(libc::MS_DIRSYNC)),
    ("exec", Clear(libc::MS_NOEXEC)),
    ("idmap", IdMap(false)),
    ("iversion", Set(libc::MS_I_VERSION)),
    ("lazytime", Set(libc::MS_LAZYTIME)),
    ("loud", Clear(libc::MS_SILENT)),
    ("mand", Set(libc::MS_MANDLOCK)),
    ("noatime", Set(libc::MS_NOATIME)),
    ("nodev", Set(libc::MS_NODEV)),
    ("nodiratime", Set(libc::MS_NODIRATIME)),
    ("noexec", Set(libc::MS_NOEXEC)),
    ("noiversion", Clear(libc::MS_I_VERSION)),
    ("nolazytime", Clear(libc::MS_LAZYTIME)),
    ("nomand", Clear(libc::MS_MANDLOCK)),
    ("norelatime", Clear(libc::MS_RELATIME)),
    ("nostrictatime", Clear(libc::MS_STRICTATIME)),
    ("nosuid", Set(libc::MS_NOSUID)),
    ("nosymfollow", Set(MS_NOSYMFOLLOW)),
    ("private", Propagation(libc::MS_PRIVATE)),
    ("ratime", ClearRecursive(attr::MOUNT_ATTR_NOATIME)),
    ("rbind", Set(libc::MS_BIND | libc::MS_REC)),
    ("rdev", ClearRecursive(attr::MOUNT_ATTR_NODEV)),
    ("rdiratime", ClearRecursive(attr::MOUNT_ATTR_NODIRATIME)),
    ("relatime", Set(libc::MS_RELATIME)),
    ("remount", Set(libc::MS_REMOUNT)),
    ("rexec", ClearRecursive(attr::MOUNT_ATTR_NOEXEC)),
    ("ridmap", IdMap(true)),
    ("rnoatime", SetRecursive(attr::MOUNT_ATTR_NOATIME)),
    ("rnodev", SetRecursive(attr::MOUNT_ATTR_NODEV)),
    ("rnodiratime", SetRecursive(attr::MOUNT_ATTR_NODIRATIME)),
    ("rnoexec", SetRecursive(attr::MOUNT_ATTR_NOEXEC)),
    ("rnorelatime", ClearRecursive(attr::MOUNT_ATTR_RELATIME)),
    ("rnostrictatime", ClearRecursive(attr::MOUNT_ATTR_STRICTATIME)),
    ("rnosuid", SetRecursive(attr::MOUNT_ATTR_NOSUID)),
    ("rnosymfollow", SetRecursive(attr::MOUNT_ATTR_NOSYMFOLLOW)),
    ("ro", Set(libc::MS_RDONLY)),
    ("rprivate", Propagation(libc::MS_PRIVATE | libc::MS_REC)),
    ("rrelatime", SetRecursive(attr::MOUNT_ATTR_RELATIME)),
    ("rro", SetRecursive(attr::MOUNT_ATTR_RDONLY)),
    ("rrw", ClearRecursive(attr::MOUNT_ATTR_RDONLY)),
    ("rshared", Propagation(libc::MS_SHARED | libc::MS_REC)),
    ("rslave", Propagation(libc::MS_SLAVE | libc::MS_REC)),
    ("rstrictatime", SetRecursive(attr::MOUNT_ATTR_STRICTATIME)),
    ("rsuid", ClearRecursive(attr::MOUNT_ATTR_NOSUID)),
    ("rsymfollow", ClearRecursive(attr::MOUNT_ATTR_NOSYMFOLLOW)),
    ("runbindable", Propagation(libc::MS_UNBINDABLE | libc::MS_REC)),
    ("rw", Clear(libc::MS_RDONLY)),
    ("shared", Propagation(libc::MS_SHARED)),
    ("silent", Set(libc::MS_SILENT)),
    ("slave", Propagation(libc::MS_SLAVE)),
    ("strictatime", Set(libc::MS_STRICTATIME)),
    ("suid", Clear(libc::MS_NOSUID)),
    ("symfollow", Clear(MS_NOSYMFOLLOW)),
    ("sync", Set(libc::MS_SYNCHRONOUS)),
    ("tmpcopyup", CopyUp),
    ("unbindable", Propagation(libc::MS_UNBINDABLE)),
];

/// The effect of an option, if it is not data for the file system.
pub fn lookup(name: &str) -> Option<Effect> {
    let index = OPTIONS.binary_search_by(|(known, _)| known.cmp(&name)).ok()?;
    OPTIONS.get(index).map(|(_, effect)| *effect)
}

/// Options as `features` lists them: id-mapping is announced as a mount extension instead.
pub fn known() -> Vec<&'static str> {
    OPTIONS
        .iter()
        .filter(|(_, effect)| !matches!(effect, IdMap(_)))
        .map(|(name, _)| *name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted() {
        assert!(OPTIONS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn lookups() {
        assert_eq!(lookup("rbind"), Some(Set(libc::MS_BIND | libc::MS_REC)));
        assert_eq!(lookup("rro"), Some(SetRecursive(attr::MOUNT_ATTR_RDONLY)));
        assert_eq!(lookup("mode=755"), None);
    }
}
