//! `hull ps`: the container's processes, picked from what the host's ps(1) prints.

use super::args::{Format, PsArgs};
use super::exit_code::ExitCode;
use super::global::Global;
use super::print;
use crate::container::Store;
use crate::error::{At, Error, Kind, Result};
use std::process::Command;

/// Carries the command out.
#[inline(never)]
pub fn run(global: &Global, args: &PsArgs) -> Result<ExitCode> {
    let container = Store::open_for(&global.root, &args.id)?.load(&args.id)?;
    print(&render(&container.pids()?, args)?)?;
    Ok(ExitCode::SUCCESS)
}

/// The processes `pids` as the arguments want them.
pub fn render(pids: &[i32], args: &PsArgs) -> Result<String> {
    match args.format {
        Format::Json => Ok(format!("{}\n", serde_json::Value::from(pids))),
        Format::Table => filter(&ps(&args.args)?, pids),
    }
}

/// Runs ps(1).
fn ps(args: &[String]) -> Result<String> {
    let default = ["-ef".to_owned()];
    let args = if args.is_empty() { &default[..] } else { args };
    let output = Command::new("ps").args(args).output().at(|| "run ps")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let message = format!("ps {}: {}: {}", args.join(" "), output.status, said.trim());
        return Err(Error::new(Kind::Usage, message));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The header of `text` and the lines whose PID column is one of `pids`.
fn filter(text: &str, pids: &[i32]) -> Result<String> {
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let column = header
        .split_ascii_whitespace()
        .position(|title| title == "PID")
        .ok_or_else(|| Error::new(Kind::Usage, "couldn't find PID field in ps output"))?;
    let mut out = format!("{header}\n");
    for line in lines.filter(|line| !line.is_empty()) {
        let field = line.split_ascii_whitespace().nth(column).unwrap_or_default();
        let pid: i32 = field.parse().map_err(|_| {
            Error::new(Kind::Usage, format!("unable to parse pid {field:?} in ps output"))
        })?;
        if pids.contains(&pid) {
            out.push_str(line);
            out.push('\n');
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EF: &str = "\
UID          PID    PPID  C STIME TTY          TIME CMD
root           1       0  0 16:00 ?        00:00:00 init
ann           42       1  0 16:00 ?        00:00:00 sh -c 7
root           7       1  0 16:00 ?        00:00:00 42 1
";

    #[test]
    fn lines_of_the_containers_processes() {
        assert_eq!(
            filter(EF, &[42, 99]).unwrap(),
            "\
UID          PID    PPID  C STIME TTY          TIME CMD
ann           42       1  0 16:00 ?        00:00:00 sh -c 7
"
        );
        let header = "UID          PID    PPID  C STIME TTY          TIME CMD\n";
        assert_eq!(filter(EF, &[]).unwrap(), header);
        assert_eq!(filter("  PID TTY\n   42 pts/0\n", &[42]).unwrap(), "  PID TTY\n   42 pts/0\n");
    }

    #[test]
    fn output_without_pids() {
        for (text, expect) in [
            ("", "couldn't find PID field in ps output"),
            ("UID PPID\n0 1\n", "couldn't find PID field in ps output"),
            ("UID PID\nroot\n", "unable to parse pid \"\" in ps output"),
            ("UID PID\nroot x\n", "unable to parse pid \"x\" in ps output"),
        ] {
            assert_eq!(filter(text, &[1]).unwrap_err().to_string(), expect);
        }
    }

    #[test]
    fn json() {
        let args = PsArgs { id: "web".into(), format: Format::Json, args: vec![] };
        assert_eq!(render(&[32050, 7], &args).unwrap(), "[32050,7]\n");
        assert_eq!(render(&[], &args).unwrap(), "[]\n");
    }
}
