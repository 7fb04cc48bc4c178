//! `restore`: a container from images.
//!
//! The way is that of `create` up to the clone: the state is written down, the cgroup is made. Then
//! CRIU is started in the cgroup instead of an init, so that what it restores is in there from the
//! start, and the restored init becomes a child of the runtime.

use super::message::{Opts, Response, Type, request};
use super::outside::Namespaces;
use super::service::{Criu, FIRST_PASSED, Start};
use super::{ANNOTATION, DESCRIPTORS, Directories, Options};
use super::{check_privilege, common, config_file, outside, stage};
use crate::cgroup::layout::memberships;
use crate::cgroup::{Cgroup, Join};
use crate::container::{Slot, State, Status, Store, process};
use crate::error::{At, Error, Kind, Result};
use crate::init::stdio::statuses;
use crate::intel_rdt::{self, RdtPlan, RdtState};
use crate::launch::{self, Reserved};
use crate::plan::Plan;
use crate::plan::namespaces::{ALL, NamespaceType};
use crate::spawn::namespace_key;
use crate::sys::child::{self, Exit};
use crate::sys::fd::{open_path, read_bounded, stdio};
use crate::systemd::scope::Scope;
use crate::{console, hooks, netdev, notify_socket, pid_file};
use nix::fcntl::OFlag;
use nix::libc;
use std::fmt::Display;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

const LOG: &str = "restore.log";
/// No list of three names is longer.
const DESCRIPTORS_LIMIT: usize = 4096;

/// A restored container.
pub struct Restored {
    /// Its slot.
    pub slot: Slot,
    /// Its state.
    pub state: State,
    /// Its init.
    pub pid: i32,
    /// Its init, whatever happens to the number.
    pub pidfd: OwnedFd,
    /// The master of its terminal, unless a console socket got it.
    pub master: Option<OwnedFd>,
}

/// What has been made so far; undone when it is dropped before it is complete.
#[derive(Default)]
struct Made {
    init: Option<(i32, OwnedFd)>,
    cgroup: Option<Cgroup>,
    rdt: Option<RdtState>,
    master: Option<OwnedFd>,
    complete: bool,
}

impl Drop for Made {
    fn drop(&mut self) {
        if self.complete {
            return;
        }
        // Best effort: the error that led here is the one to report.
        if let Some((_, pidfd)) = &self.init {
            let _ = child::signal(pidfd.as_fd(), libc::SIGKILL);
            let _ = child::wait(pidfd.as_fd());
        }
        if let Some(rdt) = &self.rdt {
            let _ = intel_rdt::destroy(rdt);
        }
        if let Some(cgroup) = self.cgroup.take() {
            let _ = cgroup.kill_all();
            let _ = cgroup.undo();
        }
    }
}

/// Restores the container; on return it runs.
///
/// # Errors
/// Everything that was made is undone.
pub fn restore(asked: &launch::Request<'_>, options: &Options) -> Result<Restored> {
    check_privilege("restore")?;
    let spec = &asked.bundle.spec;
    let host = launch::probe(spec)?;
    let plan = launch::plan(asked, &host)?;
    launch::check_host(&plan, spec)?;
    if !plan.namespaces.creates(NamespaceType::Mount) {
        return Err(Error::unsupported(
            "only a container with a mount namespace of its own can be restored",
        ));
    }
    let filter = launch::filter(asked, &plan)?;
    let rdt = spec.linux.as_ref().and_then(|linux| linux.intel_rdt.as_ref());
    let rdt = intel_rdt::plan(rdt, asked.id)?;
    let mut job = Job {
        asked,
        options,
        streams: streams(&options.image_path)?,
        directories: Directories::open(options, LOG)?,
        namespaces: outside::namespaces(&plan.namespaces)?,
        plan,
        rdt,
        made: Made::default(),
    };
    let store = Store::create(asked.root)?;
    let slot = store.reserve(asked.id)?;
    let mut reserved = Reserved::new(&store, asked.id);
    let mut state = launch::remember(
        asked,
        &job.plan,
        &slot,
        filter.as_ref(),
        job.rdt.as_ref(),
        &statuses(asked.stdio.as_ref())?,
    )?;
    if asked.notify.is_some() {
        notify_socket::make_directory(&slot.path)?;
    }
    Cgroup::refuse_used_before(&job.plan.cgroup)?;
    let unit = job.plan.cgroup.unit.clone();
    let mut scope = unit.as_ref().map(Scope::start).transpose()?;
    job.run(scope.as_mut(), &slot, &mut state)?;
    let Made { init, master, complete, .. } = &mut job.made;
    let Some((pid, pidfd)) = init.take() else {
        return Err(Error::new(Kind::Init, "criu restored no process"));
    };
    (*complete, reserved.kept) = (true, true);
    scope.iter_mut().for_each(Scope::keep);
    drop(reserved);
    Ok(Restored { slot, state, pid, pidfd, master: master.take() })
}

/// A restore at work.
struct Job<'a> {
    asked: &'a launch::Request<'a>,
    options: &'a Options,
    plan: Plan<'a>,
    directories: Directories,
    /// What standard input, output and error were.
    streams: Vec<String>,
    namespaces: Namespaces,
    rdt: Option<RdtPlan>,
    made: Made,
}

impl Job<'_> {
    /// Makes the cgroup and lets CRIU restore the processes in it.
    fn run(
        &mut self,
        mut scope: Option<&mut Scope<'_>>,
        slot: &Slot,
        state: &mut State,
    ) -> Result<()> {
        let cgroup =
            Cgroup::create(&self.plan.cgroup).at(|| "unable to apply cgroup configuration")?;
        let (cgroup, mut join) = launch::joinable(cgroup)?;
        state.cgroup_paths = cgroup.paths();
        self.made.cgroup = Some(cgroup);
        if let Some(scope) = &scope {
            join = scope.join(join, false)?;
        }
        let place = slot.path.join("criu-root");
        std::fs::create_dir(&place).at(|| format!("mkdir({})", place.display()))?;
        let criu = self.start(&join, &place)?;
        self.directories.as_seen_by(&criu, self.first_directory())?;
        if let Some(scope) = &mut scope {
            scope.settle(self.made.cgroup.as_ref())?;
        }
        let request = request(Type::Restore, &self.opts(&criu, &place)?);
        let log = self.directories.log.clone();
        criu.carry_out(&request, &log, &mut |step, fd| self.step(step, fd, slot, state))?;
        let exit = criu.finish()?;
        if exit != Exit::Status(0) {
            return Err(Error::new(Kind::Init, format!("criu ended with {}", exit.code())));
        }
        std::fs::remove_dir(&place).at(|| format!("rmdir({})", place.display()))?;
        match (self.asked.pid_file, &self.made.init) {
            (Some(path), Some((pid, _))) => pid_file::write(path, *pid),
            _ => Ok(()),
        }
    }

    /// Starts CRIU in the cgroup, with the container's streams and the root file system prepared.
    fn start(&self, join: &Join, place: &Path) -> Result<Criu> {
        let [stdin, stdout, stderr] = self.stdio();
        let mut passed = vec![stderr];
        passed.extend(self.namespaces.inherited.iter().map(|(_, fd)| fd.as_fd()));
        Criu::start(&Start {
            stdio: Some([stdin, stdout]),
            passed,
            directories: self.directories.all(),
            join: Some(join),
            signals: self.asked.signals,
            prepare: Some(&|| stage::root(&self.plan, place)),
        })
    }

    /// The number that CRIU has the first of its directories by: they follow what is passed.
    fn first_directory(&self) -> i32 {
        (FIRST_PASSED + 1..).nth(self.namespaces.inherited.len()).unwrap_or(FIRST_PASSED)
    }

    /// The container's standard input, output and error.
    fn stdio(&self) -> [BorrowedFd<'_>; 3] {
        match &self.asked.stdio {
            Some([stdin, stdout, stderr]) => [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()],
            None => [0, 1, 2].map(stdio),
        }
    }

    fn opts(&self, criu: &Criu, place: &Path) -> Result<Opts> {
        let spec = &self.asked.bundle.spec;
        Ok(Opts {
            root: Some(place.as_os_str().as_encoded_bytes().to_vec()),
            evasive_devices: true,
            rst_sibling: true,
            tcp_close: self.options.tcp_close,
            ext_mnt: outside::sources(&self.plan)?,
            cg_root: memberships(criu.pid)?,
            inherit_fd: self.inherited(),
            join_ns: self.namespaces.joined.clone(),
            config_file: config_file(spec.annotations.get(ANNOTATION)),
            lsm_profile: self.options.lsm_profile.clone(),
            lsm_mount_context: self.options.lsm_mount_context.clone(),
            ..common(self.options, &self.directories, LOG)
        })
    }

    /// The descriptors of CRIU's that stand for pipes and namespaces in the images.
    fn inherited(&self) -> Vec<(String, i32)> {
        // As `start` places them: standard error is the first of those passed.
        let numbers = [0, 1, FIRST_PASSED];
        let pipes = self.streams.iter().zip(numbers).filter(|(name, _)| name.starts_with("pipe:"));
        let mut list: Vec<_> = pipes.map(|(name, number)| (name.clone(), number)).collect();
        let namespaces = self.namespaces.inherited.iter().zip(FIRST_PASSED + 1..);
        list.extend(namespaces.map(|((name, _), number)| (name.clone(), number)));
        list
    }

    /// Does what is hull's part when CRIU has reached a step.
    fn step(
        &mut self,
        step: &Response,
        fd: Option<OwnedFd>,
        slot: &Slot,
        state: &mut State,
    ) -> Result<()> {
        match (step.step.as_str(), step.pid, fd) {
            ("setup-namespaces", Some(pid), _) => self.set_up(pid, state),
            ("post-restore", Some(pid), _) => self.record(pid, slot, state),
            ("orphan-pts-master", _, Some(master)) => self.hand_over(master),
            _ => Ok(()),
        }
    }

    /// The terminal is there again.
    fn hand_over(&mut self, master: OwnedFd) -> Result<()> {
        let Some(receiver) = &self.asked.console else {
            self.made.master = Some(master);
            return Ok(());
        };
        console::send_fd(receiver.socket.as_fd(), master.as_fd(), b"orphan-pts-master")
            .at(|| "--console-socket")
    }

    /// The namespaces are there, nothing else is.
    fn set_up(&self, pid: i32, state: &State) -> Result<()> {
        if self.plan.namespaces.creates(NamespaceType::Network) {
            let path = format!("/proc/{pid}/ns/net");
            let netns = std::fs::File::open(&path).at(|| format!("open({path})"))?;
            netdev::loopback_up_in(netns.as_fd())?;
            netdev::attach(&self.plan.net_devices, netns.as_fd())?;
        }
        let json = state.oci_json(Status::Creating, pid);
        let list = &self.plan.hooks;
        hooks::run(&list.prestart, "prestart", &json, hooks::DefaultEnv::Inherit)?;
        hooks::run(&list.create_runtime, "createRuntime", &json, hooks::DefaultEnv::Inherit)
    }

    /// All processes are there, and stand still.
    fn record(&mut self, pid: i32, slot: &Slot, state: &mut State) -> Result<()> {
        let pidfd = child::open(pid).at(|| format!("pidfd_open({pid})"))?;
        self.made.init = Some((pid, pidfd));
        if let Some(rdt) = &self.rdt {
            state.intel_rdt = Some(rdt.apply(pid)?);
            self.made.rdt.clone_from(&state.intel_rdt);
        }
        let identity = process::identify(pid)
            .ok_or_else(|| Error::new(Kind::Init, "init died while it was restored"))?;
        (state.init_process_pid, state.init_process_start) = (identity.pid, identity.start);
        let own_pid = nix::unistd::getpid().as_raw();
        for kind in ALL {
            // CRIU gives the clocks of restored processes a time namespace.
            let made = kind == NamespaceType::Time
                && outside::namespace_of(pid, kind) != outside::namespace_of(own_pid, kind);
            if made || self.plan.namespaces.has(kind) {
                let path = format!("/proc/{pid}/ns/{}", kind.proc_name());
                state.namespace_paths.insert(namespace_key(kind), path.into());
            }
        }
        slot.save_state(state)
    }
}

/// What standard input, output and error of the dumped container were.
fn streams(images: &Path) -> Result<Vec<String>> {
    let path = images.join(DESCRIPTORS);
    let read = || -> Result<Vec<u8>> {
        let file = open_path(&path, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?;
        Ok(read_bounded(file.as_fd(), DESCRIPTORS_LIMIT)?)
    };
    let json = read().at(|| format!("reading {} (no checkpoint?)", path.display()))?;
    let broken = |error: &dyn Display| Error::config(format!("{}: {error}", path.display()));
    let text = std::str::from_utf8(&json).map_err(|error| broken(&error))?;
    let list: Option<Vec<String>> = serde_json::from_str(text).map_err(|error| broken(&error))?;
    Ok(list.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_read_as_other_runtimes_write_them() {
        let dir = tempfile::tempdir().unwrap();
        assert!(streams(dir.path()).unwrap_err().to_string().contains("no checkpoint?"));
        for (text, wanted) in
            [(r#"["pipe:[1]","/dev/null","pipe:[2]"]"#, 3), ("null", 0), ("[]", 0)]
        {
            std::fs::write(dir.path().join(DESCRIPTORS), text).unwrap();
            assert_eq!(streams(dir.path()).unwrap().len(), wanted, "{text}");
        }
        for text in ["", "{}", "[1]", &"[".repeat(9000)] {
            std::fs::write(dir.path().join(DESCRIPTORS), text).unwrap();
            assert!(streams(dir.path()).is_err(), "{text}");
        }
    }
}
