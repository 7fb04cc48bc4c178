//! `checkpoint`: writing the images.

use super::message::{Features, Opts, Type, request};
use super::service::{Criu, Start};
use super::{ANNOTATION, DESCRIPTORS, Directories, Options};
use super::{check_privilege, common, config_file, make_directory, outside};
use crate::container::{Container, Status, Store, delete};
use crate::error::{At, Error, Kind, Result};
use crate::plan::namespaces::NamespacePlan;
use crate::spec::Spec;
use crate::sys::child::Exit;
use crate::sys::fd::{adopt, open_path};
use nix::fcntl::OFlag;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

const LOG: &str = "dump.log";

/// Writes the images, and deletes the container unless it is to stay.
///
/// # Errors
/// A container that does not run; what CRIU could not dump, and then the container goes on.
pub fn dump(store: &Store, container: &Container, options: &Options) -> Result<()> {
    check_privilege("checkpoint")?;
    let _guard = container.slot.lock()?;
    match container.status()? {
        Status::Running | Status::Paused => {}
        status => {
            return Err(Error::new(
                Kind::State,
                format!("Container cannot be checkpointed in {status} state"),
            ));
        }
    }
    let mut status_fd = options.status_fd.map(status_fd).transpose()?;
    make_directory(&options.image_path).at(|| "--image-path")?;
    check_parent(options)?;
    let directories = Directories::open(options, LOG)?;
    let opts = opts(container, options, &directories)?;
    if !options.pre_dump {
        describe_streams(container, &options.image_path)?;
    }
    let null = open_path(Path::new("/dev/null"), OFlag::O_RDWR).at(|| "open(/dev/null)")?;
    let stdio = Some([null.as_fd(), null.as_fd()]);
    let criu = Criu::start(&Start { stdio, ..Start::default() })?;
    check_features(&criu, options)?;
    let kind = if options.pre_dump { Type::PreDump } else { Type::Dump };
    criu.carry_out(&request(kind, &opts), &directories.log, &mut |response, _| {
        if response.step == "status-ready"
            && let Some(fd) = status_fd.take()
        {
            nix::unistd::write(&fd, &[0]).at(|| "write(--status-fd)")?;
        }
        Ok(())
    })?;
    let exit = criu.finish()?;
    // After a pre-dump CRIU waits for the next one, and takes the end of the socket for an error.
    if !options.pre_dump && exit != Exit::Status(0) {
        return Err(Error::new(Kind::Init, format!("criu ended with {}", exit.code())));
    }
    if options.pre_dump || options.leave_running {
        return Ok(());
    }
    let hooks = delete::poststop_hooks(container);
    delete::kill_and_wait(container)?;
    delete::destroy(store, container, hooks)
}

fn opts(container: &Container, options: &Options, directories: &Directories) -> Result<Opts> {
    let pid =
        container.init_pid().ok_or_else(|| Error::new(Kind::State, "container not running"))?;
    let spec = &container.config()?.spec;
    let state = &container.state;
    let ext_mnt = if options.pre_dump {
        Vec::new()
    } else {
        outside::dumped(spec, state, &container.slot.path)?
    };
    Ok(Opts {
        pid: Some(pid),
        root: Some(state.rootfs.as_os_str().as_encoded_bytes().to_vec()),
        leave_running: options.leave_running,
        tcp_skip_in_flight: options.tcp_skip_in_flight,
        link_remap: options.link_remap,
        track_mem: options.parent_path.is_some(),
        parent_img: options.parent_path.clone(),
        page_server: options.page_server.clone(),
        external: outside::dumped_namespaces(&joined(spec))?,
        ext_mnt,
        freeze_cgroup: container
            .cgroup()?
            .freezer_place()
            .map(|(_, path)| path.as_os_str().as_encoded_bytes().to_vec()),
        config_file: config_file(state.annotations.get(ANNOTATION)),
        ..common(options, directories, LOG)
    })
}

fn joined(spec: &Spec) -> NamespacePlan {
    // It was checked when the container was made.
    spec.linux
        .as_ref()
        .map_or_else(NamespacePlan::default, |linux| NamespacePlan::new(linux, &mut Vec::new()))
}

/// `--parent-path` names a directory beside that of the images, which CRIU links to.
fn check_parent(options: &Options) -> Result<()> {
    let Some(parent) = &options.parent_path else { return Ok(()) };
    if Path::new(parent).is_absolute() {
        return Err(Error::new(Kind::Usage, "--parent-path must be relative to --image-path"));
    }
    let path = options.image_path.join(parent);
    super::directory(&path).map(drop).at(|| "invalid --parent-path")
}

/// What standard input, output and error are, for the restore.
fn describe_streams(container: &Container, images: &Path) -> Result<()> {
    let path = images.join(DESCRIPTORS);
    // Strings always serialise.
    let json = serde_json::to_vec(&container.state.external_descriptors).unwrap_or_default();
    std::fs::write(&path, json).at(|| format!("write({})", path.display()))
}

fn check_features(criu: &Criu, options: &Options) -> Result<()> {
    if !options.pre_dump && !options.lazy_pages {
        return Ok(());
    }
    let Features { mem_track, lazy_pages } = criu.ask(Type::FeatureCheck)?.features;
    let missing = |what| Err(Error::unsupported(format!("criu or the kernel lacks {what}")));
    if options.pre_dump && !mem_track {
        return missing("tracking of memory changes, which --pre-dump needs");
    }
    if options.lazy_pages && !lazy_pages {
        return missing("userfaultfd for other processes, which --lazy-pages needs");
    }
    Ok(())
}

/// Takes over the descriptor of `--status-fd`, which the caller has opened for writing.
fn status_fd(number: i32) -> Result<OwnedFd> {
    let what = || format!("invalid --status-fd argument {number}");
    if number < 3 {
        return Err(Error::new(Kind::Usage, format!("{}: must be 3 or more", what())));
    }
    let fd = adopt(number).at(what)?;
    let flags = nix::fcntl::fcntl(&fd, nix::fcntl::FcntlArg::F_GETFL).at(what)?;
    if flags & nix::libc::O_ACCMODE == nix::libc::O_RDONLY {
        return Err(Error::new(Kind::Usage, format!("{}: not writable", what())));
    }
    Ok(fd)
}
