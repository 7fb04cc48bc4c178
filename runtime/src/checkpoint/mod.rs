//! `checkpoint` and `restore`: the processes of a container as files, and back, by
//! [CRIU](https://criu.org).
//!
//! hull starts `criu swrk`, which serves one client on a socket it inherits: [`service`] runs it,
//! [`message`] and [`wire`] are its language. Namespaces, memory, files and sockets are CRIU's
//! matter. hull's is what lies at the edge of the container: which mounts, namespaces, pipes and
//! terminals come from the outside ([`outside`]), the cgroup ([`restore`]), the mount points in the
//! root file system ([`stage`]), hooks, and the container's state.

pub mod dump;
pub mod message;
pub mod outside;
pub mod restore;
pub mod service;
pub mod stage;
pub mod wire;

use crate::error::{At, Error, Result};
use crate::sys::fd::open_path;
use message::{CgroupMode, Opts, PageServer};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use service::Criu;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The file in the directory of images that tells what standard input, output and error were, as
/// runc writes it too.
const DESCRIPTORS: &str = "descriptors.json";

/// Names CRIU files of further options, unless the configuration has [`ANNOTATION`]: the first that
/// is there. The second is the one other runtimes read.
const CONFIG_FILES: [&str; 2] = ["/etc/criu/hull.conf", "/etc/criu/runc.conf"];
/// The annotation that names another file, or none if it is empty.
const ANNOTATION: &str = "org.criu.config";

/// What the command line says; see the flags of `checkpoint` and `restore` for the meanings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// `--image-path`
    pub image_path: PathBuf,
    /// `--work-path`
    pub work_path: Option<PathBuf>,
    /// `--parent-path`
    pub parent_path: Option<String>,
    /// `--leave-running`
    pub leave_running: bool,
    /// `--tcp-established`
    pub tcp_established: bool,
    /// `--tcp-skip-in-flight`
    pub tcp_skip_in_flight: bool,
    /// `--tcp-close`
    pub tcp_close: bool,
    /// `--link-remap`
    pub link_remap: bool,
    /// `--ext-unix-sk`
    pub ext_unix_sk: bool,
    /// `--shell-job`
    pub shell_job: bool,
    /// `--lazy-pages`
    pub lazy_pages: bool,
    /// `--status-fd`
    pub status_fd: Option<i32>,
    /// `--page-server`
    pub page_server: Option<PageServer>,
    /// `--file-locks`
    pub file_locks: bool,
    /// `--pre-dump`
    pub pre_dump: bool,
    /// `--manage-cgroups-mode`
    pub cgroup_mode: CgroupMode,
    /// `--auto-dedup`
    pub auto_dedup: bool,
    /// `--lsm-profile`
    pub lsm_profile: Option<String>,
    /// `--lsm-mount-context`
    pub lsm_mount_context: Option<String>,
}

/// The directories of a dump or restore, open.
struct Directories {
    images: OwnedFd,
    work: Option<OwnedFd>,
    /// Where the log goes.
    log: PathBuf,
}

impl Directories {
    /// Opens the directory of images and makes and opens the working directory.
    fn open(options: &Options, log_file: &str) -> Result<Self> {
        let images = directory(&options.image_path).at(|| "--image-path")?;
        let work = options
            .work_path
            .as_deref()
            .map(|path| make_directory(path).and_then(|()| directory(path)).at(|| "--work-path"));
        let log = options.work_path.as_ref().unwrap_or(&options.image_path).join(log_file);
        Ok(Self { images, work: work.transpose()?, log })
    }
}

impl Directories {
    /// All that are open.
    fn all(&self) -> Vec<BorrowedFd<'_>> {
        std::iter::once(&self.images).chain(&self.work).map(AsFd::as_fd).collect()
    }

    /// The same directories as CRIU has opened them, the first with the number `first` there.
    fn as_seen_by(&mut self, criu: &Criu, first: RawFd) -> Result<()> {
        self.images = criu.directory(first)?;
        if let Some(work) = &mut self.work {
            *work = criu.directory(first + 1)?;
        }
        Ok(())
    }
}

fn directory(path: &Path) -> Result<OwnedFd> {
    open_path(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY).at(|| format!("open({})", path.display()))
}

/// Images hold the memory of processes: nobody else may read them.
fn make_directory(path: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .at(|| format!("mkdir({})", path.display()))
}

/// What dump and restore tell CRIU alike.
fn common(options: &Options, directories: &Directories, log_file: &'static str) -> Opts {
    Opts {
        // CRIU opens both by the number they have here.
        images_fd: directories.images.as_raw_fd(),
        work_fd: directories.work.as_ref().map(AsRawFd::as_raw_fd),
        log_file,
        ext_unix_sk: options.ext_unix_sk,
        tcp_established: options.tcp_established,
        shell_job: options.shell_job,
        file_locks: options.file_locks,
        auto_dedup: options.auto_dedup,
        lazy_pages: options.lazy_pages,
        cgroup_mode: Some(options.cgroup_mode),
        // Devices, addresses and routes belong to who made the network; hooks bring them back.
        empty_ns: libc::CLONE_NEWNET.cast_unsigned(),
        ..Opts::default()
    }
}

/// The file of further options.
fn config_file(annotation: Option<&String>) -> Option<String> {
    match annotation {
        Some(path) => (!path.is_empty()).then(|| path.clone()),
        None => CONFIG_FILES.iter().find(|path| Path::new(path).exists()).map(|&it| it.to_owned()),
    }
}

/// CRIU needs nearly all capabilities, those over other processes' memory among them.
///
/// # Errors
/// An ordinary user.
fn check_privilege(command: &str) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::new(
            crate::error::Kind::Kernel(Errno::EPERM),
            format!("{command} needs root: operation not permitted"),
        ));
    }
    if crate::host::in_user_namespace() {
        crate::log::warn(format_args!("{command} in a user namespace may be more than criu can"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotation_decides_about_further_options() {
        assert_eq!(config_file(Some(&"/x".to_owned())).as_deref(), Some("/x"));
        assert_eq!(config_file(Some(&String::new())), None);
    }
}
