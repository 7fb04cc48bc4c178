//! The command line, in the manner of Go's `flag` package: `-name value`, `-name=value`, with one
//! or two dashes, then one action.

use crate::error::{Error, Result};
use std::path::PathBuf;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start a shim for a container, or find its group's, and print its address.
    Start,
    /// Clean up what a dead shim, or a deleted container, left.
    Delete,
    /// Serve on the inherited socket; no action is named.
    Serve,
    /// Print what the engine can do.
    Info,
    /// Print the version.
    Version,
    /// Print how it is called.
    Help,
}

/// What `-help` prints: callers are engines, so it is for who looks at one's doings.
pub const HELP: &str = "\
NAME:
   containerd-shim-hull-v2 - containerd's runtime v2 by an OCI runtime; containerd calls it

USAGE:
   containerd-shim-hull-v2 [flags] [start|delete]

ACTIONS:
   start    start a shim for the container, or find its group's, and print its address
   delete   clean up what a dead shim, or a deleted container, left
   (none)   serve on the socket that was inherited, or on that of -socket

FLAGS:
   -namespace NAME            containerd's namespace
   -id ID                     the container
   -bundle DIR                its bundle, for delete
   -address SOCKET            containerd's gRPC socket
   -publish-binary PROGRAM    publishes events where no ttrpc socket is named
   -socket PATH               where to listen when no socket is inherited
   -info                      print what the engine can do, as protobuf; options on standard input
   -debug                     log more
   -v, -version               print the version
   -h, -help                  print this

EXAMPLE:
   ctr run --runtime io.containerd.hull.v2 --rm docker.io/library/busybox:latest demo echo hello
";

/// The command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args {
    /// What is to be done.
    pub action: Action,
    /// containerd's namespace.
    pub namespace: String,
    /// The container's id.
    pub id: String,
    /// The bundle, for `delete`; the working directory otherwise.
    pub bundle: PathBuf,
    /// containerd's gRPC socket.
    pub address: String,
    /// The program that publishes events where no ttrpc socket is named.
    pub publish_binary: String,
    /// Where to listen, when no socket is inherited.
    pub socket: Option<PathBuf>,
    /// Log more.
    pub debug: bool,
}

impl Args {
    /// Reads the arguments that follow the program's name.
    ///
    /// # Errors
    /// An unknown flag or action, a flag without its value, no id where one is needed.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut args = Self {
            action: Action::Serve,
            namespace: String::new(),
            id: String::new(),
            bundle: PathBuf::new(),
            address: String::new(),
            publish_binary: String::new(),
            socket: None,
            debug: false,
        };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let Some(flag) = word.strip_prefix('-') else {
                args.action = match word.as_str() {
                    "start" => Action::Start,
                    "delete" => Action::Delete,
                    _ => return Err(Error::invalid(format!("unknown action {word:?}"))),
                };
                continue;
            };
            let flag = flag.strip_prefix('-').unwrap_or(flag);
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            args.flag(name, value, &mut words)?;
            if args.action == Action::Help {
                break;
            }
        }
        args.check()
    }

    fn flag(
        &mut self,
        name: &str,
        value: Option<String>,
        rest: &mut impl Iterator<Item = String>,
    ) -> Result<()> {
        let switch = !matches!(value.as_deref(), Some("false" | "0"));
        match name {
            "debug" => self.debug = switch,
            "info" if switch => self.action = Action::Info,
            "v" | "version" if switch => self.action = Action::Version,
            "h" | "help" if switch => self.action = Action::Help,
            "info" | "v" | "version" | "h" | "help" => {}
            "namespace" | "id" | "bundle" | "address" | "publish-binary" | "socket" => {
                let value = value
                    .or_else(|| rest.next())
                    .ok_or_else(|| Error::invalid(format!("flag -{name} needs a value")))?;
                match name {
                    "namespace" => self.namespace = value,
                    "id" => self.id = value,
                    "bundle" => self.bundle = value.into(),
                    "address" => self.address = value,
                    "socket" => self.socket = Some(value.into()),
                    _ => self.publish_binary = value,
                }
            }
            _ => return Err(Error::invalid(format!("unknown flag -{name}"))),
        }
        Ok(())
    }

    fn check(self) -> Result<Self> {
        if matches!(self.action, Action::Info | Action::Version | Action::Help) {
            return Ok(self);
        }
        if self.namespace.is_empty() {
            return Err(Error::invalid("shim namespace cannot be empty: give -namespace"));
        }
        // Both become parts of paths.
        for (flag, value) in [("namespace", &self.namespace), ("id", &self.id)] {
            if value.contains('/') || value == "." || value == ".." {
                return Err(Error::invalid(format!("-{flag} {value:?} is not a name")));
            }
        }
        if self.id.is_empty() && self.action != Action::Serve {
            return Err(Error::invalid("no container named: give -id"));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn containerds_call_is_read() {
        let args = parse(
            "-namespace k8s.io -address /run/c.sock -publish-binary /bin/containerd -id a1 start",
        )
        .unwrap();
        assert_eq!((args.action, args.id.as_str()), (Action::Start, "a1"));
        assert_eq!(args.publish_binary, "/bin/containerd");
        assert!(!args.debug);
    }

    #[test]
    fn gos_other_forms_of_a_flag_are_read() {
        let args = parse("--namespace=ns -debug -id=x -bundle=/b delete").unwrap();
        assert_eq!((args.namespace.as_str(), args.debug), ("ns", true));
        assert_eq!((args.action, args.bundle), (Action::Delete, PathBuf::from("/b")));
        assert!(!parse("-namespace ns -id x -debug=false start").unwrap().debug);
    }

    #[test]
    fn info_and_version_need_no_container() {
        assert_eq!(parse("-info").unwrap().action, Action::Info);
        assert_eq!(parse("-v").unwrap().action, Action::Version);
    }

    #[test]
    fn help_has_every_flag_and_an_example() {
        for line in ["-h", "-help", "--help", "-namespace ns -help start"] {
            assert_eq!(parse(line).unwrap().action, Action::Help, "{line}");
        }
        assert!(HELP.contains("\nEXAMPLE:\n   ctr run --runtime io.containerd.hull.v2 "));
        // Each flag of the list is one: a word for its value stands behind it.
        let flags = HELP.split_once("\nFLAGS:\n").unwrap().1.split_once("\n\n").unwrap().0;
        for line in flags.lines() {
            let (names, _) = line.trim().split_once("  ").unwrap();
            for name in names.split(", ") {
                parse(&format!("-namespace ns -id x {name} start")).unwrap();
            }
        }
        for flag in ["namespace", "id", "bundle", "address", "publish-binary", "socket", "debug"] {
            assert!(flags.contains(&format!("   -{flag} ")), "{flag}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, words) in [
            ("-namespace ns -id x stop", "unknown action"),
            ("-namespace ns -colour red start", "unknown flag -colour"),
            ("-namespace ns start", "give -id"),
            ("-id x start", "give -namespace"),
            ("-namespace ../up -id x start", "is not a name"),
            ("-namespace ns -id", "needs a value"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(words), "{line}: {error}");
        }
    }
}
