//! `system prune`.

use crate::cli::client::Call;
use crate::cli::commands::confirm;
use crate::cli::commands::container::prune::reclaimed;
use crate::cli::failure::Outcome;
use crate::cli::filter;
use crate::cli::json::Fields;
use crate::cli::output::print;
use crate::cli::session::Session;
use clap::Args;
use serde_json::Value;
use std::fmt::Write as _;

/// Options of `system prune`.
#[derive(Args)]
pub struct Prune {
    /// All images no container uses, not only those without a name
    #[arg(short, long)]
    all: bool,
    /// Only what matches: until=…, label=…
    #[arg(long, value_parser = filter::parse)]
    filter: Vec<(String, String)>,
    /// Don't ask
    #[arg(short, long)]
    force: bool,
    /// Anonymous volumes, too
    #[arg(long)]
    volumes: bool,
}

/// Runs `system prune`.
pub async fn prune(session: &Session, args: Prune) -> Outcome {
    confirm(args.force, &warning(&args))?;
    let mut total = 0;
    let mut steps = vec![
        ("/containers/prune", "ContainersDeleted", "Deleted Containers:"),
        ("/networks/prune", "NetworksDeleted", "Deleted Networks:"),
    ];
    if args.volumes {
        steps.push(("/volumes/prune", "VolumesDeleted", "Deleted Volumes:"));
    }
    for (path, key, title) in steps {
        let answer = session.client.json(Call::post(path).filters(&args.filter)).await?;
        total += answer.int("SpaceReclaimed");
        let names: Vec<_> = answer.list(key).iter().filter_map(Value::as_str).collect();
        if !names.is_empty() {
            print(&format!("{title}\n{}\n\n", names.join("\n")))?;
        }
    }
    let mut filters = args.filter;
    filters.push(("dangling".into(), (!args.all).to_string()));
    let answer = session.client.json(Call::post("/images/prune").filters(&filters)).await?;
    total += answer.int("SpaceReclaimed");
    let mut text = String::new();
    for entry in answer.list("ImagesDeleted") {
        let _ = match (entry.text("Deleted"), entry.text("Untagged")) {
            ("", name) => writeln!(text, "untagged: {name}"),
            (id, _) => writeln!(text, "deleted: {id}"),
        };
    }
    if !text.is_empty() {
        print(&format!("Deleted Images:\n{text}\n"))?;
    }
    print(&reclaimed(total))
}

fn warning(args: &Prune) -> String {
    let mut lines =
        vec!["all stopped containers", "all networks not used by at least one container"];
    if args.volumes {
        lines.push("all anonymous volumes not used by at least one container");
    }
    lines.push(if args.all {
        "all images without at least one container associated to them"
    } else {
        "all dangling images"
    });
    format!("This will remove:\n  - {}\n", lines.join("\n  - "))
}
