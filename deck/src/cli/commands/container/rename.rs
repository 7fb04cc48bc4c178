//! `rename`.

use super::path;
use crate::cli::client::Call;
use crate::cli::failure::Outcome;
use crate::cli::session::Session;
use clap::Args;

/// Options of `rename`.
#[derive(Args)]
pub struct Rename {
    /// Container
    container: String,
    /// Its new name
    name: String,
}

/// Runs `rename`.
pub async fn rename(session: &Session, args: Rename) -> Outcome {
    let call = Call::post(&format!("{}/rename", path(&args.container))).query("name", &args.name);
    Ok(session.client.run(call).await?)
}
