//! The options of `bundle`: those of `run` that need no engine, and the request they make.

use super::isolation::Isolation;
use super::process::Process;
use super::resources::Resources;
use super::storage::Storage;
use super::{Part, put};
use clap::Args;
use serde_json::Value;

/// What of `run` a bundle takes.
#[derive(Args)]
pub struct Alone {
    /// Network namespace: none, host, or ns:PATH
    #[arg(long, value_name = "NETWORK")]
    network: Option<String>,
    /// Give the process a terminal
    #[arg(short, long)]
    tty: bool,
    #[command(flatten)]
    process: Process,
    #[command(flatten)]
    isolation: Isolation,
    #[command(flatten)]
    resources: Resources,
    #[command(flatten)]
    storage: Storage,
}

impl Alone {
    /// The body of a create request.
    ///
    /// # Errors
    /// Options contradict each other or can't be meant; a file they name can't be read.
    pub fn body(&self, command: &[String]) -> Result<Value, String> {
        let (mut config, mut host) = (Part::new(), Part::new());
        put(&mut config, "Cmd", command);
        put(&mut config, "Tty", self.tty);
        put(&mut host, "NetworkMode", self.network.clone());
        self.process.fill(&mut config, &mut host)?;
        self.isolation.fill(&mut host)?;
        self.resources.fill(&mut host);
        self.storage.fill(&mut config, &mut host)?;
        config.insert("HostConfig".into(), host.into());
        Ok(config.into())
    }
}
