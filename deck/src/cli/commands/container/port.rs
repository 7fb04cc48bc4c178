//! `port`.

use super::path;
use crate::cli::client::Call;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::json::Fields;
use crate::cli::output::{line, print};
use crate::cli::session::Session;
use clap::Args;
use serde_json::Value;

/// Options of `port`.
#[derive(Args)]
pub struct Port {
    /// Container
    container: String,
    /// Only this port: PORT[/PROTOCOL]
    #[arg(value_name = "PORT")]
    private: Option<String>,
}

/// Runs `port`.
pub async fn port(session: &Session, args: Port) -> Outcome {
    let container: Value =
        session.client.json(Call::get(&format!("{}/json", path(&args.container)))).await?;
    let ports = container.at_key("NetworkSettings").entries("Ports");
    let Some(private) = args.private else {
        let mut lines: Vec<_> = ports
            .iter()
            .flat_map(|(port, bindings)| {
                addresses(bindings).into_iter().map(move |address| (key(port), port, address))
            })
            .collect();
        lines.sort();
        for (_, port, address) in lines {
            line(format!("{port} -> {address}"))?;
        }
        return Ok(());
    };
    let wanted = if private.contains('/') { private.clone() } else { format!("{private}/tcp") };
    let found = ports.iter().find(|(port, _)| *port == wanted).map(|(_, list)| addresses(list));
    match found {
        Some(addresses) if !addresses.is_empty() => print(&(addresses.join("\n") + "\n")),
        _ => Err(Failure::new(format!(
            "Error: No public port '{private}' published for {}",
            args.container
        ))),
    }
}

fn key(port: &str) -> (u32, &str) {
    let (number, protocol) = port.split_once('/').unwrap_or((port, ""));
    (number.parse().unwrap_or(0), protocol)
}

fn addresses(bindings: &Value) -> Vec<String> {
    let shown = |binding: &Value| {
        let (ip, port) = (binding.text("HostIp"), binding.text("HostPort"));
        if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
    };
    bindings.as_array().map(|list| list.iter().map(shown).collect()).unwrap_or_default()
}
