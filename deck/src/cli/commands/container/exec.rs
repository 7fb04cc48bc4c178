//! `exec`.

use super::{path, status};
use crate::cli::client::{Call, escape};
use crate::cli::failure::{Failure, Outcome};
use crate::cli::json::Fields;
use crate::cli::options::create::Attached;
use crate::cli::options::{Part, process, put};
use crate::cli::session::Session;
use crate::cli::streams::{Streams, check_terminal, detach_keys, follow_size};
use crate::cli::term;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Options of `exec`.
#[derive(Args)]
pub struct Exec {
    /// Leave the command running in the background
    #[arg(short, long)]
    detach: bool,
    /// Keys that leave the command running: ctrl-p,ctrl-q
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Environment variable: NAME=VALUE, or NAME to pass on the caller's
    #[arg(short, long, value_name = "VARIABLE")]
    env: Vec<String>,
    /// File of environment variables, one a line
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Send standard input
    #[arg(short, long)]
    interactive: bool,
    /// Nearly all that the host's root may do
    #[arg(long)]
    privileged: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    tty: bool,
    /// User or UID, and group or GID: USER[:GROUP]
    #[arg(short, long)]
    user: Option<String>,
    /// Working directory
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Container, then the command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CONTAINER COMMAND [ARG]")]
    container_and_command: Vec<String>,
}

/// Runs `exec`.
pub async fn exec(session: &Session, args: Exec) -> Outcome {
    let Some((container, command)) =
        args.container_and_command.split_first().filter(|(_, command)| !command.is_empty())
    else {
        return Err(Failure::new("requires a CONTAINER and a COMMAND; see 'deck exec --help'"));
    };
    if !args.detach {
        check_terminal(args.tty, args.interactive)?;
    }
    let configured = session.settings.text("detachKeys");
    let (shown, keys) = detach_keys(args.detach_keys.as_deref(), configured)?;
    let size = term::size().filter(|_| args.tty);
    let mut body = Part::new();
    put(&mut body, "Cmd", command);
    put(&mut body, "User", args.user.clone());
    put(&mut body, "Privileged", args.privileged);
    put(&mut body, "Tty", args.tty);
    put(&mut body, "Env", process::variables(&args.env, &args.env_file).map_err(Failure::new)?);
    put(&mut body, "WorkingDir", args.workdir.clone());
    put(&mut body, "AttachStdin", args.interactive && !args.detach);
    put(&mut body, "AttachStdout", !args.detach);
    put(&mut body, "AttachStderr", !args.detach);
    put(&mut body, "DetachKeys", shown);
    let mut start = json!({"Detach": args.detach, "Tty": args.tty});
    if let Some((rows, columns)) = size {
        put(&mut body, "ConsoleSize", json!([rows, columns]));
        start["ConsoleSize"] = json!([rows, columns]);
    }
    let call = Call::post(&format!("{}/exec", path(container))).json(&body.into());
    let answer = session.client.json(call).await?;
    let id = answer.text("Id").to_owned();
    let exec = format!("/exec/{}", escape(&id));
    let call = Call::post(&format!("{exec}/start")).json(&start);
    if args.detach {
        return session.client.run(call).await.map_err(|error| status::refused(error.into()));
    }
    let stream =
        session.client.hijack(call).await.map_err(|error| status::refused(error.into()))?;
    let attached = Attached { stdin: args.interactive, stdout: true, stderr: true };
    let streams = Streams { tty: args.tty, attached, keys };
    let work = async {
        let raw = streams.raw()?;
        let end = streams.copy(stream).await;
        drop(raw);
        end?;
        let exec: Value = session.client.json(Call::get(&format!("{exec}/json"))).await?;
        status::exit(exec.int("ExitCode"))
    };
    let sizes = async {
        if args.tty {
            follow_size(&session.client, &exec).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        outcome = work => outcome,
        () = sizes => Ok(()),
    }
}
