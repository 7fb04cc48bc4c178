//! `info`.

use crate::cli::client::Call;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::format::Template;
use crate::cli::human::binary;
use crate::cli::json::Fields;
use crate::cli::output::{line, note, print};
use crate::cli::session::Session;
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Options of `info`.
#[derive(Args)]
pub struct Info {
    /// Go template, or json
    #[arg(short, long)]
    format: Option<String>,
}

/// Runs `info`.
pub async fn info(session: &Session, args: Info) -> Outcome {
    let mut info = session.client.json(Call::get("/info")).await?;
    if let Some(format) = args.format.filter(|format| !format.is_empty()) {
        info["ClientInfo"] = json!({
            "Debug": false, "Version": env!("CARGO_PKG_VERSION"), "Context": "default"
        });
        let format = if format == "json" { "{{json .}}".to_owned() } else { format };
        let template = Template::new(&format).map_err(Failure::new)?;
        return line(template.render(&info).map_err(Failure::new)?);
    }
    let version = env!("CARGO_PKG_VERSION");
    print(&format!("Client:\n Version:    {version}\n\nServer:\n{}\n", server(&info)))?;
    for warning in info.list("Warnings").iter().filter_map(Value::as_str) {
        note(warning);
    }
    Ok(())
}

fn server(info: &Value) -> String {
    let mut out = String::new();
    let mut put = |label: &str, value: String| {
        let _ = writeln!(out, " {label}: {value}");
    };
    put("Containers", info.int("Containers").to_string());
    for (label, key) in [
        ("Running", "ContainersRunning"),
        ("Paused", "ContainersPaused"),
        ("Stopped", "ContainersStopped"),
    ] {
        put(&format!(" {label}"), info.int(key).to_string());
    }
    put("Images", info.int("Images").to_string());
    put("Server Version", info.text("ServerVersion").into());
    put("Storage Driver", info.text("Driver").into());
    for pair in info.list("DriverStatus") {
        let text = |index: usize| pair.get(index).and_then(Value::as_str).unwrap_or("");
        put(&format!(" {}", text(0)), text(1).into());
    }
    put("Logging Driver", info.text("LoggingDriver").into());
    put("Cgroup Driver", info.text("CgroupDriver").into());
    put("Cgroup Version", info.text("CgroupVersion").into());
    plugins(&mut out, info);
    runtimes(&mut out, info);
    let mut put = |label: &str, value: String| {
        let _ = writeln!(out, " {label}: {value}");
    };
    put("Kernel Version", info.text("KernelVersion").into());
    put("Operating System", info.text("OperatingSystem").into());
    put("OSType", info.text("OSType").into());
    put("Architecture", info.text("Architecture").into());
    put("CPUs", info.int("NCPU").to_string());
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    put("Total Memory", binary(info.int("MemTotal") as f64));
    put("Name", info.text("Name").into());
    put("ID", info.text("ID").into());
    put("Docker Root Dir", info.text("DockerRootDir").into());
    put("Debug Mode", info.truth("Debug").to_string());
    for (label, key) in
        [("HTTP Proxy", "HttpProxy"), ("HTTPS Proxy", "HttpsProxy"), ("No Proxy", "NoProxy")]
    {
        if !info.text(key).is_empty() {
            put(label, info.text(key).into());
        }
    }
    if !info.list("Labels").is_empty() {
        put("Labels", String::new());
    }
    put("Experimental", info.truth("ExperimentalBuild").to_string());
    registries(&mut out, info);
    let _ = writeln!(out, " Live Restore Enabled: {}", info.truth("LiveRestoreEnabled"));
    out
}

fn joined(list: &[Value]) -> String {
    list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
}

fn plugins(out: &mut String, info: &Value) {
    let plugins = info.at_key("Plugins");
    let _ = writeln!(out, " Plugins:");
    for kind in ["Volume", "Network", "Authorization", "Log"] {
        let list = plugins.list(kind);
        if !list.is_empty() {
            let _ = writeln!(out, "  {kind}: {}", joined(list));
        }
    }
    let swarm = info.at_key("Swarm").text("LocalNodeState");
    if !swarm.is_empty() {
        let _ = writeln!(out, " Swarm: {swarm}");
    }
}

fn runtimes(out: &mut String, info: &Value) {
    let names: Vec<_> = info.entries("Runtimes").into_iter().map(|(name, _)| name).collect();
    if !names.is_empty() {
        let _ = writeln!(out, " Runtimes: {}", names.join(" "));
        let _ = writeln!(out, " Default Runtime: {}", info.text("DefaultRuntime"));
    }
    let _ = writeln!(out, " Init Binary: {}", info.text("InitBinary"));
    for (label, key) in
        [("containerd", "ContainerdCommit"), ("runc", "RuncCommit"), ("init", "InitCommit")]
    {
        if info.get(key).is_some_and(Value::is_object) {
            let _ = writeln!(out, " {label} version: {}", info.at_key(key).text("ID"));
        }
    }
    let options = info.list("SecurityOptions");
    if options.is_empty() {
        return;
    }
    let _ = writeln!(out, " Security Options:");
    for option in options.iter().filter_map(Value::as_str) {
        // name=seccomp,profile=default
        for part in option.split(',') {
            match part.split_once('=') {
                Some(("name", name)) => _ = writeln!(out, "  {name}"),
                Some(("profile", profile)) => _ = writeln!(out, "   Profile: {profile}"),
                _ => _ = writeln!(out, "   {part}"),
            }
        }
    }
}

fn registries(out: &mut String, info: &Value) {
    let config = info.at_key("RegistryConfig");
    let mut insecure: Vec<String> = config
        .entries("IndexConfigs")
        .into_iter()
        .filter(|(_, index)| !index.truth("Secure"))
        .map(|(name, _)| name.to_owned())
        .collect();
    let cidrs = config.list("InsecureRegistryCIDRs").iter().filter_map(Value::as_str);
    insecure.extend(cidrs.map(str::to_owned));
    if !insecure.is_empty() {
        let _ = writeln!(out, " Insecure Registries:\n  {}", insecure.join("\n  "));
    }
    let mirrors: Vec<_> = config.list("Mirrors").iter().filter_map(Value::as_str).collect();
    if !mirrors.is_empty() {
        let _ = writeln!(out, " Registry Mirrors:\n  {}", mirrors.join("\n  "));
    }
}
