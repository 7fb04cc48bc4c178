//! `mounts` (config.md "Mounts") as operations for init, in the listed order.

use super::mount_options::{self, Effect, MS_NOSYMFOLLOW};
use super::namespaces::id_map;
use crate::spec::{IdMapping, Mount, Problem};
use crate::sys::mount::{
    MOUNT_ATTR_ATIME, MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSYMFOLLOW, MOUNT_ATTR_RDONLY,
    MOUNT_ATTR_STRICTATIME, MountAttr,
};
use nix::libc;
use std::ffi::CString;
use std::path::{Component, Path};

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountOp {
    /// Index in `mounts`, for messages.
    pub index: usize,
    /// Absolute, lexically clean path in the container.
    pub destination: CString,
    /// What is mounted there.
    pub kind: MountKind,
    /// mount(2) flags asked for, without MS_BIND and MS_REC.
    pub flags: u64,
    /// mount(2) flags asked to be clear.
    pub cleared: u64,
    /// Attributes for the whole tree (`rro` and so on), if any.
    pub recursive: Option<MountAttr>,
    /// Propagation changes, in order.
    pub propagation: Vec<u64>,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountKind {
    /// A file or directory of the host.
    Bind {
        /// Absolute path on the host.
        source: CString,
        /// With the mounts below it.
        recursive: bool,
        /// Id mapping, if asked for.
        idmap: Option<IdMap>,
    },
    /// procfs or sysfs: the destination must be a plain directory.
    Kernel {
        /// `proc` or `sysfs`.
        fstype: CString,
        /// Shown in mountinfo.
        source: CString,
        /// Options for the file system.
        data: CString,
    },
    /// tmpfs; read-only only at the end, so that mounts below it can be made.
    Tmpfs {
        /// Shown in mountinfo.
        source: CString,
        /// Options for the file system.
        data: CString,
        /// Starts with a copy of what it covers.
        copy_up: bool,
    },
    /// The container's view of its cgroups.
    Cgroup {
        /// Options for the file system (v2).
        data: CString,
    },
    /// Any other file system.
    Filesystem {
        /// Its type.
        fstype: CString,
        /// Device or name.
        source: CString,
        /// Options for the file system.
        data: CString,
    },
    /// A new set of flags for what is mounted there already.
    Remount {
        /// Options for the file system.
        data: CString,
    },
}

/// An id-mapped mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap {
    /// The mounts below it too.
    pub recursive: bool,
    /// Own mappings; absent: those of the container's user namespace.
    pub maps: Option<(String, String)>,
}

/// What decides about mounts besides the entry itself.
pub struct Context<'a> {
    /// Absolute path of the bundle, base of relative sources.
    pub bundle: &'a Path,
    /// Absolute path of the root file system on the host.
    pub root: &'a Path,
    /// SELinux label for file systems that take one; empty: none.
    pub mount_label: &'a str,
    /// The container has its own user namespace.
    pub has_user_namespace: bool,
}

#[derive(Default)]
struct Options {
    flags: u64,
    cleared: u64,
    recursive: MountAttr,
    propagation: Vec<u64>,
    copy_up: bool,
    idmap: Option<bool>,
    data: Vec<String>,
}

/// Plans every entry; what can't be done goes to `problems`.
pub fn plan(mounts: &[Mount], context: &Context<'_>, problems: &mut Vec<Problem>) -> Vec<MountOp> {
    let mut ops = Vec::with_capacity(mounts.len());
    for (index, mount) in mounts.iter().enumerate() {
        match plan_one(index, mount, context) {
            Ok(op) => ops.push(op),
            Err(what) => problems.push(Problem::new(format!("mounts[{index}]"), what)),
        }
    }
    ops
}

fn plan_one(index: usize, mount: &Mount, context: &Context<'_>) -> Result<MountOp, String> {
    let options = parse(&mount.options);
    let destination = destination(&mount.destination, context.root);
    let kind = kind(mount, &options, context)?;
    check_proc(&destination, &kind)?;
    let recursive = (options.recursive != MountAttr::default()).then_some(options.recursive);
    Ok(MountOp {
        index,
        destination: c_string(&destination, "destination")?,
        kind,
        flags: options.flags & !(libc::MS_BIND | libc::MS_REC),
        cleared: options.cleared,
        recursive,
        propagation: options.propagation,
    })
}

fn parse(list: &[String]) -> Options {
    let mut options = Options::default();
    for option in list {
        match mount_options::lookup(option) {
            Some(Effect::Set(flags)) => {
                options.flags |= flags;
                options.cleared &= !flags;
            }
            Some(Effect::Clear(flags)) => {
                options.flags &= !flags;
                options.cleared |= flags;
            }
            Some(Effect::Propagation(flags)) => options.propagation.push(flags),
            Some(Effect::SetRecursive(bits)) => set_recursive(&mut options.recursive, bits),
            Some(Effect::ClearRecursive(bits)) => clear_recursive(&mut options.recursive, bits),
            Some(Effect::CopyUp) => options.copy_up = true,
            Some(Effect::IdMap(recursive)) => options.idmap = Some(recursive),
            None => options.data.push(option.clone()),
        }
    }
    options
}

/// Access time policies exclude each other and are changed by clearing the whole field
/// (mount_setattr(2)).
fn set_recursive(attr: &mut MountAttr, bits: u64) {
    if is_atime(bits) {
        attr.set &= !MOUNT_ATTR_ATIME;
        attr.clear |= MOUNT_ATTR_ATIME;
    } else {
        attr.clear &= !bits;
    }
    attr.set |= bits;
}

fn clear_recursive(attr: &mut MountAttr, bits: u64) {
    if is_atime(bits) {
        // Clearing any of the policies means going back to the default, relatime.
        attr.set &= !MOUNT_ATTR_ATIME;
        attr.clear |= MOUNT_ATTR_ATIME;
    } else {
        attr.set &= !bits;
        attr.clear |= bits;
    }
}

fn is_atime(bits: u64) -> bool {
    bits == 0 || bits & MOUNT_ATTR_ATIME != 0
}

fn kind(mount: &Mount, options: &Options, context: &Context<'_>) -> Result<MountKind, String> {
    let is_bind = options.flags & libc::MS_BIND != 0 || mount.typ == "bind";
    let mapped = !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty();
    if (options.idmap.is_some() || mapped) && !is_bind {
        return Err("id-mapped mounts are only possible for bind mounts".to_owned());
    }
    if options.copy_up && mount.typ != "tmpfs" {
        return Err("option tmpcopyup is only possible for tmpfs".to_owned());
    }
    let source = c_string(&mount.source, "source")?;
    if is_bind {
        return bind(mount, options, context);
    }
    let data = data(mount, options, context)?;
    if options.flags & libc::MS_REMOUNT != 0 {
        return Ok(MountKind::Remount { data });
    }
    Ok(match mount.typ.as_str() {
        "" => return Err("has neither a type nor the option bind or rbind".to_owned()),
        "proc" | "sysfs" => {
            MountKind::Kernel { fstype: c_string(&mount.typ, "type")?, source, data }
        }
        "tmpfs" => MountKind::Tmpfs { source, data, copy_up: options.copy_up },
        "cgroup" | "cgroup2" => MountKind::Cgroup { data },
        other => MountKind::Filesystem { fstype: c_string(other, "type")?, source, data },
    })
}

fn bind(mount: &Mount, options: &Options, context: &Context<'_>) -> Result<MountKind, String> {
    if !options.data.is_empty() {
        // The kernel would ignore them in silence: data belongs to the file system, and a bind
        // mount makes none.
        return Err(format!(
            "bind mounts cannot have any filesystem-specific options applied: {}",
            options.data.join(",")
        ));
    }
    if mount.source.is_empty() {
        return Err("a bind mount needs a source".to_owned());
    }
    let source = context.bundle.join(&mount.source);
    Ok(MountKind::Bind {
        source: c_string(&source.to_string_lossy(), "source")?,
        recursive: options.flags & libc::MS_REC != 0,
        idmap: idmap(mount, options, context)?,
    })
}

fn idmap(mount: &Mount, options: &Options, context: &Context<'_>) -> Result<Option<IdMap>, String> {
    let has_maps = !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty();
    if options.idmap.is_none() && !has_maps {
        return Ok(None);
    }
    if mount.uid_mappings.is_empty() != mount.gid_mappings.is_empty() {
        return Err("uidMappings and gidMappings must be given together".to_owned());
    }
    if !has_maps && !context.has_user_namespace {
        return Err("option idmap without mappings needs a user namespace".to_owned());
    }
    let text = |maps: &[IdMapping]| id_map(maps);
    Ok(Some(IdMap {
        recursive: options.idmap.unwrap_or(false),
        maps: has_maps.then(|| (text(&mount.uid_mappings), text(&mount.gid_mappings))),
    }))
}

fn data(mount: &Mount, options: &Options, context: &Context<'_>) -> Result<CString, String> {
    let mut data = options.data.join(",");
    // These take no SELinux context: their files are labelled by the kernel's policy.
    let labelled =
        !matches!(mount.typ.as_str(), "proc" | "sysfs" | "mqueue" | "cgroup" | "cgroup2");
    if !context.mount_label.is_empty() && labelled {
        if !data.is_empty() {
            data.push(',');
        }
        data.push_str("context=\"");
        data.push_str(context.mount_label);
        data.push('"');
    }
    c_string(&data, "options")
}

/// Nothing may be mounted inside /proc but the files that container managers are known to
/// replace: a fake /proc would turn the runtime's own writes there (LSM labels, sysctls) into
/// something else (CVE-2019-16884, CVE-2025-52881).
fn check_proc(destination: &str, kind: &MountKind) -> Result<(), String> {
    const ALLOWED: [&str; 10] = [
        "/proc/cpuinfo",
        "/proc/diskstats",
        "/proc/meminfo",
        "/proc/stat",
        "/proc/swaps",
        "/proc/uptime",
        "/proc/loadavg",
        "/proc/slabinfo",
        "/proc/sys/kernel/ns_last_pid",
        "/proc/sys/crypto/fips_enabled",
    ];
    if destination == "/proc" {
        return match kind {
            // That a bind's source is a procfs is seen when it is opened.
            MountKind::Bind { .. } | MountKind::Remount { .. } => Ok(()),
            MountKind::Kernel { fstype, .. } if fstype.as_c_str() == c"proc" => Ok(()),
            _ => Err("\"/proc\" cannot be mounted because it is not of type proc".to_owned()),
        };
    }
    if destination.starts_with("/proc/") && !ALLOWED.contains(&destination) {
        return Err(format!("{destination:?} cannot be mounted because it is inside /proc"));
    }
    Ok(())
}

/// The path inside the container; one that starts with the root's own path on the host means the
/// same without it, as in other runtimes.
fn destination(path: &str, root: &Path) -> String {
    let path = clean(path);
    let root = clean(&root.to_string_lossy());
    match path.strip_prefix(&root) {
        Some(inside) if root != "/" && (inside.is_empty() || inside.starts_with('/')) => {
            clean(inside)
        }
        _ => path,
    }
}

/// Lexically clean and absolute: `a/../b//c` is `/b/c`.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str().unwrap_or_default()),
            Component::ParentDir => drop(parts.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    format!("/{}", parts.join("/"))
}

fn c_string(text: &str, what: &str) -> Result<CString, String> {
    CString::new(text).map_err(|_| format!("{what} contains a NUL byte"))
}

/// Flags of mount(2) that a more privileged user namespace may have locked, besides the access
/// time policy (mount_namespaces(7)).
const LOCKABLE: u64 = libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;

/// Which access times are kept; always locked.
const ATIME: u64 =
    libc::MS_NOATIME | libc::MS_NODIRATIME | libc::MS_RELATIME | libc::MS_STRICTATIME;

/// The mount_setattr(2) form of mount(2) flags for a bind mount: flags that were asked for are
/// set, and all others of that kind cleared, as `mount --bind -o` is meant to work; access times
/// stay as they are unless a policy is asked for, as with MS_REMOUNT. None when the entry asks for
/// nothing.
pub fn bind_attr(flags: u64, cleared: u64) -> Option<MountAttr> {
    const PAIRS: [(u64, u64); 5] = [
        (libc::MS_RDONLY, MOUNT_ATTR_RDONLY),
        (libc::MS_NOSUID, MOUNT_ATTR_NOSUID),
        (libc::MS_NODEV, MOUNT_ATTR_NODEV),
        (libc::MS_NOEXEC, MOUNT_ATTR_NOEXEC),
        (MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW),
    ];
    if flags & !libc::MS_REMOUNT == 0 && cleared == 0 {
        return None;
    }
    let mut attr = MountAttr::default();
    for (flag, bit) in PAIRS {
        if flags & flag != 0 { attr.set |= bit } else { attr.clear |= bit }
    }
    if flags & ATIME == 0 {
        return Some(attr);
    }
    attr.clear |= MOUNT_ATTR_ATIME;
    // As in mount(2), strictatime wins over noatime, and relatime is what is left.
    if flags & libc::MS_STRICTATIME != 0 {
        attr.set |= MOUNT_ATTR_STRICTATIME;
    } else if flags & libc::MS_NOATIME != 0 {
        attr.set |= MOUNT_ATTR_NOATIME;
    }
    if flags & libc::MS_NODIRATIME != 0 {
        attr.set |= MOUNT_ATTR_NODIRATIME;
    } else {
        attr.clear |= MOUNT_ATTR_NODIRATIME;
    }
    Some(attr)
}

/// The same where a more privileged user namespace has locked the flags that the source has
/// (mount_namespaces(7)): those stay that were not mentioned.
///
/// # Errors
/// Names of locked flags that the entry wants to be otherwise.
pub fn bind_attr_locked(flags: u64, cleared: u64, source: u64) -> Result<MountAttr, String> {
    const NAMES: [(u64, &str); 4] = [
        (libc::MS_RDONLY, "ro"),
        (libc::MS_NOSUID, "nosuid"),
        (libc::MS_NODEV, "nodev"),
        (libc::MS_NOEXEC, "noexec"),
    ];
    let kept: Vec<&str> = NAMES
        .iter()
        .filter(|(flag, _)| source & cleared & flag != 0)
        .map(|(_, name)| *name)
        .collect();
    if !kept.is_empty() {
        return Err(kept.join(","));
    }
    if flags & ATIME != 0 && flags & ATIME != source & ATIME {
        return Err("atime flags".to_owned());
    }
    let attr = bind_attr(flags | source & LOCKABLE, cleared).unwrap_or_default();
    // What is set there already needs no clearing, which would be refused.
    let atime = MOUNT_ATTR_ATIME | MOUNT_ATTR_NODIRATIME;
    Ok(MountAttr { set: attr.set & !atime, clear: attr.clear & !atime, ..attr })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(json: &str) -> Result<MountOp, String> {
        let mount: Mount = serde_json::from_str(json).unwrap();
        let context = Context {
            bundle: Path::new("/b"),
            root: Path::new("/b/rootfs"),
            mount_label: "",
            has_user_namespace: false,
        };
        plan_one(0, &mount, &context)
    }

    #[test]
    fn relative_destination_and_source() {
        let op =
            one(r#"{"destination":"a/../data/","source":"src","options":["rbind","ro"]}"#).unwrap();
        assert_eq!(op.destination.as_c_str(), c"/data");
        let MountKind::Bind { source, recursive, .. } = op.kind else { panic!("{:?}", op.kind) };
        assert_eq!(source.as_c_str(), c"/b/src");
        assert!(recursive);
        assert_eq!(op.flags, libc::MS_RDONLY);
    }

    #[test]
    fn later_options_win() {
        let op =
            one(r#"{"destination":"/x","type":"tmpfs","options":["ro","rw","size=1k","nosuid"]}"#);
        let op = op.unwrap();
        assert_eq!((op.flags, op.cleared), (libc::MS_NOSUID, libc::MS_RDONLY));
        let MountKind::Tmpfs { data, .. } = op.kind else { panic!() };
        assert_eq!(data.as_c_str(), c"size=1k");
    }

    #[test]
    fn proc_is_guarded() {
        for bad in ["/proc/self/attr", "/proc/sys", "/proc/net/dev", "proc/../proc/self"] {
            let json = format!(r#"{{"destination":"{bad}","type":"tmpfs","source":"t"}}"#);
            assert!(one(&json).is_err(), "{bad}");
        }
        assert!(one(r#"{"destination":"/proc","type":"tmpfs"}"#).is_err());
        assert!(one(r#"{"destination":"/proc","type":"proc"}"#).is_ok());
        assert!(one(r#"{"destination":"/proc/meminfo","source":"/x","options":["bind"]}"#).is_ok());
        assert!(one(r#"{"destination":"/process","type":"tmpfs"}"#).is_ok());
    }

    #[test]
    fn refused_combinations() {
        for (json, part) in [
            (
                r#"{"destination":"/x","source":"/y","options":["bind","size=3"]}"#,
                "filesystem-specific",
            ),
            (r#"{"destination":"/x","options":["bind"]}"#, "needs a source"),
            (r#"{"destination":"/x","source":"/y"}"#, "neither a type"),
            (
                r#"{"destination":"/x","type":"tmpfs","options":["idmap"]}"#,
                "only possible for bind",
            ),
            (
                r#"{"destination":"/x","type":"proc","options":["tmpcopyup"]}"#,
                "only possible for tmpfs",
            ),
            (
                r#"{"destination":"/x","source":"/y","options":["bind","idmap"]}"#,
                "needs a user namespace",
            ),
        ] {
            let error = one(json).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn bind_attributes() {
        assert_eq!(bind_attr(0, 0), None);
        let attr = bind_attr(libc::MS_RDONLY | libc::MS_NOATIME, 0).unwrap();
        assert_eq!(attr.set, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME);
        assert_eq!(attr.clear & MOUNT_ATTR_ATIME, MOUNT_ATTR_ATIME);
        assert_ne!(attr.clear & MOUNT_ATTR_NOSUID, 0);
    }

    #[test]
    fn access_times_follow_mount() {
        // A policy that is only cleared is no policy: the source's stays.
        let attr = bind_attr(0, libc::MS_NOATIME | libc::MS_RELATIME).unwrap();
        assert_eq!((attr.set | attr.clear) & (MOUNT_ATTR_ATIME | MOUNT_ATTR_NODIRATIME), 0);
        let attr = bind_attr(libc::MS_NODIRATIME, 0).unwrap();
        assert_eq!((attr.set, attr.clear & MOUNT_ATTR_ATIME), (MOUNT_ATTR_NODIRATIME, 0x70));
        let attr = bind_attr(libc::MS_STRICTATIME | libc::MS_NOATIME, 0).unwrap();
        assert_eq!(attr.set, MOUNT_ATTR_STRICTATIME);
        assert_eq!(attr.clear & MOUNT_ATTR_NODIRATIME, MOUNT_ATTR_NODIRATIME);
    }

    #[test]
    fn locked_flags_stay() {
        let source = libc::MS_NOSUID | libc::MS_RDONLY | libc::MS_RELATIME | MS_NOSYMFOLLOW;
        let attr = bind_attr_locked(libc::MS_NOEXEC, libc::MS_NODEV, source).unwrap();
        assert_eq!(attr.set, MOUNT_ATTR_NOSUID | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC);
        assert_eq!(attr.clear, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSYMFOLLOW);
        for (flags, cleared, name) in [
            (0, libc::MS_RDONLY | libc::MS_NOSUID, "ro,nosuid"),
            (libc::MS_NOATIME, 0, "atime flags"),
            (libc::MS_RELATIME | libc::MS_NODIRATIME, 0, "atime flags"),
        ] {
            assert_eq!(bind_attr_locked(flags, cleared, source), Err(name.to_owned()));
        }
        assert!(bind_attr_locked(libc::MS_RELATIME, 0, source).is_ok());
    }

    #[test]
    fn destinations_may_start_with_the_root() {
        let op = one(r#"{"destination":"/b/rootfs/mnt","type":"tmpfs"}"#).unwrap();
        assert_eq!(op.destination.as_c_str(), c"/mnt");
        let op = one(r#"{"destination":"/b/rootfs2","type":"tmpfs"}"#).unwrap();
        assert_eq!(op.destination.as_c_str(), c"/b/rootfs2");
        assert!(one(r#"{"destination":"/b/rootfs/proc/sys","type":"tmpfs"}"#).is_err());
    }

    #[test]
    fn recursive_atime_is_a_field() {
        let op = one(r#"{"destination":"/x","source":"/y","options":["bind","rnoatime","rro"]}"#)
            .unwrap();
        let attr = op.recursive.unwrap();
        assert_eq!(attr.set, MOUNT_ATTR_NOATIME | MOUNT_ATTR_RDONLY);
        assert_eq!(attr.clear, MOUNT_ATTR_ATIME);
    }
}
