//! `run`: create, attach, wait, start, stream, exit as the container does.

use super::status::{self, Waiting};
use super::{create, path};
use crate::cli::client::{Call, Hijacked};
use crate::cli::failure::{ENGINE, Failure, Outcome};
use crate::cli::options::create::{Attached, Create};
use crate::cli::output::line;
use crate::cli::session::Session;
use crate::cli::streams::{End, Signals, Streams, check_terminal, detach_keys, follow_size};
use clap::{ArgAction, Args};

/// Options of `run`.
#[derive(Args)]
pub struct Run {
    #[command(flatten)]
    pub create: Create,
    /// Leave the container running in the background and print its id
    #[arg(short, long)]
    pub detach: bool,
    /// Keys that leave the container running: ctrl-p,ctrl-q
    #[arg(long, value_name = "KEYS")]
    pub detach_keys: Option<String>,
    /// Pass signals on to the container
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1,
          require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub sig_proxy: bool,
}

/// Runs `run`.
pub async fn run(session: &Session, args: Run) -> Outcome {
    let engine = |failure: Failure| failure.with_code(ENGINE);
    let attached = args.create.attached(args.detach).map_err(|text| engine(Failure::new(text)))?;
    if args.detach && !args.create.attach.is_empty() {
        return Err(engine(Failure::new(
            "conflicting options: cannot specify both --attach and --detach",
        )));
    }
    if !args.detach {
        check_terminal(args.create.tty, attached.stdin)?;
    }
    let configured = session.settings.text("detachKeys");
    let (shown, keys) =
        detach_keys(args.detach_keys.as_deref(), configured).map_err(|e| engine(e.into()))?;
    // From here on a signal must not end this process and leave the container half made.
    let mut signals = args.sig_proxy.then(Signals::catch).transpose()?;
    let id = create::container(session, &args.create, attached).await.map_err(engine)?;
    if args.detach {
        start(session, &id).await.map_err(status::refused)?;
        return line(id);
    }
    let streams = Streams { tty: args.create.tty, attached, keys };
    let shows = attached.stdin || attached.stdout || attached.stderr;
    let stream = if shows {
        Some(attach(session, &id, attached, &shown).await.map_err(engine)?)
    } else {
        None
    };
    let condition = if args.create.rm { "removed" } else { "next-exit" };
    let waiting = Waiting::begin(&session.client, &id, condition)
        .await
        .map_err(|error| engine(error.into()))?;
    if let Err(failure) = start(session, &id).await {
        drop(stream);
        if args.create.rm {
            // The engine removes it; this process' end means it is gone.
            drop(waiting.end().await);
        }
        return Err(status::refused(failure));
    }
    if !args.sig_proxy {
        signals = None;
    }
    supervise(session, &id, &streams, stream, waiting, signals).await
}

/// Streams until the container ends or the user leaves it; without a stream, waits for its end.
pub async fn supervise(
    session: &Session,
    id: &str,
    streams: &Streams,
    stream: Option<Hijacked>,
    waiting: Waiting,
    signals: Option<Signals>,
) -> Outcome {
    let client = &session.client;
    let work = async {
        let Some(stream) = stream else {
            line(id)?;
            return status::exit(waiting.end().await?);
        };
        let raw = streams.raw()?;
        let end = streams.copy(stream).await;
        drop(raw);
        match end? {
            End::Detached => Ok(()),
            End::Closed => status::exit(waiting.end().await?),
        }
    };
    let sizes = async {
        if streams.tty && streams.attached.stdout {
            follow_size(client, &path(id)).await;
        }
        std::future::pending::<()>().await;
    };
    let passing = async {
        if let Some(signals) = signals {
            signals.pass_on(client, id).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        outcome = work => outcome,
        () = sizes => Ok(()),
        () = passing => Ok(()),
    }
}

async fn start(session: &Session, id: &str) -> Outcome {
    Ok(session.client.run(Call::post(&format!("{}/start", path(id)))).await?)
}

/// Opens a container's streams.
///
/// # Errors
/// The engine refuses.
pub async fn attach(
    session: &Session,
    id: &str,
    attached: Attached,
    keys: &str,
) -> Outcome<Hijacked> {
    let call = Call::post(&format!("{}/attach", path(id)))
        .query("detachKeys", keys)
        .flag("stream", true)
        .flag("stdin", attached.stdin)
        .flag("stdout", attached.stdout)
        .flag("stderr", attached.stderr);
    Ok(session.client.hijack(call).await?)
}
