//! `rmi`.

use super::path;
use crate::cli::client::Call;
use crate::cli::failure::{self, Outcome};
use crate::cli::json::Fields;
use crate::cli::output::{line, note};
use crate::cli::session::Session;
use clap::Args;
use serde_json::Value;

/// Options of `rmi`.
#[derive(Args)]
pub struct Rm {
    /// Remove images that containers use, too
    #[arg(short, long)]
    force: bool,
    /// Keep untagged parents
    #[arg(long)]
    no_prune: bool,
    /// Images
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Runs `rmi`.
pub async fn rm(session: &Session, args: Rm) -> Outcome {
    let mut errors = Vec::new();
    for image in &args.images {
        let call =
            Call::delete(&path(image)).flag("force", args.force).flag("noprune", args.no_prune);
        match session.client.json(call).await {
            Ok(answer) => deleted(answer.as_array().map_or(&[], Vec::as_slice))?,
            // Docker's: forcing away what isn't there succeeds, and says so.
            Err(error) if args.force && error.status == 404 => note(&error.message),
            Err(error) => errors.push(error.message),
        }
    }
    failure::all(&errors)
}

/// Lines of what was removed.
fn deleted(list: &[Value]) -> Outcome {
    for entry in list {
        match (entry.text("Deleted"), entry.text("Untagged")) {
            ("", name) => line(format!("Untagged: {name}"))?,
            (id, _) => line(format!("Deleted: {id}"))?,
        }
    }
    Ok(())
}
