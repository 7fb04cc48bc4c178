//! From the flag syntax engines and people use with OCI runtimes to one canonical form.
//!
//! Callers written for runc rely on Go's conventions: long flags with a single dash (`-root X`),
//! `--flag=true|false`, flags after the container id. [`split`] reads these with the flags that
//! clap's definitions list, so that nothing is listed twice, and hands clap `--long=value` tokens.

use crate::error::{Error, Kind, Result};
use clap::{Arg, ArgAction};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// Arguments, sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// `-h` or `--help` was there.
    pub help: bool,
    /// Flags of the command, canonical.
    pub flags: Vec<OsString>,
    /// Flags of the command around it, canonical.
    pub inherited: Vec<OsString>,
    /// Everything else.
    pub operands: Vec<OsString>,
}

/// Sorts `args` by the flags that `own` and, failing that, `outer` define.
///
/// With `until_operand` the first operand ends the flags: what follows belongs to a command inside
/// the container, or to ps(1). `--` ends them always.
pub fn split(
    args: impl IntoIterator<Item = OsString>,
    own: &clap::Command,
    outer: Option<&clap::Command>,
    until_operand: bool,
) -> Result<Split> {
    let mut args = args.into_iter();
    let mut out = Split::default();
    while let Some(arg) = args.next() {
        if arg == "--" {
            break;
        }
        let Some((name, value)) = flag(&arg) else {
            let negative_number = arg.as_bytes().starts_with(b"-") && arg != "-";
            out.operands.push(arg);
            if until_operand {
                // `exec ID -- CMD`: the dashes that would have ended the flags are no part of CMD.
                out.operands.extend(args.next().filter(|next| next != "--"));
            }
            if until_operand || negative_number {
                break;
            }
            continue;
        };
        let (definition, inherited) = match find(own, name) {
            Some(definition) => (definition, false),
            None => match outer.and_then(|outer| find(outer, name)) {
                Some(definition) => (definition, true),
                None => {
                    return Err(usage(format!(
                        "flag provided but not defined: -{}",
                        name.to_string_lossy()
                    )));
                }
            },
        };
        if matches!(definition.get_action(), ArgAction::Help) {
            out.help = true;
            continue;
        }
        let flags = if inherited { &mut out.inherited } else { &mut out.flags };
        if matches!(definition.get_action(), ArgAction::SetTrue) {
            set_switch(flags, definition, value)?;
        } else {
            let value = match value {
                Some(value) => value.to_owned(),
                None => args.next().ok_or_else(|| {
                    usage(format!("flag needs an argument: {}", arg.to_string_lossy()))
                })?,
            };
            set_value(flags, definition, &value);
        }
    }
    out.operands.extend(args);
    Ok(out)
}

fn usage(message: String) -> Error {
    Error::new(Kind::Usage, message)
}

/// Name and `=value` of an argument that looks like a flag: dashes, then a letter.
fn flag(arg: &OsStr) -> Option<(&OsStr, Option<&OsStr>)> {
    let bytes = arg.as_bytes();
    let body = bytes.strip_prefix(b"--").or_else(|| bytes.strip_prefix(b"-"))?;
    if !body.first()?.is_ascii_alphabetic() {
        return None;
    }
    let mut halves = body.splitn(2, |&byte| byte == b'=');
    let name = halves.next()?;
    Some((OsStr::from_bytes(name), halves.next().map(OsStr::from_bytes)))
}

/// The flag called `name`, long or short, however many dashes stood before it.
fn find<'a>(command: &'a clap::Command, name: &OsStr) -> Option<&'a Arg> {
    let name = name.to_str()?;
    command.get_arguments().find(|arg| {
        arg.get_long() == Some(name)
            || arg.get_short().is_some_and(|short| name.chars().eq([short]))
    })
}

/// `--long`, the form in which clap gets a flag.
fn token(definition: &Arg) -> OsString {
    let mut token = OsString::from("--");
    token.push(definition.get_long().unwrap_or_default());
    token
}

/// The last of several settings of a switch counts.
fn set_switch(flags: &mut Vec<OsString>, definition: &Arg, value: Option<&OsStr>) -> Result<()> {
    let on = match value {
        None => true,
        Some(value) => value.to_str().and_then(parse_bool).ok_or_else(|| {
            let name = definition.get_long().unwrap_or_default();
            usage(format!("invalid value {value:?} for flag -{name}: neither true nor false"))
        })?,
    };
    let token = token(definition);
    flags.retain(|flag| *flag != token);
    if on {
        flags.push(token);
    }
    Ok(())
}

/// The last of several values counts, unless the flag collects them. An empty value is the same as
/// none: callers write `--console-socket ""`.
fn set_value(flags: &mut Vec<OsString>, definition: &Arg, value: &OsStr) {
    let mut token = token(definition);
    token.push("=");
    if !matches!(definition.get_action(), ArgAction::Append) {
        flags.retain(|flag| !flag.as_bytes().starts_with(token.as_bytes()));
        if value.is_empty() {
            return;
        }
    }
    token.push(value);
    flags.push(token);
}

/// The spellings Go's strconv.ParseBool takes.
pub fn parse_bool(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Command;

    fn outer() -> Command {
        Command::new("outer").disable_help_flag(true).args([
            Arg::new("help").short('h').long("help").action(ArgAction::Help),
            Arg::new("root").long("root"),
            Arg::new("rootless").long("rootless"),
            Arg::new("debug").long("debug").action(ArgAction::SetTrue),
        ])
    }

    fn inner() -> Command {
        Command::new("inner").disable_help_flag(true).args([
            Arg::new("help").short('h').long("help").action(ArgAction::Help),
            Arg::new("bundle").short('b').long("bundle"),
            Arg::new("env").short('e').long("env").action(ArgAction::Append),
            Arg::new("detach").short('d').long("detach").action(ArgAction::SetTrue),
            Arg::new("rootless").long("rootless").action(ArgAction::SetTrue),
        ])
    }

    fn run(line: &str, until_operand: bool) -> Result<Split> {
        split(line.split(' ').map(OsString::from), &inner(), Some(&outer()), until_operand)
    }

    /// `flags | inherited | operands`, and a `?` for help.
    fn show(split: &Split) -> String {
        let join = |list: &[OsString]| {
            list.iter().map(|s| s.to_str().unwrap()).collect::<Vec<_>>().join(" ")
        };
        let help = if split.help { " ?" } else { "" };
        format!(
            "{} | {} | {}{help}",
            join(&split.flags),
            join(&split.inherited),
            join(&split.operands)
        )
    }

    #[test]
    fn go_flag_syntax() {
        for (line, expect) in [
            ("--bundle /b id", "--bundle=/b |  | id"),
            ("--bundle=/b id", "--bundle=/b |  | id"),
            ("-bundle /b id", "--bundle=/b |  | id"),
            ("-bundle=/b id", "--bundle=/b |  | id"),
            ("-b /b id", "--bundle=/b |  | id"),
            ("--b /b id", "--bundle=/b |  | id"),
            ("-b=/b id", "--bundle=/b |  | id"),
            // Flags after the id.
            ("id -b /b", "--bundle=/b |  | id"),
            ("id -detach", "--detach |  | id"),
            // A value may look like a flag.
            ("-b --detach id", "--bundle=--detach |  | id"),
            ("-e A=b=c,d -e B= id", "--env=A=b=c,d --env=B= |  | id"),
            // The last one counts.
            ("-b /1 -b /2 id", "--bundle=/2 |  | id"),
            ("-b /1 --bundle= id", " |  | id"),
            ("--detach=false id", " |  | id"),
            ("--detach=true id", "--detach |  | id"),
            ("-d -d=0 id", " |  | id"),
            ("-d=f -detach=T id", "--detach |  | id"),
            // `--` ends the flags.
            ("-d -- -b id", "--detach |  | -b id"),
            ("id -- -d", " |  | id -d"),
            // Not flags.
            ("id -", " |  | id -"),
            ("id -9 -d", " |  | id -9 -d"),
            // The outer command's flags may come late; the inner one's own win.
            ("id --root /r -debug", " | --root=/r --debug | id"),
            ("--rootless id", "--rootless |  | id"),
            ("id -h", " |  | id ?"),
            ("--help", " |  |  ?"),
        ] {
            assert_eq!(show(&run(line, false).unwrap()), expect, "{line}");
        }
    }

    #[test]
    fn flags_end_at_the_first_operand() {
        for (line, expect) in [
            ("-d id ls -d --nosuch", "--detach |  | id ls -d --nosuch"),
            ("id -aux", " |  | id -aux"),
            ("-- id -d", " |  | id -d"),
            ("id -- ls", " |  | id ls"),
            ("id sh -- ls", " |  | id sh -- ls"),
        ] {
            assert_eq!(show(&run(line, true).unwrap()), expect, "{line}");
        }
    }

    #[test]
    fn errors() {
        for (line, expect) in [
            ("--nosuch id", "flag provided but not defined: -nosuch"),
            ("-nosuch=1 id", "flag provided but not defined: -nosuch"),
            // Letters are not bundled, as in Go.
            ("-db /b id", "flag provided but not defined: -db"),
            ("id --bundle", "flag needs an argument: --bundle"),
            ("id -b", "flag needs an argument: -b"),
            ("-d=maybe id", "invalid value \"maybe\" for flag -detach: neither true nor false"),
            ("-d= id", "invalid value \"\" for flag -detach: neither true nor false"),
        ] {
            assert_eq!(run(line, false).unwrap_err().to_string(), expect, "{line}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_survive() {
        let path = OsStr::from_bytes(b"/b\xff");
        let args = ["-b".into(), path.to_owned(), path.to_owned()];
        let split = split(args, &inner(), None, false).unwrap();
        assert_eq!(split.flags, [OsStr::from_bytes(b"--bundle=/b\xff")]);
        assert_eq!(split.operands, [path]);
        let bad = OsStr::from_bytes(b"--b\xff").to_owned();
        super::split([bad], &inner(), None, false).unwrap_err();
    }
}
