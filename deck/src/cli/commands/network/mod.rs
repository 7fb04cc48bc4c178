//! `deck network …`

mod create;

use super::system::inspect::{self, Kind, Only};
use super::{confirm, remove};
use crate::cli::client::{Call, escape};
use crate::cli::failure::Outcome;
use crate::cli::filter;
use crate::cli::human::short_id;
use crate::cli::json::{Fields, pairs};
use crate::cli::list::{List, Row};
use crate::cli::options::{Part, put};
use crate::cli::output::{line, note, print};
use crate::cli::parse::env;
use crate::cli::parse::network::address;
use crate::cli::session::Session;
use crate::cli::time;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// `deck network …`
#[derive(Subcommand)]
pub enum Command {
    /// Connect a container to a network
    #[command(after_help = "Example: deck network connect --alias db back web")]
    Connect(Connect),
    /// Make a network
    #[command(after_help = "Example: deck network create --subnet 10.5.0.0/24 back")]
    Create(create::Create),
    /// Disconnect a container from a network
    #[command(after_help = "Example: deck network disconnect back web")]
    Disconnect(Disconnect),
    /// Show details of networks
    #[command(after_help = "Example: deck network inspect bridge")]
    Inspect(Only),
    /// List networks
    #[command(alias = "list", after_help = "Example: deck network ls --filter driver=bridge")]
    Ls(Ls),
    /// Remove unused networks
    #[command(after_help = "Example: deck network prune -f")]
    Prune(Prune),
    /// Remove networks
    #[command(alias = "remove", after_help = "Example: deck network rm back")]
    Rm(Rm),
}

/// Options of `network connect`.
#[derive(Args)]
pub struct Connect {
    /// Name of the container in this network
    #[arg(long)]
    alias: Vec<String>,
    /// Option of the driver: NAME=VALUE
    #[arg(long, value_name = "OPTION")]
    driver_opt: Vec<String>,
    /// The default route goes through the network with the highest
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, default_value_t = 0)]
    gw_priority: i64,
    /// IPv4 address
    #[arg(long, value_parser = address)]
    ip: Option<Value>,
    /// IPv6 address
    #[arg(long, value_parser = address)]
    ip6: Option<Value>,
    /// Reach another container by name: NAME[:ALIAS]
    #[arg(long, value_name = "CONTAINER")]
    link: Vec<String>,
    /// Link-local address
    #[arg(long, value_parser = address, value_name = "IP")]
    link_local_ip: Vec<Value>,
    /// Network
    network: String,
    /// Container
    container: String,
}

/// Options of `network disconnect`.
#[derive(Args)]
pub struct Disconnect {
    /// Even if the container is not running
    #[arg(short, long)]
    force: bool,
    /// Network
    network: String,
    /// Container
    container: String,
}

/// Options of `network ls`.
#[derive(Args)]
pub struct Ls {
    /// Only those that match: driver=…, name=…, label=…, type=custom
    #[arg(short, long, value_parser = filter::parse)]
    filter: Vec<(String, String)>,
    /// Go template, 'table TEMPLATE', or json
    #[arg(long)]
    format: Option<String>,
    /// Don't cut anything
    #[arg(long)]
    no_trunc: bool,
    /// Only ids
    #[arg(short, long)]
    quiet: bool,
}

/// Options of `network prune`.
#[derive(Args)]
pub struct Prune {
    /// Only what matches: until=…, label=…
    #[arg(long, value_parser = filter::parse)]
    filter: Vec<(String, String)>,
    /// Don't ask
    #[arg(short, long)]
    force: bool,
}

/// Options of `network rm`.
#[derive(Args)]
pub struct Rm {
    /// Don't mind networks that aren't there
    #[arg(short, long)]
    force: bool,
    /// Networks
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
}

/// Runs a command.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::Connect(args) => connect(session, args).await,
        Command::Create(args) => create::create(session, args).await,
        Command::Disconnect(args) => disconnect(session, args).await,
        Command::Inspect(args) => inspect::only(session, args, Kind::Network).await,
        Command::Ls(args) => ls(session, args).await,
        Command::Prune(args) => prune(session, args).await,
        Command::Rm(args) => rm(session, args).await,
    }
}

async fn connect(session: &Session, args: Connect) -> Outcome {
    let mut addresses = Part::new();
    put(&mut addresses, "IPv4Address", args.ip);
    put(&mut addresses, "IPv6Address", args.ip6);
    put(&mut addresses, "LinkLocalIPs", args.link_local_ip);
    let mut endpoint = Part::new();
    put(&mut endpoint, "IPAMConfig", addresses);
    put(&mut endpoint, "Links", args.link);
    put(&mut endpoint, "Aliases", args.alias);
    put(&mut endpoint, "DriverOpts", json!(env::map(&args.driver_opt)));
    if args.gw_priority != 0 {
        put(&mut endpoint, "GwPriority", args.gw_priority);
    }
    let body = json!({"Container": args.container, "EndpointConfig": endpoint});
    let path = format!("/networks/{}/connect", escape(&args.network));
    Ok(session.client.run(Call::post(&path).json(&body)).await?)
}

async fn disconnect(session: &Session, args: Disconnect) -> Outcome {
    let body = json!({"Container": args.container, "Force": args.force});
    let path = format!("/networks/{}/disconnect", escape(&args.network));
    Ok(session.client.run(Call::post(&path).json(&body)).await?)
}

async fn ls(session: &Session, args: Ls) -> Outcome {
    let answer = session.client.json(Call::get("/networks").filters(&args.filter)).await?;
    let mut networks: Vec<&Value> = answer.as_array().into_iter().flatten().collect();
    networks.sort_by(|a, b| a.text("Name").cmp(b.text("Name")));
    let rows: Vec<_> = networks.into_iter().map(|network| row(network, args.no_trunc)).collect();
    let format = args.format.as_deref().or(session.settings.text("networksFormat")).unwrap_or("");
    let headings = &[("ID", "NETWORK ID"), ("CreatedAt", "CREATED AT")];
    let table = "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}";
    List { format, quiet: args.quiet, table, id: "ID", headings }.print(&rows)
}

fn row(network: &Value, whole: bool) -> Row {
    let id = network.text("Id");
    // Text, as Docker's template context has it.
    let truth = |key: &str| network.truth(key).to_string();
    Row::labelled(
        json!({
            "CreatedAt": time::created(network.text("Created")),
            "Driver": network.text("Driver"),
            "ID": if whole { id } else { short_id(id) },
            "IPv4": truth("EnableIPv4"),
            "IPv6": truth("EnableIPv6"),
            "Internal": truth("Internal"),
            "Labels": pairs(&network.entries("Labels")),
            "Name": network.text("Name"),
            "Scope": network.text("Scope"),
        }),
        network.at_key("Labels"),
    )
}

async fn prune(session: &Session, args: Prune) -> Outcome {
    confirm(
        args.force,
        "This will remove all custom networks not used by at least one container.",
    )?;
    let answer = session.client.json(Call::post("/networks/prune").filters(&args.filter)).await?;
    let names: Vec<_> = answer.list("NetworksDeleted").iter().filter_map(Value::as_str).collect();
    if names.is_empty() {
        return Ok(());
    }
    print(&format!("Deleted Networks:\n{}\n\n", names.join("\n")))
}

async fn rm(session: &Session, args: Rm) -> Outcome {
    remove(session, &args.networks, args.force, |name| {
        Call::delete(&format!("/networks/{}", escape(name)))
    })
    .await
}

/// Prints a made network's id and what the engine warns of.
fn made(answer: &Value) -> Outcome {
    let warning = answer.text("Warning");
    if !warning.is_empty() {
        note(format!("WARNING: {warning}"));
    }
    line(answer.text("Id"))
}
