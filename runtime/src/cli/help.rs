//! Help and version texts, in the sections callers of OCI runtimes know (`NAME:` first).

use super::entries::{ENTRIES, Entry};
use super::global;
use crate::spec::check::OCI_VERSION;
use clap::{Arg, ArgAction, Command};
use std::fmt::Write as _;

const ABOUT: &str = "Open Container Initiative runtime";

/// The clap definitions of the global options.
pub fn global_definition() -> Command {
    definition("hull", global::flags())
}

/// The clap definitions of a command.
pub fn entry_definition(entry: &Entry) -> Command {
    definition(entry.title, (entry.flags)())
}

fn definition(title: &'static str, flags: Vec<Arg>) -> Command {
    Command::new(title)
        .no_binary_name(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .disable_help_subcommand(true)
        .args(flags)
        .arg(Arg::new("help").short('h').long("help").action(ArgAction::Help).help("Print help"))
}

/// `hull --help`.
pub fn overview() -> String {
    let mut out = format!(
        "NAME:\n   hull - {ABOUT}\n\n\
         USAGE:\n   hull [global options] COMMAND [options] [arguments]\n\n\
         COMMANDS:\n"
    );
    let help = ("help", "print this, or the help of a command");
    for (name, about) in ENTRIES.iter().map(|entry| (entry.name(), entry.about)).chain([help]) {
        // Writing to a String can't fail.
        let _ = writeln!(out, "   {name:<10} {about}");
    }
    out.push_str("\nGLOBAL OPTIONS:\n");
    out.push_str(&options(global_definition()));
    out.push_str(
        "\nEXAMPLE:\n   hull spec --bundle web           # then put a file system in web/rootfs\n   \
         hull run --bundle web web1\n\n\
         \"hull COMMAND --help\" says more about a command.\n",
    );
    out
}

/// `hull COMMAND --help`.
pub fn command(entry: &Entry) -> String {
    format!(
        "NAME:\n   {} - {}\n\nUSAGE:\n   {}\n\nOPTIONS:\n{}\nEXAMPLE:\n   {}\n",
        entry.title,
        entry.about,
        usage(entry),
        options(entry_definition(entry)),
        entry.example
    )
}

/// The command's synopsis.
pub fn usage(entry: &Entry) -> String {
    format!("{} [options] {}", entry.title, entry.operands).trim_end().to_owned()
}

fn options(definition: Command) -> String {
    let mut text = definition.help_template("{options}").render_help().to_string();
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// `hull --version`. Engines read the version behind the word "version", and the lines that begin
/// with `commit:` and `spec:`.
pub fn version() -> String {
    let commit = option_env!("HULL_COMMIT").unwrap_or("unknown");
    let mut out = format!(
        "hull version {}\ncommit: {commit}\nspec: {OCI_VERSION}\n",
        env!("CARGO_PKG_VERSION")
    );
    if let Ok(libseccomp) = libseccomp::ScmpVersion::current() {
        let _ = writeln!(out, "libseccomp: {libseccomp}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_help_has_its_sections() {
        let overview = overview();
        assert!(overview.starts_with("NAME:\n   hull - Open Container Initiative runtime\n"));
        for entry in &ENTRIES {
            assert!(overview.contains(&format!("\n   {:<10} ", entry.name())), "{}", entry.name());
            let help = command(entry);
            let head = format!("NAME:\n   hull {} - ", entry.name());
            assert!(help.starts_with(&head), "{help}");
            assert!(help.contains(&format!("\nUSAGE:\n   hull {} [options]", entry.name())));
            assert!(help.contains("\nEXAMPLE:\n   "), "{help}");
            assert!(help.contains("  -h, --help"), "{help}");
            for line in help.lines().chain(overview.lines()) {
                assert!(line.trim_end() == line && line.len() <= 100, "{line:?}");
            }
            assert!(help.contains(entry.title) && entry.example.contains(entry.title), "{help}");
        }
    }

    #[test]
    fn entries_are_in_order() {
        assert!(ENTRIES.is_sorted_by_key(Entry::name));
    }

    #[test]
    fn hidden_flags_stay_hidden() {
        let kill = ENTRIES.iter().find(|entry| entry.name() == "kill").unwrap();
        assert!(!command(kill).contains("--all"), "{}", command(kill));
    }

    #[test]
    fn version_is_what_engines_read() {
        let text = version();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("hull version 0."), "{text}");
        assert!(lines[1].starts_with("commit: "), "{text}");
        assert_eq!(lines[2], "spec: 1.3.0");
        assert!(lines[3].starts_with("libseccomp: 2."), "{text}");
    }
}
