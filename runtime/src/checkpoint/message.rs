//! CRIU's messages (its images/rpc.proto), by their field numbers.

use super::wire::{Value, Writer, fields};
use crate::error::{Error, Kind, Result};

/// `criu_req_type`: what is asked for, or what an answer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Write images of processes.
    Dump = 1,
    /// Make processes from images.
    Restore = 2,
    /// Write images of memory alone.
    PreDump = 4,
    /// A step of a dump or restore has been reached.
    Notify = 6,
    /// Which features there are.
    FeatureCheck = 9,
    /// Which CRIU this is.
    Version = 10,
}

/// `criu_cg_mode`: what is done about cgroups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CgroupMode {
    /// Nothing: restored processes stay in the cgroup CRIU runs in.
    Ignore = 0,
    /// Cgroups and properties are restored where CRIU itself makes the cgroup.
    Soft = 3,
    /// Both are restored always.
    Full = 4,
    /// Both are restored, and the cgroups must not be there before.
    Strict = 5,
    /// CRIU's own default.
    #[default]
    Default = 6,
}

/// `criu_page_server_info`: where memory is sent to, or fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageServer {
    /// Host.
    pub address: String,
    /// TCP port.
    pub port: u16,
}

/// `criu_opts`, the part that containers need. Defaults are the protocol's.
#[derive(Debug, Clone, Default)]
pub struct Opts {
    /// Directory of the images.
    pub images_fd: i32,
    /// Directory of logs and statistics, if not that of the images.
    pub work_fd: Option<i32>,
    /// First process of what is dumped.
    pub pid: Option<i32>,
    /// Root of the mount namespace.
    pub root: Option<Vec<u8>>,
    /// Name of the log in the working directory.
    pub log_file: &'static str,
    /// The processes go on after the dump.
    pub leave_running: bool,
    /// Unix sockets may be connected to the outside.
    pub ext_unix_sk: bool,
    /// TCP connections may be established.
    pub tcp_established: bool,
    /// TCP connections in the making are left out.
    pub tcp_skip_in_flight: bool,
    /// TCP connections are closed when they are restored.
    pub tcp_close: bool,
    /// The terminal is the caller's own.
    pub shell_job: bool,
    /// File locks are kept.
    pub file_locks: bool,
    /// Deleted files may be linked for the time.
    pub link_remap: bool,
    /// Memory is fetched on demand.
    pub lazy_pages: bool,
    /// Unchanged memory is left in the parent's images.
    pub track_mem: bool,
    /// Images of earlier dumps, relative to the directory of these.
    pub parent_img: Option<String>,
    /// Memory that a later image has is removed from the earlier one.
    pub auto_dedup: bool,
    /// Device files may be opened by another name.
    pub evasive_devices: bool,
    /// The restored process becomes a child of CRIU's parent.
    pub rst_sibling: bool,
    /// The page server.
    pub page_server: Option<PageServer>,
    /// Mounts from the outside: for a dump, mount point and name; for a restore, name and source.
    pub ext_mnt: Vec<(Vec<u8>, Vec<u8>)>,
    /// What is done about cgroups.
    pub cgroup_mode: Option<CgroupMode>,
    /// Where the cgroup that was the top one is, by controller.
    pub cg_root: Vec<(String, String)>,
    /// Descriptors of CRIU's that stand for something by this name.
    pub inherit_fd: Vec<(String, i32)>,
    /// What else is from the outside.
    pub external: Vec<String>,
    /// `CLONE_NEW…` of namespaces that are restored empty.
    pub empty_ns: u32,
    /// Namespaces to join: kind and path.
    pub join_ns: Vec<(String, String)>,
    /// The cgroup that is frozen meanwhile.
    pub freeze_cgroup: Option<Vec<u8>>,
    /// A file of further options.
    pub config_file: Option<String>,
    /// `TYPE:NAME` in place of the LSM profile that was dumped.
    pub lsm_profile: Option<String>,
    /// SELinux label of mounts in place of the one that was dumped.
    pub lsm_mount_context: Option<String>,
}

/// How much CRIU logs: 4 is all.
const LOG_LEVEL: i32 = 4;

impl Opts {
    fn write(&self, out: &mut Writer) {
        out.signed(1, self.images_fd);
        self.write_switches(out);
        self.write_places(out);
        for (key, value) in &self.ext_mnt {
            out.message(23, |it| {
                it.text(1, key);
                it.text(2, value);
            });
        }
        for (controller, path) in &self.cg_root {
            out.message(25, |it| {
                it.text(1, controller);
                it.text(2, path);
            });
        }
        for (key, fd) in &self.inherit_fd {
            out.message(27, |it| {
                it.text(1, key);
                it.signed(2, *fd);
            });
        }
        for external in &self.external {
            out.text(37, external);
        }
        for (kind, path) in &self.join_ns {
            out.message(39, |it| {
                it.text(1, kind);
                it.text(2, path);
            });
        }
    }

    fn write_switches(&self, out: &mut Writer) {
        for (field, on) in [
            (3, self.leave_running),
            (4, self.ext_unix_sk),
            (5, self.tcp_established),
            (6, self.evasive_devices),
            (7, self.shell_job),
            (8, self.file_locks),
            // notify_scripts: the steps are told.
            (12, true),
            (15, self.track_mem),
            (16, self.auto_dedup),
            (18, self.link_remap),
            // manage_cgroups, from before there were modes.
            (24, self.cgroup_mode.is_some()),
            (26, self.rst_sibling),
            (46, self.tcp_skip_in_flight),
            (48, self.lazy_pages),
            // orphan_pts_master: the master of the container's terminal is not one of its files.
            (50, true),
            (52, self.tcp_close),
        ] {
            out.switch(field, on);
        }
    }

    fn write_places(&self, out: &mut Writer) {
        let numbers = [(2, self.pid), (9, Some(LOG_LEVEL)), (17, self.work_fd)];
        for (field, value) in numbers {
            if let Some(value) = value {
                out.signed(field, value);
            }
        }
        if let Some(mode) = self.cgroup_mode {
            out.number(34, mode as u64);
        }
        if self.empty_ns != 0 {
            out.number(38, u64::from(self.empty_ns));
        }
        if let Some(server) = &self.page_server {
            out.message(11, |it| {
                it.text(1, &server.address);
                it.signed(2, i32::from(server.port));
            });
        }
        let texts = [
            (10, Some(self.log_file.as_bytes())),
            (13, self.root.as_deref()),
            (14, self.parent_img.as_deref().map(str::as_bytes)),
            (44, self.freeze_cgroup.as_deref()),
            (51, self.config_file.as_deref().map(str::as_bytes)),
            (53, self.lsm_profile.as_deref().map(str::as_bytes)),
            (63, self.lsm_mount_context.as_deref().map(str::as_bytes)),
        ];
        for (field, text) in texts {
            if let Some(text) = text {
                out.text(field, text);
            }
        }
    }
}

/// `criu_features`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Features {
    /// Changed memory can be told from unchanged memory.
    pub mem_track: bool,
    /// Memory can be fetched on demand.
    pub lazy_pages: bool,
}

/// A request that starts something.
pub fn request(kind: Type, opts: &Opts) -> Vec<u8> {
    let mut out = Writer::default();
    out.number(1, kind as u64);
    out.message(2, |it| opts.write(it));
    out.into_bytes()
}

/// A question; CRIU waits for another request after its answer.
pub fn question(kind: Type) -> Vec<u8> {
    let mut out = Writer::default();
    out.number(1, kind as u64);
    out.switch(4, true);
    if kind == Type::FeatureCheck {
        out.message(5, |it| {
            it.switch(1, true);
            it.switch(2, true);
        });
    }
    out.into_bytes()
}

/// The answer to a notification.
pub fn acknowledgement(success: bool) -> Vec<u8> {
    let mut out = Writer::default();
    out.number(1, Type::Notify as u64);
    out.number(3, u64::from(success));
    out.into_bytes()
}

/// `criu_resp`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// What it is about, as CRIU numbers it.
    pub kind: u64,
    /// It went well.
    pub success: bool,
    /// The pid of the restored first process.
    pub restored: Option<i32>,
    /// A step: its name, and the process it is about.
    pub step: String,
    /// The process of the step, in the pid namespace of CRIU.
    pub pid: Option<i32>,
    /// errno, when there is one.
    pub errno: i32,
    /// Why it did not go well; not all versions say.
    pub message: String,
    /// Features that there are.
    pub features: Features,
    /// Major and minor number, and patch level.
    pub version: (i32, i32, i32),
}

impl Response {
    /// Reads an answer.
    ///
    /// # Errors
    /// Bytes that are none.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let mut out = Self::default();
        fields(bytes, |field, value| {
            match (field, value) {
                (1, Value::Number(kind)) => out.kind = kind,
                (2, _) => out.success = value.is_true(),
                (4, Value::Bytes(inner)) => fields(inner, |field, value| {
                    if field == 1 {
                        out.restored = value.signed();
                    }
                    Ok(())
                })?,
                (5, Value::Bytes(inner)) => fields(inner, |field, value| {
                    match field {
                        1 => out.step = value.text(),
                        2 => out.pid = value.signed(),
                        _ => {}
                    }
                    Ok(())
                })?,
                (7, _) => out.errno = value.signed().unwrap_or_default(),
                (8, Value::Bytes(inner)) => fields(inner, |field, value| {
                    match field {
                        1 => out.features.mem_track = value.is_true(),
                        2 => out.features.lazy_pages = value.is_true(),
                        _ => {}
                    }
                    Ok(())
                })?,
                (9, _) => out.message = value.text(),
                (10, Value::Bytes(inner)) => fields(inner, |field, value| {
                    let number = value.signed().unwrap_or_default();
                    match field {
                        1 => out.version.0 = number,
                        2 => out.version.1 = number,
                        4 => out.version.2 = number,
                        _ => {}
                    }
                    Ok(())
                })?,
                _ => {}
            }
            Ok(())
        })?;
        if out.kind == 0 {
            return Err(Error::new(
                Kind::Config,
                "an answer of criu does not say what it is about",
            ));
        }
        Ok(out)
    }

    /// Whether it is about `kind`.
    pub fn is(&self, kind: Type) -> bool {
        self.kind == kind as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(bytes: &[u8]) -> Vec<u64> {
        let mut found = Vec::new();
        fields(bytes, |field, _| {
            found.push(field);
            Ok(())
        })
        .unwrap();
        found.sort_unstable();
        found
    }

    #[test]
    fn a_request_names_what_is_set_and_nothing_else() {
        let opts = Opts { images_fd: 4, log_file: "dump.log", pid: Some(77), ..Opts::default() };
        let bytes = request(Type::Dump, &opts);
        let mut inner = Vec::new();
        fields(&bytes, |field, value| {
            match (field, value) {
                (1, value) => assert_eq!(value, Value::Number(1)),
                (2, Value::Bytes(bytes)) => inner = bytes.to_vec(),
                other => panic!("{other:?}"),
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(numbers(&inner), [1, 2, 9, 10, 12, 50]);
    }

    #[test]
    fn every_option_has_its_field() {
        let opts = Opts {
            images_fd: 4,
            work_fd: Some(5),
            pid: Some(1),
            root: Some(b"/r".to_vec()),
            log_file: "dump.log",
            leave_running: true,
            ext_unix_sk: true,
            tcp_established: true,
            tcp_skip_in_flight: true,
            tcp_close: true,
            shell_job: true,
            file_locks: true,
            link_remap: true,
            lazy_pages: true,
            track_mem: true,
            parent_img: Some("../p".into()),
            auto_dedup: true,
            evasive_devices: true,
            rst_sibling: true,
            page_server: Some(PageServer { address: "::1".into(), port: 9 }),
            ext_mnt: vec![(b"/a".to_vec(), b"/b".to_vec())],
            cgroup_mode: Some(CgroupMode::Strict),
            cg_root: vec![("cpu".into(), "/x".into())],
            inherit_fd: vec![("pipe:[1]".into(), 0)],
            external: vec!["net[1]:x".into()],
            empty_ns: 1 << 30,
            join_ns: vec![("ipc".into(), "/proc/1/ns/ipc".into())],
            freeze_cgroup: Some(b"/sys/fs/cgroup/x".to_vec()),
            config_file: Some("/etc/criu/x.conf".into()),
            lsm_profile: Some("apparmor:x".into()),
            lsm_mount_context: Some("x".into()),
        };
        let mut out = Writer::default();
        opts.write(&mut out);
        assert_eq!(
            numbers(&out.into_bytes()),
            [
                1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 23, 24, 25, 26, 27,
                34, 37, 38, 39, 44, 46, 48, 50, 51, 52, 53, 63
            ]
        );
    }

    #[test]
    fn answers_are_read() {
        let mut out = Writer::default();
        out.number(1, 6);
        out.number(2, 1);
        out.message(5, |it| {
            it.text(1, "post-restore");
            it.signed(2, 4711);
        });
        let response = Response::read(&out.into_bytes()).unwrap();
        assert!(response.success && response.is(Type::Notify));
        assert_eq!((response.step.as_str(), response.pid), ("post-restore", Some(4711)));

        let mut out = Writer::default();
        out.number(1, 10);
        out.number(2, 1);
        out.message(10, |it| {
            it.signed(1, 4);
            it.signed(2, 2);
            it.text(3, "v4.2.1");
            it.signed(4, 1);
        });
        assert_eq!(Response::read(&out.into_bytes()).unwrap().version, (4, 2, 1));

        let mut out = Writer::default();
        out.number(1, 1);
        out.number(2, 0);
        out.signed(7, 3);
        out.text(9, "no");
        let response = Response::read(&out.into_bytes()).unwrap();
        assert!(!response.success && response.is(Type::Dump));
        assert_eq!((response.errno, response.message.as_str()), (3, "no"));
        assert!(Response::read(b"").is_err());
    }
}
