//! `top`: the host's ps(1), and of its lines those of the container.

use super::Engine;
use crate::error::{At, Error, Result};
use serde::Serialize;
use std::process::{Command, Stdio};

/// The answer of `GET /containers/{id}/top`.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Top {
    /// Lines in columns.
    pub processes: Vec<Vec<String>>,
    /// Heads of the columns.
    pub titles: Vec<String>,
}

impl Engine {
    /// Processes of a container as ps(1) with these arguments tells them; `-ef` when empty.
    ///
    /// # Errors
    /// 404, 409 when it doesn't run; what ps says.
    pub fn top(&self, reference: &str, arguments: &str) -> Result<Top> {
        let container = self.alive(reference)?;
        let pids = self.task(&container)?.pids()?;
        let arguments = if arguments.is_empty() { "-ef" } else { arguments };
        if arguments.contains(['\0', '\n']) {
            return Err(Error::invalid("ps_args: not one line"));
        }
        let output = Command::new("ps")
            .args(arguments.split_ascii_whitespace())
            .stdin(Stdio::null())
            .output()
            .at(|| "run ps (package procps)")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Error::internal(format!("ps {arguments}: {}", said.trim())));
        }
        choose(&String::from_utf8_lossy(&output.stdout), &pids)
    }
}

/// The lines of these processes.
fn choose(output: &str, pids: &[i32]) -> Result<Top> {
    let mut lines = output.lines();
    let titles: Vec<String> =
        lines.next().unwrap_or_default().split_ascii_whitespace().map(str::to_string).collect();
    let column = titles
        .iter()
        .position(|title| title == "PID")
        .ok_or_else(|| Error::invalid("Couldn't find PID field in ps output"))?;
    let mut processes = Vec::new();
    for line in lines {
        // The last column is a command, blanks and all.
        let mut fields: Vec<String> = Vec::new();
        let mut rest = line.trim_start();
        while fields.len() + 1 < titles.len() {
            let Some((field, after)) = rest.split_once(char::is_whitespace) else { break };
            fields.push(field.into());
            rest = after.trim_start();
        }
        fields.push(rest.into());
        let pid = fields.get(column).and_then(|pid| pid.parse::<i32>().ok());
        if pid.is_some_and(|pid| pids.contains(&pid)) {
            processes.push(fields);
        }
    }
    Ok(Top { processes, titles })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_containers_lines() {
        let output = "  PID CMD\n    7 sleep 1 2\n    8 other\n";
        let top = choose(output, &[7]).unwrap();
        assert_eq!(top.titles, ["PID", "CMD"]);
        assert_eq!(top.processes, [["7", "sleep 1 2"]]);
        assert!(choose("CMD\nx\n", &[7]).is_err());
    }
}
