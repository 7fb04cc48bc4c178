//! `load`.

use crate::cli::client::Call;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::progress::{self, Show};
use crate::cli::session::Session;
use crate::cli::term;
use clap::Args;
use std::path::PathBuf;

/// Options of `load`.
#[derive(Args)]
pub struct Load {
    /// File to read instead of standard input
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Platform: OS[/ARCH[/VARIANT]]
    #[arg(long)]
    platform: Option<String>,
    /// Print only the names
    #[arg(short, long)]
    quiet: bool,
}

/// Runs `load`.
pub async fn load(session: &Session, args: Load) -> Outcome {
    let mut call = Call::post("/images/load").query("quiet", if args.quiet { "1" } else { "0" });
    if let Some(platform) = &args.platform {
        call = call.query("platform", super::platform_json(platform));
    }
    let call = match &args.input {
        Some(path) => {
            let file = tokio::fs::File::open(path)
                .await
                .map_err(|error| Failure::new(format!("open {}: {error}", path.display())))?;
            call.upload(file)
        }
        None if term::stdin_is() => {
            return Err(Failure::new("requested load from stdin, but stdin is empty"));
        }
        None => call.upload(tokio::io::stdin()),
    };
    let response = session.client.send(call).await?;
    progress::show(response.into_body(), Show::Output).await
}
