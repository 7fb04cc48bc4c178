//! `commit`.

use crate::cli::client::Call;
use crate::cli::failure::Outcome;
use crate::cli::json::Fields;
use crate::cli::output::line;
use crate::cli::session::Session;
use clap::{ArgAction, Args};

/// Options of `commit`.
#[derive(Args)]
pub struct Commit {
    /// Who makes the image
    #[arg(short, long)]
    author: Option<String>,
    /// Dockerfile instruction to apply
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// What was changed
    #[arg(short, long)]
    message: Option<String>,
    /// Pause the container meanwhile
    #[arg(short, long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pause: bool,
    /// Container
    container: String,
    /// Name of the image: REPOSITORY[:TAG]
    image: Option<String>,
}

/// Runs `commit`.
pub async fn commit(session: &Session, args: Commit) -> Outcome {
    let image = args.image.as_deref().unwrap_or("");
    let (repository, tag) = crate::cli::commands::image::split_tag(image);
    let mut call = Call::post("/commit")
        .query("container", &args.container)
        .query_some("repo", Some(repository).filter(|text| !text.is_empty()))
        .query_some("tag", tag)
        .query_some("author", args.author.as_deref())
        .query_some("comment", args.message.as_deref());
    if !args.pause {
        call = call.query("pause", "0");
    }
    for change in &args.change {
        call = call.query("changes", change);
    }
    let answer = session.client.json(call.json(&serde_json::json!({}))).await?;
    line(answer.text("Id"))
}
