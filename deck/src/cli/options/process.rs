//! The container's process: environment, user, directory, names, signals.

use super::{Part, put};
use crate::cli::parse::env;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Options of the process.
#[derive(Args)]
pub struct Process {
    /// Annotation for the OCI runtime: NAME=VALUE
    #[arg(long, value_name = "ANNOTATION")]
    annotation: Vec<String>,
    /// NIS domain name
    #[arg(long)]
    domainname: Option<String>,
    /// Replace the image's entrypoint
    #[arg(long)]
    entrypoint: Option<String>,
    /// Environment variable: NAME=VALUE, or NAME to pass on the caller's
    #[arg(short, long, value_name = "VARIABLE")]
    env: Vec<String>,
    /// File of environment variables, one a line
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Further groups
    #[arg(long, value_name = "GROUP")]
    group_add: Vec<String>,
    /// Host name
    #[arg(short = 'h', long)]
    hostname: Option<String>,
    /// Run an init that reaps processes and passes on signals
    #[arg(long)]
    init: bool,
    /// Label: NAME=VALUE
    #[arg(short, long)]
    label: Vec<String>,
    /// File of labels, one a line
    #[arg(long, value_name = "FILE")]
    label_file: Vec<PathBuf>,
    /// Signal that asks the container to stop
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,
    /// Seconds until a container that doesn't stop is killed
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    stop_timeout: Option<i64>,
    /// Kernel parameter: NAME=VALUE
    #[arg(long)]
    sysctl: Vec<String>,
    /// User or UID, and group or GID: USER[:GROUP]
    #[arg(short, long)]
    user: Option<String>,
    /// Working directory
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
}

impl Process {
    pub(super) fn fill(&self, config: &mut Part, host: &mut Part) -> Result<(), String> {
        put(config, "Env", variables(&self.env, &self.env_file)?);
        let mut labels = Vec::new();
        for path in &self.label_file {
            labels.extend(env::file(&read(path)?, |_| Some(String::new()))?);
        }
        labels.extend(self.label.iter().cloned());
        put(config, "Labels", json!(env::map(&labels)));
        put(config, "User", self.user.clone());
        put(config, "WorkingDir", self.workdir.clone());
        put(config, "Hostname", self.hostname.clone());
        put(config, "Domainname", self.domainname.clone());
        put(config, "StopSignal", self.stop_signal.clone());
        // 0 and -1 mean something here: at once, never.
        if let Some(seconds) = self.stop_timeout {
            config.insert("StopTimeout".into(), seconds.into());
        }
        if let Some(entrypoint) = &self.entrypoint {
            // An empty one takes the image's away.
            config.insert("Entrypoint".into(), json!([entrypoint]));
        }
        put(host, "GroupAdd", self.group_add.clone());
        put(host, "Init", self.init);
        put(host, "Sysctls", json!(env::map(&self.sysctl)));
        put(host, "Annotations", json!(env::map(&self.annotation)));
        Ok(())
    }
}

/// Variables of files, then those of options.
///
/// # Errors
/// A file can't be read, or a variable has no name.
pub fn variables(given: &[String], files: &[PathBuf]) -> Result<Value, String> {
    let lookup = |name: &str| std::env::var(name).ok();
    let mut variables = Vec::new();
    for path in files {
        variables.extend(env::file(&read(path)?, lookup)?);
    }
    for text in given {
        variables.push(env::variable(text, lookup)?);
    }
    Ok(variables.into())
}

fn read(path: &PathBuf) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("open {}: {error}", path.display()))
}
