//! `cp` and `export`: archives out of and into a container's file system.

use super::root::{Root, fd_path};
use super::{Engine, time};
use crate::error::{At, Error, Result};
use crate::image::apply;
use crate::image::pack::{Pack, pack, pack_one};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::FileStat;
use serde::Serialize;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

/// What `X-Docker-Container-Path-Stat` tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathStat {
    /// Last part of the path.
    pub name: String,
    /// Bytes.
    pub size: i64,
    /// Go's `os.FileMode`.
    pub mode: u32,
    /// RFC 3339.
    pub mtime: String,
    /// Where a link leads.
    #[serde(rename = "linkTarget")]
    pub link_target: String,
}

impl Engine {
    /// What is at a path of a container; a link at its end is not followed.
    ///
    /// # Errors
    /// 404 in Docker's words.
    pub fn stat_path(&self, reference: &str, path: &str) -> Result<PathStat> {
        let (root, id) = self.look(reference)?;
        let missing = |errno| absent(&id, path, errno);
        let stat = root.stat(path).map_err(missing)?;
        // `dir/` and `dir/.` mean what a link leads to.
        let stat = if path.ends_with(['/', '.']) && is_link(&stat) {
            let fd = root.open(path).map_err(missing)?;
            nix::sys::stat::fstat(fd.as_fd()).at(|| format!("stat {path}"))?
        } else {
            stat
        };
        a_directory_where_said(&root, path)?;
        let link_target = if is_link(&stat) {
            let fd = root.open_with(path, OFlag::O_PATH | OFlag::O_NOFOLLOW).map_err(missing)?;
            let target = nix::fcntl::readlinkat(fd.as_fd(), "").at(|| format!("read {path}"))?;
            absolute(path, &target.to_string_lossy())
        } else {
            String::new()
        };
        Ok(PathStat {
            name: base(path),
            size: stat.st_size,
            mode: go_mode(stat.st_mode),
            mtime: time::rfc3339(stat.st_mtime.saturating_mul(time::SECOND)),
            link_target,
        })
    }

    /// Writes an archive of what is at a path, under its last name.
    ///
    /// # Errors
    /// 404; the tree can't be read, the writer fails.
    pub fn read_archive(
        &self,
        reference: &str,
        path: &str,
        writer: impl Write + Send,
    ) -> Result<()> {
        let (root, id) = self.look(reference)?;
        let missing = |errno| absent(&id, path, errno);
        let stat = root.stat(path).map_err(missing)?;
        a_directory_where_said(&root, path)?;
        let follow = is_link(&stat) && path.ends_with(['/', '.']);
        let name = base(path);
        let clean = super::mounts::clean(path);
        let directory = root.is_directory(path) && (follow || !is_link(&stat));
        root.inside(move || {
            let mut writer = std::io::BufWriter::with_capacity(1 << 16, writer);
            if directory && name == "/" {
                pack(Path::new("/"), Path::new(""), &mut writer, Pack::default())?;
            } else {
                let place = if follow { format!("{clean}/.") } else { clean };
                pack_one(Path::new(&place), Path::new(&name), &mut writer)?;
            }
            writer.flush().at(|| "write the archive")
        })
    }

    /// Unpacks an archive at a directory of a container. With `keep` a directory and something that
    /// is none do not take each other's place.
    ///
    /// # Errors
    /// 404 without the directory, 400 when it is none or the archive is malformed.
    pub fn write_archive(
        &self,
        reference: &str,
        path: &str,
        keep: bool,
        mut reader: impl Read + Send,
    ) -> Result<()> {
        let container = self.settle(self.find(reference)?)?;
        if container.host.readonly_rootfs && self.below_no_volume(&container, path) {
            return Err(Error::new(403, "container rootfs is marked read-only"));
        }
        let (root, id) = self.look(&container.id)?;
        let target =
            root.open_with(path, OFlag::O_PATH | OFlag::O_DIRECTORY).map_err(
                |errno| match errno {
                    Errno::ENOTDIR => Error::invalid("extraction point is not a directory"),
                    errno => absent(&id, path, errno),
                },
            )?;
        let into = apply::Root::open(&fd_path(target.as_fd()))?;
        let layer = apply::Options::layer(apply::Whiteouts::Literal);
        let options = apply::Options { replace: !keep, ..layer };
        crate::privileges::files(|| {
            let mut plain = crate::image::decompress::reader(Box::new(&mut reader))?;
            apply::apply(&into, &mut plain, &options).map(drop)
        })
    }

    /// Whether no volume covers a path.
    fn below_no_volume(&self, container: &super::record::Container, path: &str) -> bool {
        let _ = self;
        let path = super::mounts::clean(path);
        !container.mounts.iter().any(|point| {
            path.strip_prefix(&point.destination)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// Writes an archive of a container's whole file system, without volumes.
    ///
    /// # Errors
    /// 404; the tree can't be read, the writer fails.
    pub fn export(&self, reference: &str, writer: impl Write + Send) -> Result<()> {
        let container = self.find(reference)?;
        let lock = self.lock(&container.id)?;
        let container = self.settled(&container.id, &lock)?;
        let root = if container.state.status.is_alive() {
            Root::at(&self.config.bundle_dir(&container.id).join("rootfs"))?
        } else {
            self.mount_root(&container)?
        };
        drop(lock);
        root.inside(move || {
            let writer = std::io::BufWriter::with_capacity(1 << 16, writer);
            let mut writer = pack(Path::new("/"), Path::new(""), writer, Pack::default())?;
            writer.flush().at(|| "write the archive")
        })?;
        self.emit_container(&container, "export", &[]);
        Ok(())
    }

    /// A container's root and its id.
    fn look(&self, reference: &str) -> Result<(Root, String)> {
        let id = self.find(reference)?.id;
        let lock = self.lock(&id)?;
        let container = self.settled(&id, &lock)?;
        Ok((self.open_root(&container)?, id))
    }
}

/// Docker's words for a path that isn't there.
fn absent(id: &str, path: &str, errno: Errno) -> Error {
    match errno {
        Errno::ENOENT | Errno::ENOTDIR => {
            Error::not_found(format!("Could not find the file {path} in container {id}"))
        }
        errno => Error::internal(format!("{path} in container {id}: {}", errno.desc())),
    }
}

/// The last part of a path; the root is `/`.
fn base(path: &str) -> String {
    let clean = super::mounts::clean(path);
    clean.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("/").to_string()
}

/// Where a link leads, by words, from the root.
fn absolute(path: &str, target: &str) -> String {
    if target.starts_with('/') {
        return super::mounts::clean(target);
    }
    super::mounts::clean(&format!("{}/../{target}", super::mounts::clean(path)))
}

/// Refuses what is there and no directory, where the path says that it is one: `file/`, `file/.`.
fn a_directory_where_said(root: &Root, path: &str) -> Result<()> {
    let said = path.ends_with('/') || path.ends_with("/.");
    if said && !root.is_directory(path) {
        return Err(Error::invalid(format!("{path}: not a directory")));
    }
    Ok(())
}

fn is_link(stat: &FileStat) -> bool {
    stat.st_mode & libc::S_IFMT == libc::S_IFLNK
}

/// Go's bits for file types and the special permissions (`io/fs.FileMode`).
fn go_mode(mode: u32) -> u32 {
    let kind = match mode & libc::S_IFMT {
        libc::S_IFDIR => 1 << 31,
        libc::S_IFLNK => 1 << 27,
        libc::S_IFBLK => 1 << 26,
        libc::S_IFIFO => 1 << 25,
        libc::S_IFSOCK => 1 << 24,
        libc::S_IFCHR => 1 << 26 | 1 << 21,
        _ => 0,
    };
    let special = [(libc::S_ISUID, 1 << 23), (libc::S_ISGID, 1 << 22), (libc::S_ISVTX, 1 << 20)];
    let special = special.iter().filter(|(bit, _)| mode & bit != 0).map(|(_, go)| go);
    special.fold(kind | mode & 0o777, |all, bit| all | bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_gos() {
        assert_eq!(go_mode(libc::S_IFREG | 0o644), 420);
        assert_eq!(go_mode(libc::S_IFDIR | 0o755), (1 << 31) | 0o755);
        assert_eq!(go_mode(libc::S_IFDIR | 0o1777), (1 << 31) | (1 << 20) | 0o777);
        assert_eq!(go_mode(libc::S_IFLNK | 0o777), (1 << 27) | 0o777);
    }

    #[test]
    fn names() {
        assert_eq!(base("/etc/passwd"), "passwd");
        assert_eq!(base("/etc/"), "etc");
        assert_eq!(base("/"), "/");
        assert_eq!(absolute("/a/link", "b"), "/a/b");
        assert_eq!(absolute("/a/link", "../../x"), "/x");
    }
}
