//! `push`.

use super::{path, pull, split_tag};
use crate::cli::auth;
use crate::cli::client::Call;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::output::line;
use crate::cli::progress::{self, Show};
use crate::cli::session::Session;
use clap::Args;

/// Options of `push`.
#[derive(Args)]
pub struct Push {
    /// All tags of the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Print only the name
    #[arg(short, long)]
    quiet: bool,
    /// Image
    image: String,
}

/// Runs `push`.
pub async fn push(session: &Session, args: Push) -> Outcome {
    let (name, tag) = split_tag(&args.image);
    if args.all_tags && tag.is_some() {
        return Err(Failure::new("tag can't be used with --all-tags/-a"));
    }
    if tag.is_none() && !args.all_tags && !args.quiet {
        line("Using default tag: latest")?;
    }
    let tag = if args.all_tags { None } else { Some(tag.unwrap_or("latest")) };
    let registry = auth::registry_of(name);
    let call = Call::post(&format!("{}/push", path(name)))
        .query_some("tag", tag)
        .header("x-registry-auth", auth::header(&session.settings, &registry)?);
    let response = session.client.send(call).await?;
    let show = if args.quiet { Show::Nothing } else { Show::Output };
    progress::show(response.into_body(), show).await?;
    if args.quiet {
        let whole = pull::with_default_tag(&args.image);
        line(if args.all_tags { name } else { &whole })?;
    }
    Ok(())
}
