//! `start`.

use super::status::Waiting;
use super::{path, run};
use crate::cli::client::Call;
use crate::cli::commands::each;
use crate::cli::failure::{Failure, Outcome};
use crate::cli::json::Fields;
use crate::cli::options::create::Attached;
use crate::cli::session::Session;
use crate::cli::streams::{Signals, Streams, check_terminal, detach_keys};
use clap::{ArgAction, Args};
use serde_json::Value;

/// Options of `start`.
#[derive(Args)]
pub struct Start {
    /// Show output and errors, pass signals on, exit as the container does
    #[arg(short, long)]
    attach: bool,
    /// Send standard input
    #[arg(short, long)]
    interactive: bool,
    /// Keys that leave the container running: ctrl-p,ctrl-q
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Pass signals on to the container
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    sig_proxy: bool,
    /// Containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Runs `start`.
pub async fn start(session: &Session, args: Start) -> Outcome {
    if !args.attach && !args.interactive {
        let client = &session.client;
        return each(&args.containers, |name| async move {
            client.run(Call::post(&format!("{}/start", path(&name)))).await
        })
        .await;
    }
    let [name] = args.containers.as_slice() else {
        return Err(Failure::new("you cannot start and attach multiple containers at once"));
    };
    let container: Value = session.client.json(Call::get(&format!("{}/json", path(name)))).await?;
    let config = container.at_key("Config");
    let tty = config.truth("Tty");
    let stdin = args.interactive && config.truth("OpenStdin");
    check_terminal(tty, stdin)?;
    let configured = session.settings.text("detachKeys");
    let (shown, keys) = detach_keys(args.detach_keys.as_deref(), configured)?;
    let signals = args.sig_proxy.then(Signals::catch).transpose()?;
    let attached = Attached { stdin, stdout: true, stderr: true };
    let stream = run::attach(session, name, attached, &shown).await?;
    let removed = container.at_key("HostConfig").truth("AutoRemove");
    let condition = if removed { "removed" } else { "next-exit" };
    let waiting = Waiting::begin(&session.client, name, condition).await?;
    session.client.run(Call::post(&format!("{}/start", path(name)))).await?;
    let streams = Streams { tty, attached, keys };
    run::supervise(session, name, &streams, Some(stream), waiting, signals).await
}
