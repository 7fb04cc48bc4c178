//! Arguments to commands: clap's parser with Docker's habits (`--flag=false`, one-line errors,
//! status 125 for unusable flags).

use super::args::Cli;
use super::failure::{ENGINE, Failure, Outcome};
use super::output::print;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches};
use std::ffi::OsString;

/// The command tree as it is documented.
pub fn documented() -> Command {
    Cli::command()
}

/// Reads the arguments; nothing where help or the version was printed.
///
/// # Errors
/// The arguments can't be meant.
pub fn parse(arguments: &[OsString]) -> Outcome<Option<Cli>> {
    let mut command = switches(documented());
    let result = command
        .try_get_matches_from_mut(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let error = match result {
        Ok(cli) => return Ok(Some(cli)),
        Err(error) => error,
    };
    match error.kind() {
        // The documented tree shows flags without the `[=true]` they accept.
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let shown = documented().try_get_matches_from_mut(arguments).err().unwrap_or(error);
            print(&shown.to_string())?;
            Ok(None)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if arguments.len() < 2 => {
            print(&documented().render_help().to_string())?;
            Ok(None)
        }
        _ => Err(explained(&error, arguments)),
    }
}

/// Makes every switch take `=true` and `=false`, as Docker's do.
fn switches(command: Command) -> Command {
    let command = command.mut_args(|arg| {
        if matches!(arg.get_action(), ArgAction::SetTrue) { valued(arg) } else { arg }
    });
    command.mut_subcommands(switches)
}

fn valued(arg: Arg) -> Arg {
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_value("false")
        .default_missing_value("true")
        .value_parser(clap::value_parser!(bool))
}

/// One line of what is wrong, and where to read on.
fn explained(error: &clap::Error, arguments: &[OsString]) -> Failure {
    let help = format!("see '{} --help'", path_of(arguments));
    let value = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" "),
        _ => String::new(),
    };
    let argument = value(ContextKind::InvalidArg);
    match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            let shown = if argument.starts_with("--") {
                format!("unknown flag: {argument}")
            } else {
                format!("unknown shorthand flag: {argument}")
            };
            Failure::new(format!("{shown}; {help}")).with_code(ENGINE)
        }
        ErrorKind::InvalidSubcommand => {
            let name = value(ContextKind::InvalidSubcommand);
            Failure::new(format!("'{name}' is not a deck command; see 'deck --help'"))
        }
        ErrorKind::MissingRequiredArgument => Failure::new(format!("requires {argument}; {help}")),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            Failure::new(format!("requires a command; {help}"))
        }
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or("").trim_start_matches("error: ");
            Failure::new(format!("{line}; {help}")).with_code(ENGINE)
        }
    }
}

/// The command the arguments name: `deck image ls`.
fn path_of(arguments: &[OsString]) -> String {
    let tree = documented();
    let mut command = &tree;
    let mut path = vec!["deck"];
    let mut skip = false;
    for argument in arguments.iter().skip(1).filter_map(|argument| argument.to_str()) {
        if std::mem::take(&mut skip) {
            continue;
        }
        if let Some(found) = command.find_subcommand(argument) {
            command = found;
            path.push(found.get_name());
        } else if path.len() == 1 && argument.starts_with('-') {
            // A global option's value is no command.
            skip = takes_value(&tree, argument);
        } else {
            break;
        }
    }
    path.join(" ")
}

fn takes_value(command: &Command, argument: &str) -> bool {
    command.get_arguments().any(|known| {
        let long = known.get_long().is_some_and(|long| argument == format!("--{long}"));
        let short = known.get_short().is_some_and(|short| argument == format!("-{short}"));
        (long || short) && known.get_action().takes_values()
    })
}

#[cfg(test)]
mod tests {
    use super::super::args::Command as Commands;
    use super::super::commands::container::Common;
    use super::*;

    fn run(line: &str) -> Outcome<Option<Cli>> {
        parse(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_tree_is_sound() {
        documented().debug_assert();
        switches(documented()).debug_assert();
    }

    #[test]
    fn switches_take_values_and_cluster() {
        let Ok(Some(cli)) = run("deck run -it --rm=false --rm=true --sig-proxy=false x -v y")
        else {
            panic!("refused");
        };
        let Commands::Container(Common::Run(run)) = cli.command else { panic!("another command") };
        assert!(run.create.interactive && run.create.tty && run.create.rm);
        assert!(!run.sig_proxy);
        assert_eq!(run.create.image_and_command, ["x", "-v", "y"]);
    }

    #[test]
    fn mistakes_are_one_line() {
        let message = |line| run(line).err().unwrap();
        let unknown = message("deck -H x run --bogus y");
        assert_eq!(unknown.code, ENGINE);
        assert_eq!(
            unknown.message.as_deref(),
            Some("unknown flag: --bogus; see 'deck run --help'")
        );
        assert_eq!(message("deck nope").code, 1);
        assert_eq!(message("deck rm").code, 1);
        assert_eq!(message("deck image").message.unwrap().lines().count(), 1);
        assert_eq!(message("deck ps --last x").message.unwrap().lines().count(), 1);
    }

    #[test]
    fn every_command_has_an_example() {
        fn check(command: &Command) {
            if !command.is_hide_set() && command.get_name() != "help" {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("Example: deck "), "{} has no example", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&documented());
    }

    #[test]
    fn every_listing_can_be_read_by_a_program() {
        let documented = documented();
        for path in [
            "ps",
            "images",
            "history",
            "search",
            "stats",
            "events",
            "info",
            "version",
            "inspect",
            "check",
            "container ls",
            "container inspect",
            "image ls",
            "image inspect",
            "network ls",
            "network inspect",
            "volume ls",
            "volume inspect",
            "system df",
        ] {
            let command = path.split(' ').fold(&documented, |command, name| {
                command.find_subcommand(name).unwrap_or_else(|| panic!("no command {path}"))
            });
            let has = command.get_arguments().any(|it| it.get_long() == Some("format"));
            assert!(has, "deck {path} has no --format");
        }
    }
}
