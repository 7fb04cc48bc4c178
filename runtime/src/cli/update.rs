//! `hull update`: its flags, as limits in the form of config.json.

use super::args::Command;
use super::exit_code::ExitCode;
use super::flags::{Operands, usage, value};
use super::global::Global;
use super::size;
use crate::container::{Store, update};
use crate::error::{At, Error, Result};
use crate::intel_rdt::update::Schemas;
use crate::spec::linux::{BlockIo, Cpu, Memory, Pids, Resources};
use crate::spec::load;
use clap::{Arg, ArgMatches};
use std::io::Read;
use std::str::FromStr;

/// No set of limits is larger, in bytes.
const MOST: u64 = 1 << 20;

/// Arguments of `update`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateArgs {
    /// Container id.
    pub id: String,
    /// File with the limits, `-` for standard input.
    pub file: Option<String>,
    /// The limits, where there is no file.
    pub resources: Resources,
    /// Lines for resctrl.
    pub schemas: Schemas,
}

/// The flags.
pub(super) fn flags() -> Vec<Arg> {
    vec![
        value("resources", "FILE", "Read linux.resources from FILE or - in place of the flags")
            .short('r'),
        value("blkio-weight", "WEIGHT", "Block I/O weight, 10 to 1000"),
        value("cpu-period", "USEC", "Length of a CPU period"),
        value("cpu-quota", "USEC", "CPU time in a period; -1 for no limit"),
        value("cpu-burst", "USEC", "CPU time that may be saved up"),
        value("cpu-share", "SHARES", "CPU weight against other containers"),
        value("cpu-rt-period", "USEC", "Length of a realtime period (cgroup v1)"),
        value("cpu-rt-runtime", "USEC", "Realtime in a period (cgroup v1)"),
        value("cpuset-cpus", "LIST", "CPUs to use"),
        value("cpuset-mems", "LIST", "Memory nodes to use"),
        value("cpu-idle", "0|1", "Run only when nobody else wants the CPU"),
        value("memory", "BYTES", "Memory; k, m, g multiply, -1 for no limit"),
        value("memory-reservation", "BYTES", "Memory that is left to the container in need"),
        value("memory-swap", "BYTES", "Memory and swap together; -1 for no limit"),
        value("pids-limit", "N", "Number of tasks; -1 for no limit"),
        value("l3-cache-schema", "LINE", "Intel RDT schema for the L3 cache"),
        value("mem-bw-schema", "LINE", "Intel RDT schema for memory bandwidth"),
        value("kernel-memory", "BYTES", "Obsolete").hide(true),
        value("kernel-memory-tcp", "BYTES", "Obsolete").hide(true),
    ]
}

/// Takes the arguments from what clap read.
pub(super) fn read(matches: &mut ArgMatches, operands: &mut Operands) -> Result<Command> {
    let schemas = Schemas {
        l3_cache: text(matches, "l3-cache-schema"),
        mem_bw: text(matches, "mem-bw-schema"),
    };
    let file = text(matches, "resources");
    let resources = if file.is_some() { Resources::default() } else { resources(matches)? };
    Ok(Command::Update(Box::new(UpdateArgs { id: operands.one(), file, resources, schemas })))
}

fn resources(matches: &mut ArgMatches) -> Result<Resources> {
    let cpu = Cpu {
        shares: number(matches, "cpu-share")?,
        quota: number(matches, "cpu-quota")?,
        burst: number(matches, "cpu-burst")?,
        period: number(matches, "cpu-period")?,
        realtime_runtime: number(matches, "cpu-rt-runtime")?,
        realtime_period: number(matches, "cpu-rt-period")?,
        cpus: text(matches, "cpuset-cpus").unwrap_or_default(),
        mems: text(matches, "cpuset-mems").unwrap_or_default(),
        idle: number(matches, "cpu-idle")?,
    };
    let memory = Memory {
        limit: bytes(matches, "memory")?,
        reservation: bytes(matches, "memory-reservation")?,
        swap: bytes(matches, "memory-swap")?,
        kernel: bytes(matches, "kernel-memory")?,
        kernel_tcp: bytes(matches, "kernel-memory-tcp")?,
        ..Memory::default()
    };
    Ok(Resources {
        cpu: Some(cpu),
        memory: Some(memory),
        block_io: Some(BlockIo { weight: number(matches, "blkio-weight")?, ..BlockIo::default() }),
        pids: Some(Pids { limit: number(matches, "pids-limit")? }),
        ..Resources::default()
    })
}

/// A flag's text; an empty one is as good as none.
fn text(matches: &mut ArgMatches, flag: &str) -> Option<String> {
    matches.remove_one::<String>(flag).filter(|text| !text.is_empty())
}

fn number<T: FromStr>(matches: &mut ArgMatches, flag: &str) -> Result<Option<T>> {
    let parse = |text: String| {
        text.parse().map_err(|_| {
            usage(format!("invalid value for {flag}: parsing {text:?}: invalid syntax"))
        })
    };
    text(matches, flag).map(parse).transpose()
}

fn bytes(matches: &mut ArgMatches, flag: &str) -> Result<Option<i64>> {
    text(matches, flag).map(|text| size::parse(flag, &text)).transpose()
}

/// Carries the command out.
#[inline(never)]
pub fn run(global: &Global, args: &UpdateArgs) -> Result<ExitCode> {
    let store = Store::open_for(&global.root, &args.id)?;
    // An id that is not there is told before anything is read.
    store.load(&args.id)?;
    let read = args.file.as_deref().map(read_file).transpose()?;
    let resources = read.as_ref().unwrap_or(&args.resources);
    let obsolete = |memory: &Memory| memory.kernel.is_some() || memory.kernel_tcp.is_some();
    if resources.memory.as_ref().is_some_and(obsolete) {
        crate::log::warn(format_args!("Kernel memory settings are ignored and will be removed"));
    }
    update::update(&store, &args.id, resources, &args.schemas)?;
    Ok(ExitCode::SUCCESS)
}

/// Reads limits; a pipe is as good as a file.
fn read_file(name: &str) -> Result<Resources> {
    let source: Box<dyn Read> = match name {
        "-" => Box::new(std::io::stdin().lock()),
        _ => Box::new(std::fs::File::open(name).at(|| format!("open {name:?}"))?),
    };
    let mut raw = Vec::new();
    source.take(MOST + 1).read_to_end(&mut raw).at(|| format!("read {name:?}"))?;
    if raw.len() as u64 > MOST {
        return Err(Error::config(format!("{name}: larger than {} MiB", MOST >> 20)));
    }
    load::parse(&raw).at(|| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &str) -> Result<UpdateArgs> {
        let words = std::iter::once("update").chain(words.split_whitespace());
        match super::super::parse::parse(words.map(Into::into)) {
            Ok(super::super::parse::Request::Run(_, Ok((_, Command::Update(args))))) => Ok(*args),
            Ok(super::super::parse::Request::Run(_, Err(failure))) | Err(failure) => {
                Err(failure.error)
            }
            Ok(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_become_limits() {
        let args = args(
            "web --blkio-weight 500 --cpu-period 1 --cpu-quota -1 --cpu-burst 3 --cpu-share 4 \
             --cpuset-cpus 0-1 --cpuset-mems 0 --cpu-idle 1 --memory 1k --memory-reservation=2m \
             --memory-swap -1 --pids-limit -1 --mem-bw-schema MB:0=5",
        )
        .unwrap();
        assert_eq!(args.id, "web");
        let expected = r#"{"cpu":{"period":1,"quota":-1,"burst":3,"shares":4,"cpus":"0-1",
            "mems":"0","idle":1},"memory":{"limit":1024,"reservation":2097152,"swap":-1},
            "pids":{"limit":-1},"blockIO":{"weight":500}}"#;
        assert_eq!(args.resources, serde_json::from_str(expected).unwrap());
        assert_eq!(args.schemas.mem_bw.as_deref(), Some("MB:0=5"));
    }

    #[test]
    fn a_file_makes_flags_void() {
        let args = args("-r - --memory nonsense web").unwrap();
        assert_eq!((args.file.as_deref(), args.resources), (Some("-"), Resources::default()));
    }

    #[test]
    fn bad_values_are_named() {
        for (words, expected) in [
            ("x --cpu-burst a", "invalid value for cpu-burst: parsing \"a\": invalid syntax"),
            ("x --memory 1x", "invalid value for memory: invalid size: '1x'"),
            ("x --blkio-weight 70000", "invalid value for blkio-weight: parsing \"70000\""),
        ] {
            let error = args(words).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
