//! `stop`, `restart`, `kill`, `pause`, `unpause`, `wait`, `rm`: something done to each container.

use super::path;
use super::status::Waiting;
use crate::cli::client::Call;
use crate::cli::commands::{each, remove};
use crate::cli::failure::{self, Failure, Outcome};
use crate::cli::output::line;
use crate::cli::session::Session;
use clap::Args;

/// Containers and nothing else.
#[derive(Args)]
pub struct Names {
    /// Containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Options of `stop` and `restart`.
#[derive(Args)]
pub struct Stop {
    /// Signal to send
    #[arg(short, long)]
    signal: Option<String>,
    /// Seconds until the container is killed
    #[arg(
        short = 't',
        long,
        visible_alias = "timeout",
        value_name = "SECONDS",
        allow_negative_numbers = true
    )]
    time: Option<i64>,
    /// Containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Options of `kill`.
#[derive(Args)]
pub struct Kill {
    /// Signal to send
    #[arg(short, long, default_value = "KILL")]
    signal: String,
    /// Containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Options of `rm`.
#[derive(Args)]
pub struct Rm {
    /// Kill running containers first
    #[arg(short, long)]
    force: bool,
    /// Remove the link, not the container
    #[arg(short, long)]
    link: bool,
    /// Remove their anonymous volumes
    #[arg(short, long)]
    volumes: bool,
    /// Containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// What is done without options.
#[derive(Clone, Copy)]
pub enum Action {
    /// Freeze.
    Pause,
    /// Thaw.
    Unpause,
}

/// Runs `pause` and `unpause`.
pub async fn act(session: &Session, args: Names, action: Action) -> Outcome {
    let word = match action {
        Action::Pause => "pause",
        Action::Unpause => "unpause",
    };
    each(&args.containers, |name| async move {
        session.client.run(Call::post(&format!("{}/{word}", path(&name)))).await
    })
    .await
}

/// Runs `stop` and `restart`.
pub async fn stop(session: &Session, args: Stop, word: &str) -> Outcome {
    let seconds = args.time.map(|seconds| seconds.to_string());
    let (seconds, signal) = (seconds.as_deref(), args.signal.as_deref());
    each(&args.containers, |name| async move {
        let call = Call::post(&format!("{}/{word}", path(&name)))
            .query_some("t", seconds)
            .query_some("signal", signal);
        session.client.run(call).await
    })
    .await
}

/// Runs `kill`.
pub async fn kill(session: &Session, args: Kill) -> Outcome {
    let signal = &args.signal;
    each(&args.containers, |name| async move {
        session
            .client
            .run(Call::post(&format!("{}/kill", path(&name))).query("signal", signal))
            .await
    })
    .await
}

/// Runs `rm`.
pub async fn rm(session: &Session, args: Rm) -> Outcome {
    remove(session, &args.containers, args.force, |name| {
        Call::delete(&path(name.trim_matches('/')))
            .flag("force", args.force)
            .flag("link", args.link)
            .flag("v", args.volumes)
    })
    .await
}

/// Runs `wait`.
pub async fn wait(session: &Session, args: Names) -> Outcome {
    let mut errors = Vec::new();
    for name in &args.containers {
        let code = match Waiting::begin(&session.client, name, "").await {
            Ok(waiting) => waiting.end().await,
            Err(error) => Err(Failure::from(error)),
        };
        match code {
            Ok(code) => line(code.to_string())?,
            Err(failure) => errors.extend(failure.message),
        }
    }
    failure::all(&errors)
}
