//! `deck volume …`

use super::container::prune::report;
use super::system::inspect::{self, Kind, Only};
use super::{confirm, remove};
use crate::cli::client::{Call, escape};
use crate::cli::failure::Outcome;
use crate::cli::filter;
use crate::cli::human::size;
use crate::cli::json::{Fields, pairs};
use crate::cli::list::{List, Row};
use crate::cli::options::{Part, put};
use crate::cli::output::{line, note, print};
use crate::cli::parse::env;
use crate::cli::session::Session;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

/// `deck volume …`
#[derive(Subcommand)]
pub enum Command {
    /// Make a volume
    #[command(after_help = "Example: deck volume create --label app=web data")]
    Create(Create),
    /// Show details of volumes
    #[command(after_help = "Example: deck volume inspect -f '{{.Mountpoint}}' data")]
    Inspect(Only),
    /// List volumes
    #[command(alias = "list", after_help = "Example: deck volume ls -q -f dangling=true")]
    Ls(Ls),
    /// Remove unused volumes
    #[command(after_help = "Example: deck volume prune -a -f")]
    Prune(Prune),
    /// Remove volumes
    #[command(alias = "remove", after_help = "Example: deck volume rm data")]
    Rm(Rm),
}

/// Options of `volume create`.
#[derive(Args)]
pub struct Create {
    /// Driver
    #[arg(short, long, default_value = "local")]
    driver: String,
    /// Label: NAME=VALUE
    #[arg(long)]
    label: Vec<String>,
    /// Option of the driver: NAME=VALUE
    #[arg(short, long, value_name = "OPTION")]
    opt: Vec<String>,
    /// Name; a random one without
    name: Option<String>,
}

/// Options of `volume ls`.
#[derive(Args)]
pub struct Ls {
    /// Only those that match: dangling=true, driver=…, label=…, name=…
    #[arg(short, long, value_parser = filter::parse)]
    filter: Vec<(String, String)>,
    /// Go template, 'table TEMPLATE', or json
    #[arg(long)]
    format: Option<String>,
    /// Only names
    #[arg(short, long)]
    quiet: bool,
}

/// Options of `volume prune`.
#[derive(Args)]
pub struct Prune {
    /// Named volumes, too
    #[arg(short, long)]
    all: bool,
    /// Only what matches: label=…
    #[arg(long, value_parser = filter::parse)]
    filter: Vec<(String, String)>,
    /// Don't ask
    #[arg(short, long)]
    force: bool,
}

/// Options of `volume rm`.
#[derive(Args)]
pub struct Rm {
    /// Don't mind volumes that aren't there
    #[arg(short, long)]
    force: bool,
    /// Volumes
    #[arg(required = true, value_name = "VOLUME")]
    volumes: Vec<String>,
}

/// Runs a command.
pub async fn run(session: &Session, command: Command) -> Outcome {
    match command {
        Command::Create(args) => create(session, args).await,
        Command::Inspect(args) => inspect::only(session, args, Kind::Volume).await,
        Command::Ls(args) => ls(session, args).await,
        Command::Prune(args) => prune(session, args).await,
        Command::Rm(args) => rm(session, args).await,
    }
}

async fn create(session: &Session, args: Create) -> Outcome {
    let mut body = Part::new();
    put(&mut body, "Name", args.name);
    put(&mut body, "Driver", args.driver);
    put(&mut body, "Labels", json!(env::map(&args.label)));
    put(&mut body, "DriverOpts", json!(env::map(&args.opt)));
    let answer = session.client.json(Call::post("/volumes/create").json(&body.into())).await?;
    line(answer.text("Name"))
}

async fn ls(session: &Session, args: Ls) -> Outcome {
    let answer = session.client.json(Call::get("/volumes").filters(&args.filter)).await?;
    for warning in answer.list("Warnings").iter().filter_map(Value::as_str) {
        note(format!("WARNING: {warning}"));
    }
    let mut volumes: Vec<&Value> = answer.list("Volumes").iter().collect();
    volumes.sort_by(|a, b| a.text("Name").cmp(b.text("Name")));
    let rows: Vec<_> = volumes.into_iter().map(row).collect();
    let format = args.format.as_deref().or(session.settings.text("volumesFormat")).unwrap_or("");
    let headings = &[("Name", "VOLUME NAME")];
    let table = "{{.Driver}}\t{{.Name}}";
    List { format, quiet: args.quiet, table, id: "Name", headings }.print(&rows)
}

/// A volume's row.
pub fn row(volume: &Value) -> Row {
    let usage = volume.at_key("UsageData");
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let (links, bytes) = match (usage.is_null(), usage.int("Size")) {
        (true, _) => ("N/A".to_owned(), "N/A".to_owned()),
        (false, -1) => (usage.int("RefCount").to_string(), "N/A".to_owned()),
        (false, bytes) => (usage.int("RefCount").to_string(), size(bytes as f64, 4)),
    };
    Row::labelled(
        json!({
            "Availability": "N/A",
            "Driver": volume.text("Driver"),
            "Group": "N/A",
            "Labels": pairs(&volume.entries("Labels")),
            "Links": links,
            "Mountpoint": volume.text("Mountpoint"),
            "Name": volume.text("Name"),
            "Scope": volume.text("Scope"),
            "Size": bytes,
            "Status": "N/A",
        }),
        volume.at_key("Labels"),
    )
}

async fn prune(session: &Session, args: Prune) -> Outcome {
    confirm(
        args.force,
        if args.all {
            "This will remove all local volumes not used by at least one container."
        } else {
            "This will remove anonymous local volumes not used by at least one container."
        },
    )?;
    let mut filters = args.filter;
    // Engines before API 1.42 remove named ones too and don't know the filter.
    if args.all && session.client.version().await? >= (1, 42) {
        filters.push(("all".into(), "true".into()));
    }
    let answer = session.client.json(Call::post("/volumes/prune").filters(&filters)).await?;
    print(&report("Deleted Volumes:", answer.list("VolumesDeleted"), &answer))
}

async fn rm(session: &Session, args: Rm) -> Outcome {
    remove(session, &args.volumes, args.force, |name| {
        Call::delete(&format!("/volumes/{}", escape(name))).flag("force", args.force)
    })
    .await
}
