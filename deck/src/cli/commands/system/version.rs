//! `version`.

use crate::cli::client::{Call, NEWEST};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::format::Template;
use crate::cli::json::Fields;
use crate::cli::output::{line, print};
use crate::cli::session::Session;
use crate::cli::time;
use crate::engine::version::COMMIT;
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Options of `version`.
#[derive(Args)]
pub struct Version {
    /// Go template, or json
    #[arg(short, long)]
    format: Option<String>,
}

/// Runs `version`.
pub async fn version(session: &Session, args: Version) -> Outcome {
    let agreed = session.client.version().await;
    let server = match &agreed {
        Ok(_) => session.client.json(Call::get("/version")).await,
        Err(error) => Err(crate::Error::new(error.status, error.message.clone())),
    };
    let client = client(agreed.unwrap_or(NEWEST));
    if let Some(format) = args.format.filter(|format| !format.is_empty()) {
        let format = if format == "json" { "{{json .}}".to_owned() } else { format };
        let both = json!({"Client": client, "Server": server.as_ref().ok()});
        let template = Template::new(&format).map_err(Failure::new)?;
        line(template.render(&both).map_err(Failure::new)?)?;
        return server.map(drop).map_err(Failure::from);
    }
    print(&client_text(&client))?;
    print(&server_text(&server?))
}

fn client((major, minor): (u32, u32)) -> Value {
    json!({
        "Platform": {"Name": "deck"},
        "Version": env!("CARGO_PKG_VERSION"),
        "ApiVersion": format!("{major}.{minor}"),
        "DefaultAPIVersion": format!("{}.{}", NEWEST.0, NEWEST.1),
        "GitCommit": COMMIT,
        "Os": "linux",
        "Arch": architecture(),
        "Context": "default",
    })
}

/// This machine's architecture in Go's words.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn client_text(client: &Value) -> String {
    let (agreed, newest) = (client.text("ApiVersion"), client.text("DefaultAPIVersion"));
    let downgraded =
        if agreed == newest { String::new() } else { format!(" (downgraded from {newest})") };
    format!(
        "Client:\n Version:           {}\n API version:       {agreed}{downgraded}\n \
         Git commit:        {}\n OS/Arch:           linux/{}\n",
        client.text("Version"),
        client.text("GitCommit"),
        client.text("Arch")
    )
}

fn server_text(server: &Value) -> String {
    let name = server.at_key("Platform").text("Name");
    let mut text =
        if name.is_empty() { "\nServer:\n".to_owned() } else { format!("\nServer: {name}\n") };
    for component in server.list("Components") {
        let _ = writeln!(
            text,
            " {}:\n  {:<17} {}",
            component.text("Name"),
            "Version:",
            component.text("Version")
        );
        let details = component.at_key("Details");
        let detail = |key: &str| details.text(key);
        let mut put = |label: &str, value: String| {
            let _ = writeln!(text, "  {label:<17} {value}");
        };
        if component.text("Name") != "Engine" {
            if details.get("GitCommit").is_some() {
                put("GitCommit:", detail("GitCommit").to_owned());
            }
            continue;
        }
        let api = format!("{} (minimum version {})", detail("ApiVersion"), detail("MinAPIVersion"));
        put("API version:", api);
        for (label, key) in [("Go version:", "GoVersion"), ("Git commit:", "GitCommit")] {
            if !detail(key).is_empty() {
                put(label, detail(key).to_owned());
            }
        }
        if !detail("BuildTime").is_empty() {
            put("Built:", time::ansi(detail("BuildTime")));
        }
        put("OS/Arch:", format!("{}/{}", detail("Os"), detail("Arch")));
        put("Experimental:", detail("Experimental").to_owned());
    }
    text
}
