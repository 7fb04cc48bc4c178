//! `hull checkpoint`, and the flags it shares with `restore`.

use super::args::{CheckpointArgs, Command};
use super::exit_code::ExitCode;
use super::flags::{Operands, path, switch, usage, value};
use super::global::Global;
use crate::checkpoint::message::{CgroupMode, PageServer};
use crate::checkpoint::{Options, dump};
use crate::container::Store;
use crate::error::{At, Result};
use clap::{Arg, ArgAction, ArgMatches};
use std::path::{Path, PathBuf};

/// The flags.
pub(super) fn flags() -> Vec<Arg> {
    let mut flags = shared_flags("Save the images in DIR [default: checkpoint]").to_vec();
    flags.extend([
        value("parent-path", "DIR", "Images of an earlier --pre-dump, relative to --image-path"),
        switch("leave-running", "Let the container go on"),
        switch("tcp-skip-in-flight", "Leave out TCP connections that are being made"),
        switch("link-remap", "Give deleted files that are open a name for the time"),
        value("status-fd", "FD", "Write a zero byte to FD when --lazy-pages are served")
            .value_parser(clap::value_parser!(i32))
            .allow_hyphen_values(true),
        value("page-server", "ADDRESS:PORT", "Send memory to, or serve it at, this address"),
        switch("pre-dump", "Save memory only and let the container go on"),
    ]);
    flags
}

/// The flags that `restore` has as well.
pub(super) fn shared_flags(images: &'static str) -> [Arg; 10] {
    [
        path("image-path", "DIR", images),
        path("work-path", "DIR", "Directory of CRIU's log [default: --image-path]"),
        switch("tcp-established", "Keep established TCP connections"),
        switch("ext-unix-sk", "Allow unix sockets that are connected to the outside"),
        switch("shell-job", "Allow a terminal that is not the container's own"),
        switch("lazy-pages", "Fetch memory when it is needed"),
        switch("file-locks", "Keep file locks"),
        value(
            "manage-cgroups-mode",
            "MODE",
            "Restore cgroups: soft (default), full, strict, ignore",
        ),
        value("empty-ns", "NAMESPACE", "Accepted: network; it is always restored empty")
            .action(ArgAction::Append),
        switch("auto-dedup", "Remove from older images the memory that newer ones have"),
    ]
}

/// Takes the arguments from what clap read.
pub(super) fn read(matches: &mut ArgMatches, operands: &mut Operands) -> Result<Command> {
    let shared = read_shared(matches)?;
    let options = Options {
        parent_path: matches.remove_one("parent-path"),
        leave_running: matches.get_flag("leave-running"),
        tcp_skip_in_flight: matches.get_flag("tcp-skip-in-flight"),
        link_remap: matches.get_flag("link-remap"),
        // -1 says none.
        status_fd: matches.remove_one("status-fd").filter(|fd| *fd != -1),
        page_server: matches
            .remove_one::<String>("page-server")
            .map(|text| page_server(&text))
            .transpose()?,
        pre_dump: matches.get_flag("pre-dump"),
        ..shared
    };
    Ok(Command::Checkpoint(Box::new(CheckpointArgs { id: operands.one(), options })))
}

/// The options of the shared flags, all others off.
pub(super) fn read_shared(matches: &mut ArgMatches) -> Result<Options> {
    let mode = matches.remove_one::<String>("manage-cgroups-mode");
    for namespace in matches.remove_many::<String>("empty-ns").into_iter().flatten() {
        if namespace != "network" {
            return Err(usage(format!("--empty-ns: namespace {namespace:?} is not supported")));
        }
    }
    let image_path: Option<PathBuf> = matches.remove_one("image-path");
    Ok(Options {
        image_path: absolute(image_path.as_deref().unwrap_or(Path::new("checkpoint")))?,
        work_path: matches
            .remove_one::<PathBuf>("work-path")
            .map(|it| absolute(&it))
            .transpose()?,
        tcp_established: matches.get_flag("tcp-established"),
        ext_unix_sk: matches.get_flag("ext-unix-sk"),
        shell_job: matches.get_flag("shell-job"),
        lazy_pages: matches.get_flag("lazy-pages"),
        file_locks: matches.get_flag("file-locks"),
        cgroup_mode: cgroup_mode(mode.as_deref())?,
        auto_dedup: matches.get_flag("auto-dedup"),
        ..Options::default()
    })
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).at(|| format!("{}", path.display()))
}

fn cgroup_mode(text: Option<&str>) -> Result<CgroupMode> {
    match text {
        None | Some("") => Ok(CgroupMode::Default),
        Some("soft") => Ok(CgroupMode::Soft),
        Some("full") => Ok(CgroupMode::Full),
        Some("strict") => Ok(CgroupMode::Strict),
        Some("ignore") => Ok(CgroupMode::Ignore),
        Some(other) => Err(usage(format!("invalid manage-cgroups-mode value {other:?}"))),
    }
}

fn page_server(text: &str) -> Result<PageServer> {
    let wrong =
        || usage(format!("Use --page-server ADDRESS:PORT to specify page server, not {text:?}"));
    let (address, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let inner = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    // An IPv6 address has to be in brackets, or its last group would be the port.
    let address = match inner {
        Some(inner) => inner,
        None if address.is_empty() || address.contains([':', '[', ']']) => return Err(wrong()),
        None => address,
    };
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
    Ok(PageServer { address: address.to_owned(), port })
}

/// Carries the command out.
#[inline(never)]
pub fn run(global: &Global, args: &CheckpointArgs) -> Result<ExitCode> {
    let store = Store::open_for(&global.root, &args.id)?;
    dump::dump(&store, &store.load(&args.id)?, &args.options)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_servers() {
        let server = |address: &str, port| PageServer { address: address.into(), port };
        assert_eq!(page_server("0.0.0.0:27277").unwrap(), server("0.0.0.0", 27277));
        assert_eq!(page_server("[::1]:1").unwrap(), server("::1", 1));
        for text in ["", ":1", "a", "a:", "a:x", "a:0", "a:65536", "::1:5", "[]x:1"] {
            assert!(page_server(text).unwrap_err().to_string().contains("--page-server"), "{text}");
        }
    }
}
