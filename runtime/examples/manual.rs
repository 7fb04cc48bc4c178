//! Writes hull's manual pages and shell completions, from the definitions its parser uses:
//!
//!     cargo run -p hull --example manual -- target
//!
//! fills target/man and target/completions. hull's own binary has no code for this.

use clap::{Arg, Command, ValueHint};
use clap_complete::{Shell, generate_to};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use hull::cli::entries::{ENTRIES, Entry};
use hull::cli::help;
use std::fs::{create_dir_all, write};
use std::io::{Error, Result};
use std::path::{Path, PathBuf};

const SECTION: &str = "1";

fn main() -> Result<()> {
    let target = std::env::args_os().nth(1).map(PathBuf::from);
    let target = target.ok_or_else(|| Error::other("usage: manual DIRECTORY"))?;
    let (man, completions) = (target.join("man"), target.join("completions"));
    create_dir_all(&man)?;
    create_dir_all(&completions)?;
    write(man.join("hull.1"), overview_page()?)?;
    for entry in &ENTRIES {
        let name = format!("hull-{}.{SECTION}", entry.name());
        write(man.join(name), command_page(entry)?)?;
    }
    complete(&completions)
}

/// Completions for bash, zsh and fish, by the names these shells expect.
fn complete(directory: &Path) -> Result<()> {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut whole(), "hull", directory)?;
    }
    Ok(())
}

/// hull with all its commands.
fn whole() -> Command {
    let commands = ENTRIES.iter().map(|entry| definition(entry).about(entry.about));
    let topics = ENTRIES.iter().map(Entry::name).collect::<Vec<_>>();
    let topic = Arg::new("command").value_parser(topics);
    let help = Command::new("help").about("print this, or the help of a command").arg(topic);
    program().subcommands(commands).subcommand(help).disable_help_subcommand(true)
}

fn program() -> Command {
    let global = help::global_definition();
    let flags = global.get_arguments().cloned();
    Command::new("hull")
        .about("Open Container Initiative runtime")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(flags)
}

/// A command with its flags and operands.
fn definition(entry: &Entry) -> Command {
    let parsed = help::entry_definition(entry);
    let command = Command::new(entry.name())
        .disable_help_flag(true)
        .args(parsed.get_arguments().cloned())
        .version(env!("CARGO_PKG_VERSION"))
        .disable_version_flag(true);
    entry.operands.split_inclusive([']', '>']).map(str::trim).fold(command, |command, operand| {
        let name = operand.trim_matches(['[', ']', '<', '>']);
        let (least, most) =
            (operand.starts_with('<'), operand.contains("...") || name.contains(' '));
        let hint = match name {
            "command" => ValueHint::CommandName,
            _ => ValueHint::Other,
        };
        let arg = Arg::new(name).value_name(name).required(least).value_hint(hint);
        command.arg(if most { arg.num_args(0..) } else { arg })
    })
}

/// hull(1).
fn overview_page() -> Result<Vec<u8>> {
    let man = Man::new(program()).section(SECTION).manual("Hull");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    let mut rest = Roff::new();
    rest.control("SH", ["SYNOPSIS"]);
    rest.text([roman("hull [global options] COMMAND [options] [arguments]")]);
    rest.control("SH", ["DESCRIPTION"]);
    rest.text([roman(
        "hull makes a container from a bundle, a directory with a root file system and a \
         config.json, as the OCI runtime specification says. Flags may stand before or after the \
         id of the container, with one dash or two; those of kill, ps and exec end at the id.",
    )]);
    rest.to_writer(&mut out)?;
    man.render_options_section(&mut out)?;
    let mut rest = Roff::new();
    rest.control("SH", ["COMMANDS"]);
    for entry in &ENTRIES {
        rest.control("TP", []);
        rest.text([roman(format!("hull-{}({SECTION})", entry.name()))]);
        rest.text([roman(entry.about)]);
    }
    rest.to_writer(&mut out)?;
    man.render_version_section(&mut out)?;
    Ok(out)
}

/// The page of a command.
fn command_page(entry: &Entry) -> Result<Vec<u8>> {
    let command = definition(entry).about(entry.about);
    let name = format!("hull-{}", entry.name());
    let man =
        Man::new(command.display_name(name.clone())).title(name).section(SECTION).manual("Hull");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    let mut rest = Roff::new();
    rest.control("SH", ["SYNOPSIS"]);
    rest.text([roman(help::usage(entry))]);
    rest.to_writer(&mut out)?;
    man.render_options_section(&mut out)?;
    let mut rest = Roff::new();
    rest.control("SH", ["EXIT STATUS"]);
    rest.text([roman(match entry.name() {
        "run" | "restore" => {
            "In the foreground that of the program, or 128 and the signal that ended it. 1 for an \
             error of hull's."
        }
        "exec" => {
            "In the foreground that of the program, or 128 and the signal that ended it. 255 for \
             an error of hull's."
        }
        _ => "0, or 1 for an error.",
    })]);
    rest.control("SH", ["EXAMPLE"]);
    for line in entry.example.lines() {
        rest.control("nf", []);
        rest.text([roman(line.trim_start())]);
        rest.control("fi", []);
    }
    rest.control("SH", ["SEE ALSO"]);
    rest.text([roman(format!("hull({SECTION})"))]);
    rest.to_writer(&mut out)?;
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_is_on_its_page() {
        for entry in &ENTRIES {
            let page = String::from_utf8(command_page(entry).unwrap()).unwrap();
            let page = page.replace("\\-", "-").replace("\\*(Aq", "'");
            assert!(page.contains(entry.about) && page.contains(".SH EXAMPLE"), "{page}");
            let parsed = help::entry_definition(entry);
            for flag in parsed.get_arguments().filter(|arg| !arg.is_hide_set()) {
                let long = flag.get_long().unwrap();
                assert!(page.contains(&format!("--{long}")), "{long} in {page}");
            }
        }
        let page = String::from_utf8(overview_page().unwrap()).unwrap().replace("\\-", "-");
        for word in ["--systemd-cgroup", "hull-checkpoint(1)", "hull-update(1)"] {
            assert!(page.contains(word), "{page}");
        }
    }

    #[test]
    fn shells_complete_commands_and_flags() {
        let directory = std::env::temp_dir().join(format!("hull-manual-{}", std::process::id()));
        create_dir_all(&directory).unwrap();
        complete(&directory).unwrap();
        for name in ["hull.bash", "_hull", "hull.fish"] {
            let text = std::fs::read_to_string(directory.join(name)).unwrap();
            for word in ["systemd-cgroup", "checkpoint", "leave-running", "preserve-fds"] {
                assert!(text.contains(word), "{word} in {name}");
            }
        }
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
