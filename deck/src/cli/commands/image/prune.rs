//! `image prune`.

use crate::cli::client::Call;
use crate::cli::commands::confirm;
use crate::cli::commands::container::prune::reclaimed;
use crate::cli::failure::Outcome;
use crate::cli::filter;
use crate::cli::json::Fields;
use crate::cli::output::{line, print};
use crate::cli::session::Session;
use clap::Args;

/// Options of `image prune`.
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
}

/// Runs `image prune`.
pub async fn prune(session: &Session, args: Prune) -> Outcome {
    confirm(
        args.force,
        if args.all {
            "This will remove all images without at least one container associated to them."
        } else {
            "This will remove all dangling images."
        },
    )?;
    let mut filters = args.filter;
    filters.push(("dangling".into(), (!args.all).to_string()));
    let answer = session.client.json(Call::post("/images/prune").filters(&filters)).await?;
    let list = answer.list("ImagesDeleted");
    if !list.is_empty() {
        line("Deleted Images:")?;
        for entry in list {
            // Lower case here, and only here, as in Docker.
            match (entry.text("Deleted"), entry.text("Untagged")) {
                ("", name) => line(format!("untagged: {name}"))?,
                (id, _) => line(format!("deleted: {id}"))?,
            }
        }
        line("")?;
    }
    print(&reclaimed(answer.int("SpaceReclaimed")))
}
