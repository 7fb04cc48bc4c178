//! `tag`.

use super::{path, split_tag};
use crate::cli::client::Call;
use crate::cli::failure::Outcome;
use crate::cli::session::Session;
use clap::Args;

/// Options of `tag`.
#[derive(Args)]
pub struct Tag {
    /// Image
    image: String,
    /// Its further name: REPOSITORY[:TAG]
    name: String,
}

/// Runs `tag`.
pub async fn tag(session: &Session, args: Tag) -> Outcome {
    let (repository, tag) = split_tag(&args.name);
    let call = Call::post(&format!("{}/tag", path(&args.image)))
        .query("repo", repository)
        .query("tag", tag.unwrap_or("latest"));
    Ok(session.client.run(call).await?)
}
