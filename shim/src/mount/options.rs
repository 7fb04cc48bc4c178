//! Mount options in the manner of mount(8), as a plan of mount(2) calls.

use crate::error::{Error, Result};
use nix::mount::MsFlags;

/// One mount, its options sorted out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Flags of the first call.
    pub flags: MsFlags,
    /// Flags of a remount: a bind mount takes no others with it.
    pub remount: Option<MsFlags>,
    /// Propagation, set last.
    pub propagation: Option<MsFlags>,
    /// What the file system itself is told.
    pub data: Vec<String>,
    /// `uidmap=` and `gidmap=`: how ids on disk appear.
    pub idmap: Option<(String, String)>,
}

/// Every flag by name: whether the name sets it.
const FLAGS: &[(&str, bool, MsFlags)] = &[
    ("async", false, MsFlags::MS_SYNCHRONOUS),
    ("atime", false, MsFlags::MS_NOATIME),
    ("bind", true, MsFlags::MS_BIND),
    ("dev", false, MsFlags::MS_NODEV),
    ("diratime", false, MsFlags::MS_NODIRATIME),
    ("dirsync", true, MsFlags::MS_DIRSYNC),
    ("exec", false, MsFlags::MS_NOEXEC),
    ("mand", true, MsFlags::MS_MANDLOCK),
    ("noatime", true, MsFlags::MS_NOATIME),
    ("nodev", true, MsFlags::MS_NODEV),
    ("nodiratime", true, MsFlags::MS_NODIRATIME),
    ("noexec", true, MsFlags::MS_NOEXEC),
    ("nomand", false, MsFlags::MS_MANDLOCK),
    ("norelatime", false, MsFlags::MS_RELATIME),
    ("nostrictatime", false, MsFlags::MS_STRICTATIME),
    ("nosuid", true, MsFlags::MS_NOSUID),
    ("rbind", true, MsFlags::MS_BIND.union(MsFlags::MS_REC)),
    ("relatime", true, MsFlags::MS_RELATIME),
    ("remount", true, MsFlags::MS_REMOUNT),
    ("ro", true, MsFlags::MS_RDONLY),
    ("rw", false, MsFlags::MS_RDONLY),
    ("strictatime", true, MsFlags::MS_STRICTATIME),
    ("suid", false, MsFlags::MS_NOSUID),
    ("sync", true, MsFlags::MS_SYNCHRONOUS),
];

const PROPAGATION: &[(&str, MsFlags)] = &[
    ("private", MsFlags::MS_PRIVATE),
    ("rprivate", MsFlags::MS_PRIVATE.union(MsFlags::MS_REC)),
    ("shared", MsFlags::MS_SHARED),
    ("rshared", MsFlags::MS_SHARED.union(MsFlags::MS_REC)),
    ("slave", MsFlags::MS_SLAVE),
    ("rslave", MsFlags::MS_SLAVE.union(MsFlags::MS_REC)),
    ("unbindable", MsFlags::MS_UNBINDABLE),
    ("runbindable", MsFlags::MS_UNBINDABLE.union(MsFlags::MS_REC)),
];

impl Plan {
    /// Sorts out a list of options.
    ///
    /// # Errors
    /// Options only containerd itself can act on, and loop devices.
    pub fn new(options: &[String]) -> Result<Self> {
        let mut plan = Self {
            flags: MsFlags::empty(),
            remount: None,
            propagation: None,
            data: Vec::new(),
            idmap: None,
        };
        let (mut uids, mut gids) = (String::new(), String::new());
        for option in options {
            if let Some((_, set, flag)) = FLAGS.iter().find(|(name, ..)| name == option) {
                plan.flags.set(*flag, *set);
            } else if let Some((_, flag)) = PROPAGATION.iter().find(|(name, _)| name == option) {
                plan.propagation = Some(*flag);
            } else if let Some(map) = option.strip_prefix("uidmap=") {
                map.clone_into(&mut uids);
            } else if let Some(map) = option.strip_prefix("gidmap=") {
                map.clone_into(&mut gids);
            } else if option == "loop" || option.starts_with("X-containerd.") {
                return Err(Error::invalid(format!(
                    "mount option {option:?}: containerd's mount manager has to act on it"
                )));
            } else if option != "defaults" && !option.is_empty() {
                plan.data.push(option.clone());
            }
        }
        match (uids.is_empty(), gids.is_empty()) {
            (true, true) => {}
            (false, false) => plan.idmap = Some((uids, gids)),
            _ => return Err(Error::invalid("mount options uidmap= and gidmap= come together")),
        }
        let binding = MsFlags::MS_BIND | MsFlags::MS_REC;
        if plan.flags.contains(MsFlags::MS_BIND) && !binding.contains(plan.flags) {
            plan.remount = Some((plan.flags - MsFlags::MS_REC) | MsFlags::MS_REMOUNT);
        }
        Ok(plan)
    }
}

/// Overlay options made shorter: mount(2) takes a page at most. Layers are named relative to the
/// directory they have in common, which has to be the working directory then.
pub fn shorten(data: &[String]) -> Option<(String, Vec<String>)> {
    let lower = data.iter().find_map(|option| option.strip_prefix("lowerdir="))?;
    let layers: Vec<&str> = lower.split(':').collect();
    let first = layers.first()?;
    let mut common = &first[..=first.rfind('/')?];
    while !layers.iter().all(|layer| layer.starts_with(common)) {
        common = &common[..=common[..common.len() - 1].rfind('/')?];
    }
    if common == "/" || layers.iter().any(|layer| layer.len() == common.len()) {
        return None;
    }
    let short: Vec<&str> = layers.iter().map(|layer| &layer[common.len()..]).collect();
    let data = data
        .iter()
        .map(|option| {
            if option.starts_with("lowerdir=") {
                format!("lowerdir={}", short.join(":"))
            } else {
                option.clone()
            }
        })
        .collect();
    Some((common.to_owned(), data))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(options: &[&str]) -> Result<Plan> {
        Plan::new(&options.iter().map(|option| (*option).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_read_only_bind_needs_a_second_call() {
        let plan = plan(&["rbind", "ro", "rslave"]).unwrap();
        assert_eq!(plan.flags, MsFlags::MS_BIND | MsFlags::MS_REC | MsFlags::MS_RDONLY);
        let again = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        assert_eq!(plan.remount, Some(again));
        assert_eq!(plan.propagation, Some(MsFlags::MS_SLAVE | MsFlags::MS_REC));
    }

    #[test]
    fn what_is_no_flag_is_the_file_systems() {
        let plan = plan(&["lowerdir=/a:/b", "index=off", "ro", "rw"]).unwrap();
        assert_eq!((plan.flags, plan.remount), (MsFlags::empty(), None));
        assert_eq!(plan.data, ["lowerdir=/a:/b", "index=off"]);
    }

    #[test]
    fn id_maps_come_in_pairs() {
        let both = plan(&["uidmap=0:1000:10", "gidmap=0:2000:10"]).unwrap();
        assert_eq!(both.idmap, Some(("0:1000:10".to_owned(), "0:2000:10".to_owned())));
        assert!(plan(&["uidmap=0:1000:10"]).is_err());
    }

    #[test]
    fn what_only_containerd_can_do_is_refused() {
        assert!(plan(&["X-containerd.mkdir=1"]).is_err());
        assert!(plan(&["loop"]).is_err());
    }

    #[test]
    fn layers_are_named_from_their_common_directory() {
        let data =
            ["upperdir=/s/9/fs", "lowerdir=/s/12/fs:/s/1/fs", "workdir=/s/9/w"].map(str::to_owned);
        let (dir, data) = shorten(&data).unwrap();
        assert_eq!(dir, "/s/");
        assert_eq!(data, ["upperdir=/s/9/fs", "lowerdir=12/fs:1/fs", "workdir=/s/9/w"]);
        assert_eq!(shorten(&["lowerdir=/a:/b".to_owned()]), None);
    }
}
