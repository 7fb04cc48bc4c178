//! `export`.

use super::path;
use crate::cli::client::Call;
use crate::cli::commands::image::save::receive;
use crate::cli::failure::Outcome;
use crate::cli::session::Session;
use clap::Args;
use std::path::PathBuf;

/// Options of `export`.
#[derive(Args)]
pub struct Export {
    /// File to write instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Container
    container: String,
}

/// Runs `export`.
pub async fn export(session: &Session, args: Export) -> Outcome {
    let call = Call::get(&format!("{}/export", path(&args.container)));
    receive(session, call, args.output.as_deref()).await
}
