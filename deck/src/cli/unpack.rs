//! Archives of `cp`: unpacking a container's, which may be hostile, and packing one for it.

use super::failure::{Failure, Outcome};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{Mode, UtimensatFlags, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, linkat, symlinkat, unlinkat};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use tar::{Archive, Entry, EntryType};
use tokio::io::{AsyncRead, DuplexStream};
use tokio_util::io::SyncIoBridge;

/// Where an archive goes.
#[derive(Debug)]
pub struct Unpack {
    /// An existing directory.
    pub directory: PathBuf,
    /// What the archive's first name becomes; `None` drops it.
    pub rename: Option<PathBuf>,
    /// Keep owners, as root can.
    pub owners: bool,
}

/// Unpacks a stream.
///
/// # Errors
/// The stream is no archive, an entry leads out of the directory, or a file can't be made.
pub async fn stream(reader: impl AsyncRead + Send + Unpin + 'static, plan: Unpack) -> Outcome {
    let reader = SyncIoBridge::new(reader);
    let work = tokio::task::spawn_blocking(move || unpack(reader, &plan));
    match work.await {
        Ok(outcome) => outcome,
        Err(error) => Err(Failure::new(format!("unpack: {error}"))),
    }
}

fn unpack(reader: impl Read, plan: &Unpack) -> Outcome {
    let at = |error: io::Error| {
        Failure::new(format!("unpack into {}: {error}", plan.directory.display()))
    };
    let flags = OFlag::O_DIRECTORY | OFlag::O_PATH | OFlag::O_CLOEXEC;
    let root = nix::fcntl::open(&plan.directory, flags, Mode::empty()).map_err(|e| at(e.into()))?;
    let mut archive = Archive::new(reader);
    // Directories get their times and modes last: files in them would change or need them.
    let mut directories = Vec::new();
    for entry in archive.entries().map_err(at)? {
        let mut entry = entry.map_err(at)?;
        let name = entry.path().map_err(at)?.into_owned();
        let shown = |error: Errno| Failure::new(format!("unpack {}: {error}", name.display()));
        let Some(path) = placed(&name, plan.rename.as_deref())
            .ok_or_else(|| Failure::new(format!("unpack: {} leads out", name.display())))?
        else {
            continue;
        };
        let link = entry.link_name().map_err(at)?.map(std::borrow::Cow::into_owned);
        if entry.header().entry_type() == EntryType::Directory {
            directories.push((path.clone(), Facts::of(&entry)));
        }
        make(&root, &path, &mut entry, link.as_deref(), plan).map_err(shown)?;
    }
    for (path, facts) in directories.into_iter().rev() {
        let shown = |error: Errno| Failure::new(format!("unpack {}: {error}", path.display()));
        let (parent, name) = parent(&root, &path).map_err(shown)?;
        facts.apply(&parent, &name, plan.owners, false).map_err(shown)?;
    }
    Ok(())
}

/// A name below the target with its first part replaced; `Some(None)` where nothing is left of it,
/// `None` where it leads out.
#[expect(clippy::option_option, reason = "nothing to do and not allowed are two things")]
fn placed(name: &Path, rename: Option<&Path>) -> Option<Option<PathBuf>> {
    let mut parts = Vec::new();
    for part in name.components() {
        match part {
            Component::Normal(part) => parts.push(part),
            Component::CurDir => {}
            _ => return None,
        }
    }
    let mut path = rename.map(Path::to_path_buf).unwrap_or_default();
    path.extend(parts.into_iter().skip(1));
    Some((!path.as_os_str().is_empty()).then_some(path))
}

/// Opens the directory an entry goes into, following no link: the archive may have made one.
fn parent(root: &OwnedFd, path: &Path) -> nix::Result<(OwnedFd, PathBuf)> {
    let name = path.file_name().map(PathBuf::from).ok_or(Errno::EINVAL)?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let how = OpenHow::new()
        .flags(OFlag::O_DIRECTORY | OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    Ok((openat2(root, parent, how)?, name))
}

fn make<R: Read>(
    root: &OwnedFd,
    path: &Path,
    entry: &mut Entry<'_, R>,
    link: Option<&Path>,
    plan: &Unpack,
) -> nix::Result<()> {
    let (parent, name) = parent(root, path)?;
    let facts = Facts::of(entry);
    match entry.header().entry_type() {
        EntryType::Directory => match mkdirat(&parent, &name, Mode::S_IRWXU) {
            Err(Errno::EEXIST) => {
                // An existing directory is used, a link or a file in its place is not.
                let flags =
                    OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_PATH | OFlag::O_CLOEXEC;
                openat(&parent, &name, flags, Mode::empty()).map(drop)
            }
            other => other,
        },
        EntryType::Symlink => {
            replace(&parent, &name)?;
            symlinkat(link.ok_or(Errno::EINVAL)?, &parent, &name)?;
            facts.apply(&parent, &name, plan.owners, true)
        }
        EntryType::Link => {
            let target = link.and_then(|link| placed(link, plan.rename.as_deref()).flatten());
            let (from, file) = self::parent(root, &target.ok_or(Errno::EINVAL)?)?;
            replace(&parent, &name)?;
            linkat(&from, &file, &parent, &name, AtFlags::empty())
        }
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            replace(&parent, &name)?;
            let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
            let file = openat(&parent, &name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
            io::copy(entry, &mut File::from(file))
                .map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
            facts.apply(&parent, &name, plan.owners, false)
        }
        // Docker's `cp` makes no devices on the host either.
        EntryType::Char | EntryType::Block | EntryType::Fifo => Err(Errno::EOPNOTSUPP),
        _ => Ok(()),
    }
}

/// Makes room: an existing file goes, an existing directory stays and is an error later.
fn replace(parent: &OwnedFd, name: &Path) -> nix::Result<()> {
    match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::ENOENT) => Ok(()),
        other => other,
    }
}

/// What an entry says of its file beyond the content.
struct Facts {
    mode: Mode,
    owner: (u32, u32),
    time: i64,
}

impl Facts {
    fn of<R: Read>(entry: &Entry<'_, R>) -> Self {
        let header = entry.header();
        let id = |number: io::Result<u64>| {
            number.ok().and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
        };
        Self {
            // Without set-uid bits unless owners are kept: the file becomes the caller's.
            mode: Mode::from_bits_truncate(header.mode().unwrap_or(0o644) & 0o7777),
            owner: (id(header.uid()), id(header.gid())),
            time: header.mtime().ok().and_then(|time| i64::try_from(time).ok()).unwrap_or(0),
        }
    }

    fn apply(&self, parent: &OwnedFd, name: &Path, owners: bool, link: bool) -> nix::Result<()> {
        let nofollow = AtFlags::AT_SYMLINK_NOFOLLOW;
        if owners {
            let (uid, gid) = (Uid::from_raw(self.owner.0), Gid::from_raw(self.owner.1));
            fchownat(parent, name, Some(uid), Some(gid), nofollow)?;
        }
        if !link {
            let special = Mode::S_ISUID | Mode::S_ISGID;
            let mode = if owners { self.mode } else { self.mode.difference(special) };
            // Opened first: a name could have become a link, and chmod follows those.
            let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
            let file = openat(parent.as_fd(), name, flags, Mode::empty())?;
            nix::sys::stat::fchmod(&file, mode)?;
        }
        let time = TimeSpec::new(self.time, 0);
        utimensat(parent.as_fd(), name, &time, &time, UtimensatFlags::NoFollowSymlink)
    }
}

/// Packs a file or a directory under a name (`None`: its content under `.`) into a stream.
///
/// # Errors
/// A file can't be read, or nobody reads the stream.
pub async fn pack(path: PathBuf, name: Option<PathBuf>, to: DuplexStream) -> Outcome {
    let to = SyncIoBridge::new(to);
    let work = tokio::task::spawn_blocking(move || {
        let mut builder = tar::Builder::new(to);
        builder.follow_symlinks(false);
        let name = name.unwrap_or_else(|| PathBuf::from("."));
        let metadata = std::fs::symlink_metadata(&path)?;
        if metadata.is_dir() {
            builder.append_dir_all(&name, &path)?;
        } else {
            builder.append_path_with_name(&path, &name)?;
        }
        let mut to = builder.into_inner()?;
        to.shutdown()
    });
    match work.await {
        Ok(result) => result.map_err(|error| Failure::new(format!("pack: {error}"))),
        Err(error) => Err(Failure::new(format!("pack: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};

    fn archive(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, text) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o4755);
            header.set_mtime(7);
            let data = if *kind == EntryType::Regular { text.as_bytes() } else { b"" };
            if matches!(kind, EntryType::Symlink | EntryType::Link) {
                header.set_link_name_literal(text).unwrap();
            }
            // Names that `set_path` refuses are what this is about.
            let raw = &mut header.as_old_mut().name;
            raw[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(data.len() as u64);
            header.set_cksum();
            builder.append(&header, data).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn run(
        entries: &[(&str, EntryType, &str)],
        rename: Option<&str>,
    ) -> (tempfile::TempDir, Outcome) {
        let directory = tempfile::tempdir().unwrap();
        let inside = directory.path().join("in");
        std::fs::create_dir(&inside).unwrap();
        let plan = Unpack { directory: inside, rename: rename.map(PathBuf::from), owners: false };
        let outcome = unpack(archive(entries).as_slice(), &plan);
        (directory, outcome)
    }

    use EntryType::{Directory, Link, Regular, Symlink};

    #[test]
    fn the_top_is_renamed() {
        let (directory, outcome) =
            run(&[("etc/", Directory, ""), ("etc/a", Regular, "text")], Some("new"));
        outcome.unwrap();
        let path = directory.path().join("in/new/a");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.mtime()), (0o755, 7));
    }

    #[test]
    fn contents_go_straight_there() {
        let (directory, outcome) = run(&[("etc/", Directory, ""), ("etc/a", Regular, "x")], None);
        outcome.unwrap();
        assert!(directory.path().join("in/a").exists());
    }

    #[test]
    fn nothing_leads_out() {
        for entries in [
            &[("../a", Regular, "x")][..],
            &[("/a", Regular, "x")],
            &[("t/../../a", Regular, "x")],
            &[("t/", Directory, ""), ("t/l", Symlink, ".."), ("t/l/a", Regular, "x")],
            &[("t/", Directory, ""), ("t/l", Symlink, ".."), ("t/l", Directory, "")],
            &[("t", Link, "../../etc/passwd")],
        ] {
            let (directory, outcome) = run(entries, Some("t"));
            assert!(outcome.is_err(), "{entries:?}");
            assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "{entries:?}");
        }
    }

    #[test]
    fn a_link_in_the_way_is_replaced_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let outside = directory.path().join("outside");
        std::fs::write(&outside, "kept").unwrap();
        let inside = directory.path().join("in");
        std::fs::create_dir(&inside).unwrap();
        symlink(&outside, inside.join("t")).unwrap();
        let plan = Unpack { directory: inside, rename: Some("t".into()), owners: false };
        unpack(archive(&[("t", Regular, "new")]).as_slice(), &plan).unwrap();
        assert_eq!(std::fs::read_to_string(outside).unwrap(), "kept");
    }
}
