//! The page of commands has every flag of `--help`, and no other.

use super::page::Page;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const PAGE: &str = "docs/commands.md";

/// Adds the flags and commands that only one of the two has.
///
/// # Errors
/// The program can't be run.
pub fn check(pages: &[Page], hull: &Path, wrong: &mut Vec<String>) -> Result<(), String> {
    let Some(page) = pages.iter().find(|page| page.path == Path::new(PAGE)) else {
        return Ok(());
    };
    let overview = help(hull, &[])?;
    let commands: Vec<&str> = overview
        .lines()
        .skip_while(|line| *line != "COMMANDS:")
        .skip(1)
        .map_while(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    let mut known = flags(&overview);
    for command in &commands {
        known.extend(flags(&help(hull, &[command])?));
    }
    let lines: Vec<&str> = page.prose.iter().map(|(_, line)| line.as_str()).collect();
    let text = lines.join("\n");
    let told = flags(&text);
    for flag in known.difference(&told) {
        wrong.push(format!("{PAGE}: says nothing of {flag}"));
    }
    // Shown as a form of writing, not as a flag.
    for flag in told.difference(&known).filter(|flag| *flag != "--flag" && *flag != "--help") {
        wrong.push(format!("{PAGE}: no command has {flag}"));
    }
    for command in commands.iter().filter(|name| !text.contains(&format!("`hull {name}"))) {
        wrong.push(format!("{PAGE}: says nothing of hull {command}"));
    }
    Ok(())
}

fn help(hull: &Path, command: &[&str]) -> Result<String, String> {
    let output = Command::new(hull)
        .args(command)
        .arg("--help")
        .output()
        .map_err(|error| format!("{}: {error}", hull.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The long flags in a text.
fn flags(text: &str) -> BTreeSet<String> {
    let plain = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-';
    let names = text.split("--").skip(1).map(|rest| rest.chars().take_while(plain).collect());
    // A row of dashes is the rule of a table.
    let is_flag = |name: &String| !name.is_empty() && !name.starts_with('-');
    names.filter(is_flag).map(|name| format!("--{name}")).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn flags_of_a_text() {
        let flags = super::flags("-b, --bundle DIR and `--no-pivot`; a -- b");
        assert_eq!(flags.into_iter().collect::<Vec<_>>(), ["--bundle", "--no-pivot"]);
    }
}
