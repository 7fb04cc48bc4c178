//! `attach`.

use super::status::Waiting;
use super::{path, run};
use crate::cli::client::Call;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::json::Fields;
use crate::cli::options::create::Attached;
use crate::cli::session::Session;
use crate::cli::streams::{Signals, Streams, check_terminal, detach_keys};
use clap::{ArgAction, Args};
use serde_json::Value;

/// Options of `attach`.
#[derive(Args)]
pub struct Attach {
    /// Keys that leave the container running: ctrl-p,ctrl-q
    #[arg(long, value_name = "KEYS")]
    pub detach_keys: Option<String>,
    /// Don't send standard input
    #[arg(long)]
    pub no_stdin: bool,
    /// Pass signals on to the container
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub sig_proxy: bool,
    /// Container
    pub container: String,
}

/// Runs `attach`.
pub async fn attach(session: &Session, args: Attach) -> Outcome {
    let container: Value =
        session.client.json(Call::get(&format!("{}/json", path(&args.container)))).await?;
    let state = container.at_key("State");
    for (member, word) in [("Paused", "paused"), ("Restarting", "restarting")] {
        if state.truth(member) {
            let hint = if word == "paused" { ", unpause it first" } else { "" };
            return Err(Failure::new(format!("cannot attach to a {word} container{hint}")));
        }
    }
    if !state.truth("Running") {
        return Err(Failure::new("cannot attach to a stopped container, start it first"));
    }
    let config = container.at_key("Config");
    let (tty, stdin) = (config.truth("Tty"), config.truth("OpenStdin") && !args.no_stdin);
    check_terminal(tty, stdin)?;
    let configured = session.settings.text("detachKeys");
    let (shown, keys) = detach_keys(args.detach_keys.as_deref(), configured)?;
    let signals = (args.sig_proxy && !tty).then(Signals::catch).transpose()?;
    let attached = Attached { stdin, stdout: true, stderr: true };
    let waiting = Waiting::begin(&session.client, &args.container, "").await?;
    let stream = run::attach(session, &args.container, attached, &shown).await?;
    let streams = Streams { tty, attached, keys };
    run::supervise(session, &args.container, &streams, Some(stream), waiting, signals).await
}
