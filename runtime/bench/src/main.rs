//! `hull-bench`: hull beside other runtimes and beside the floor, in one run.
//!
//! It needs root. All runtimes get the same bundles and their turns alternate; what is compared is
//! the ratio of medians. Nothing here judges: a machine that is busy shows it by its quartiles.

mod bundle;
mod goals;
mod measure;
mod order;
mod payload;
mod peer;
mod pod;
mod report;
mod scenario;
mod svg;
mod trace;

use clap::Parser;
use peer::Peer;
use scenario::{Bench, Effort};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Compares OCI runtimes
#[derive(Parser)]
struct Options {
    /// A runtime or the floor program; the first is the one that ratios are of
    #[arg(required = true)]
    runtimes: Vec<PathBuf>,
    /// Repetitions of each figure
    #[arg(long, default_value_t = 15)]
    runs: usize,
    /// Containers alive in the crowd: at most 1000
    #[arg(long, default_value_t = 1000)]
    crowd: usize,
    /// Additional mounts of the host
    #[arg(long, default_value_t = 4000)]
    mounts: usize,
    /// Measure nothing; fail if `run` of the first runtime makes more system calls than this, plus
    /// seven for each cgroup v1 hierarchy (make, open, join, show thrice, remove)
    #[arg(long)]
    syscalls_at_most: Option<u64>,
    /// Measure nothing; write the linker script that puts the functions side by side that commands
    /// of the first runtime go through: a binary with symbols
    #[arg(long)]
    order: Option<PathBuf>,
    /// Directory for results.md, results.json and results.svg; else the table goes to standard
    /// output
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    match bench(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hull-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> io::Result<()> {
    // What commands go through is recorded where everything is to be seen.
    if options.order.is_none() {
        isolate()?;
    }
    // Orphaned inits are reaped here, and so measured.
    nix::sys::prctl::set_child_subreaper(true)?;
    let pod = pod::Pod::start()?;
    // Memory, so that no disk is measured.
    let dir = Path::new("/dev/shm").join(format!("hull-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let peers: Vec<Peer> =
        options.runtimes.iter().map(|path| Peer::find(path, &dir)).collect::<io::Result<_>>()?;
    if let (Some(budget), Some(first)) = (options.syscalls_at_most, peers.first()) {
        let outcome = within_budget(budget, first, &dir);
        std::fs::remove_dir_all(&dir)?;
        return outcome;
    }
    if let (Some(path), Some(first)) = (&options.order, peers.first()) {
        let outcome = order::script(first, &dir, &pod.namespaces())
            .and_then(|text| std::fs::write(path, text));
        scenario::clean_up(first);
        std::fs::remove_dir_all(&dir)?;
        return outcome;
    }
    let effort =
        Effort { runs: options.runs, crowd: options.crowd.min(1000), mounts: options.mounts };
    let mut bench = Bench { peers: &peers, dir: dir.clone(), effort, pod, rows: Vec::new() };
    let outcome = bench.all();
    for peer in peers.iter().filter(|peer| !peer.floor) {
        scenario::clean_up(peer);
    }
    std::fs::remove_dir_all(&dir)?;
    outcome?;
    let report = report::Report::new(&peers, options.runs, bench.rows);
    match &options.out {
        None => print!("{}", report.markdown()),
        Some(out) => {
            std::fs::create_dir_all(out)?;
            std::fs::write(out.join("results.md"), report.markdown())?;
            std::fs::write(out.join("results.json"), report.json()?)?;
            std::fs::write(out.join("results.svg"), svg::draw(&report))?;
        }
    }
    Ok(())
}

/// Counts the system calls of `run` of the default bundle.
fn within_budget(budget: u64, peer: &Peer, dir: &Path) -> io::Result<()> {
    let hierarchies = std::fs::read_dir("/sys/fs/cgroup")?
        .filter_map(Result::ok)
        .filter(|entry| !entry.path().is_symlink() && entry.path().join("tasks").exists())
        .count();
    let budget = budget + 7 * hierarchies as u64;
    let bundle = bundle::Bundle::make(&dir.join("run"), bundle::Kind::Default, "/exit", &[])?;
    // The first run makes what later ones find: the state directory, the cgroups' parents.
    measure::run(&mut peer.run(&bundle, "bench-warm"))?;
    let counts = trace::count(&mut peer.run(&bundle, "bench-budget"))?;
    println!("{}: {} system calls, at most {budget} allowed", peer.name, counts.syscalls);
    if counts.syscalls > budget {
        return Err(io::Error::other(format!(
            "{} makes {} system calls for a `run`: find out which are new (strace -f), and remove \
             them or raise the budget in the Makefile and say why",
            peer.name, counts.syscalls
        )));
    }
    Ok(())
}

/// A mount namespace of its own: for the host mounts that are added, and because crun refuses a
/// cgroup v1 host whose unified hierarchy it can see. All runtimes see the same.
fn isolate() -> io::Result<()> {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    match umount2("/sys/fs/cgroup/unified", MntFlags::MNT_DETACH) {
        // There is none, or nothing is mounted.
        Ok(()) | Err(nix::errno::Errno::ENOENT | nix::errno::Errno::EINVAL) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
