//! Options that stand before the command, and where containers are kept without `--root`.

use super::normalise::parse_bool;
use crate::error::{At, Error, Kind, Result};
use crate::log::Format;
use clap::{Arg, ArgAction, ArgMatches};
use std::ffi::OsString;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

/// Whether missing permission on cgroups is put up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rootless {
    /// If the runtime doesn't have full privileges.
    Auto,
    /// Yes.
    True,
    /// No.
    False,
}

/// The global options.
#[derive(Debug)]
pub struct Global {
    /// Directory of the containers' slots; absolute, never `/`.
    pub root: PathBuf,
    /// `--root` was given: the directory is expected to exist.
    pub root_given: bool,
    /// Log file; none: standard error.
    pub log: Option<PathBuf>,
    /// Format of the log.
    pub log_format: Format,
    /// The log has entries of level debug.
    pub debug: bool,
    /// cgroups are made by systemd.
    pub systemd_cgroup: bool,
    /// See [`Rootless`].
    pub rootless: Rootless,
}

/// The definitions of the global options.
pub fn flags() -> Vec<Arg> {
    vec![
        Arg::new("root")
            .long("root")
            .value_name("DIR")
            .value_parser(clap::value_parser!(PathBuf))
            .help("State directory [default: /run/hull; rootless: $XDG_RUNTIME_DIR/hull]"),
        Arg::new("log")
            .long("log")
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("Append log entries to FILE [default: standard error]"),
        Arg::new("log-format")
            .long("log-format")
            .value_name("FORMAT")
            .help("Format of log entries: text (default) or json"),
        Arg::new("debug").long("debug").action(ArgAction::SetTrue).help("Log more"),
        Arg::new("systemd-cgroup")
            .long("systemd-cgroup")
            .action(ArgAction::SetTrue)
            .help("Let systemd make cgroups; cgroupsPath is then slice:prefix:name"),
        Arg::new("rootless")
            .long("rootless")
            .value_name("WHEN")
            .help("Do without permission on cgroups: true, false or auto (default)"),
        Arg::new("version")
            .short('v')
            .long("version")
            .action(ArgAction::SetTrue)
            .help("Print the version"),
    ]
}

impl Global {
    /// Takes the options from what clap read.
    pub fn read(matches: &mut ArgMatches) -> Result<Self> {
        let given = matches.remove_one::<PathBuf>("root");
        Ok(Self {
            root_given: given.is_some(),
            root: match given {
                Some(path) => absolute(&path)?,
                None => Default::of_this_process().prepared()?,
            },
            log: matches.remove_one("log"),
            log_format: match matches.remove_one::<String>("log-format").as_deref() {
                None | Some("text") => Format::Text,
                Some("json") => Format::Json,
                Some(other) => return Err(usage(format!("invalid log-format: {other}"))),
            },
            debug: matches.get_flag("debug"),
            systemd_cgroup: matches.get_flag("systemd-cgroup"),
            rootless: rootless(matches.remove_one::<String>("rootless").as_deref())?,
        })
    }
}

fn usage(message: impl Into<String>) -> Error {
    Error::new(Kind::Usage, message)
}

fn rootless(value: Option<&str>) -> Result<Rootless> {
    match value {
        None => Ok(Rootless::Auto),
        Some(auto) if auto.eq_ignore_ascii_case("auto") => Ok(Rootless::Auto),
        Some(value) => match parse_bool(value) {
            Some(true) => Ok(Rootless::True),
            Some(false) => Ok(Rootless::False),
            None => Err(usage(format!("invalid value {value:?} for --rootless"))),
        },
    }
}

/// `--root` made absolute and clean. `/` is refused: `delete` would remove directories there.
fn absolute(path: &Path) -> Result<PathBuf> {
    let root = clean(&std::path::absolute(path).at(|| format!("--root {path:?}"))?);
    if root == Path::new("/") {
        return Err(usage("Option --root argument should not be set to /"));
    }
    Ok(root)
}

/// An absolute path without `.` and `..`, which are taken literally, not through links.
fn clean(path: &Path) -> PathBuf {
    let mut out = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::ParentDir => {
                out.pop();
            }
            Component::Normal(name) => out.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    out
}

/// The directory used without `--root`.
#[derive(Debug, PartialEq, Eq)]
enum Default {
    System,
    /// Below XDG_RUNTIME_DIR.
    User(PathBuf),
}

impl Default {
    fn of_this_process() -> Self {
        let xdg = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
        Self::choose(xdg, nix::unistd::geteuid().is_root(), crate::host::in_user_namespace, || {
            std::env::var_os("USER")
        })
    }

    /// Real root never uses XDG_RUNTIME_DIR, which su and sudo may leave behind; root of a user
    /// namespace does unless it calls itself root, as inside of a container.
    fn choose(
        xdg: Option<OsString>,
        root: bool,
        in_user_namespace: impl FnOnce() -> bool,
        user: impl FnOnce() -> Option<OsString>,
    ) -> Self {
        match xdg {
            Some(dir) if !root || (in_user_namespace() && user() != Some("root".into())) => {
                Self::User(PathBuf::from(dir).join("hull"))
            }
            _ => Self::System,
        }
    }

    /// Makes the user's directory. The sticky bit keeps it from being pruned as unused (XDG Base
    /// Directory Specification, XDG_RUNTIME_DIR).
    fn prepared(self) -> Result<PathBuf> {
        let Self::User(path) = self else { return Ok(PathBuf::from("/run/hull")) };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .at(|| format!("mkdir {path:?} ($XDG_RUNTIME_DIR must be writable)"))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o1700))
            .at(|| format!("chmod {path:?}"))?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_clean_and_not_the_file_system() {
        for (given, expect) in [("/a/b", "/a/b"), ("/a/./b/../c//", "/a/c"), ("/../x", "/x")] {
            assert_eq!(absolute(Path::new(given)).unwrap(), Path::new(expect));
        }
        let cwd = std::env::current_dir().unwrap();
        assert_eq!(absolute(Path::new("rel")).unwrap(), cwd.join("rel"));
        for given in ["/", "//", "/a/..", "/../..", "../../../../../../../../../../../../.."] {
            assert_eq!(
                absolute(Path::new(given)).unwrap_err().to_string(),
                "Option --root argument should not be set to /"
            );
        }
    }

    #[test]
    fn default_root() {
        let choose = |xdg: Option<&str>, root, namespace, user: Option<&str>| {
            Default::choose(xdg.map(Into::into), root, || namespace, || user.map(Into::into))
        };
        let user = Default::User("/run/user/7/hull".into());
        let xdg = Some("/run/user/7");
        assert_eq!(choose(None, true, false, None), Default::System);
        assert_eq!(choose(None, false, false, None), Default::System);
        assert_eq!(choose(xdg, true, false, Some("ann")), Default::System);
        assert_eq!(choose(xdg, false, false, Some("root")), user);
        assert_eq!(choose(xdg, true, true, Some("root")), Default::System);
        assert_eq!(choose(xdg, true, true, Some("ann")), user);
        assert_eq!(choose(xdg, true, true, None), user);
    }

    #[test]
    fn the_users_directory_is_private_and_sticky() {
        let dir = tempfile::tempdir().unwrap();
        let path = Default::User(dir.path().join("x/hull")).prepared().unwrap();
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o7777, 0o1700);
    }

    #[test]
    fn rootless_values() {
        assert_eq!(rootless(None).unwrap(), Rootless::Auto);
        assert_eq!(rootless(Some("AUTO")).unwrap(), Rootless::Auto);
        assert_eq!(rootless(Some("1")).unwrap(), Rootless::True);
        assert_eq!(rootless(Some("false")).unwrap(), Rootless::False);
        assert_eq!(
            rootless(Some("maybe")).unwrap_err().to_string(),
            "invalid value \"maybe\" for --rootless"
        );
    }
}
