//! `import`.

use super::split_tag;
use crate::cli::client::Call;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::progress::{self, Show};
use crate::cli::session::Session;
use clap::Args;

/// Options of `import`.
#[derive(Args)]
pub struct Import {
    /// Dockerfile instruction to apply
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// What the image is
    #[arg(short, long)]
    message: Option<String>,
    /// Platform: OS[/ARCH[/VARIANT]]
    #[arg(long)]
    platform: Option<String>,
    /// File, URL, or - for standard input
    source: String,
    /// Name of the image: REPOSITORY[:TAG]
    image: Option<String>,
}

/// Runs `import`.
pub async fn import(session: &Session, args: Import) -> Outcome {
    let url = args.source.starts_with("http://") || args.source.starts_with("https://");
    let (repository, tag) = split_tag(args.image.as_deref().unwrap_or(""));
    let mut call = Call::post("/images/create")
        .query("fromSrc", if url { args.source.as_str() } else { "-" })
        .query_some("repo", Some(repository).filter(|text| !text.is_empty()))
        .query_some("tag", tag)
        .query_some("message", args.message.as_deref())
        .query_some("platform", args.platform.as_deref());
    for change in &args.change {
        call = call.query("changes", change);
    }
    let call = if url {
        call
    } else if args.source == "-" {
        call.upload(tokio::io::stdin())
    } else {
        let file = tokio::fs::File::open(&args.source)
            .await
            .map_err(|error| Failure::new(format!("open {}: {error}", args.source)))?;
        call.upload(file)
    };
    let response = session.client.send(call).await?;
    progress::show(response.into_body(), Show::Output).await
}
