//! `deck publish` and `deck worker`: what shims tell, and what has to wait. Both are processes
//! that live no longer than their work.

use super::Engine;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::supervise::task::nanoseconds;
use hull_shim::proto::events::{TaskExit, TaskOom, topic};
use hull_shim::proto::types::Any;
use prost::Message;
use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

/// Longest event that is read.
const MAX_EVENT: u64 = 1 << 20;
/// How long bridges nobody is on stay: one made for each of many short containers would cost more
/// than the container.
const LINGER: Duration = Duration::from_secs(3);

/// Runs `deck publish …` and `deck worker …`, if this is one of them: before anything else is
/// looked at, as a shim waits for the first and neither is a user's.
pub fn command() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let done = match arguments.next()?.as_str() {
        "publish" => {
            let mut topic = String::new();
            while let Some(argument) = arguments.next() {
                if let Some(value) = argument.strip_prefix("--topic=") {
                    topic = value.into();
                } else if argument == "--topic" {
                    topic = arguments.next().unwrap_or_default();
                }
            }
            Config::load(&Config::default_root())
                .and_then(|config| publish(config, &topic, std::io::stdin()))
        }
        "worker" => {
            let words: Vec<String> = arguments.collect();
            Config::load(&Config::default_root()).and_then(|config| worker(config, &words))
        }
        _ => return None,
    };
    Some(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("deck: {error}");
            ExitCode::FAILURE
        }
    })
}

/// `deck publish --topic TOPIC`: an event of a shim, as an `Any` on stdin.
///
/// # Errors
/// It is no event; the records fail.
pub fn publish(config: Config, event: &str, mut input: impl Read) -> Result<()> {
    let mut bytes = Vec::new();
    input.by_ref().take(MAX_EVENT).read_to_end(&mut bytes)?;
    // The others tell what deck did itself: nothing is opened for them.
    if !matches!(event, topic::EXIT | topic::OOM) {
        return Ok(());
    }
    let bad = |error: prost::DecodeError| Error::invalid(format!("event {event}: {error}"));
    let any = Any::decode(bytes.as_slice()).map_err(bad)?;
    if event == topic::OOM {
        let oom = TaskOom::decode(any.value.as_slice()).map_err(bad)?;
        return run(config, move |engine| forgive(engine.out_of_memory(&oom.container_id)));
    }
    let exit = TaskExit::decode(any.value.as_slice()).map_err(bad)?;
    let pid = i32::try_from(exit.pid).unwrap_or_default();
    let code = i64::from(exit.exit_status);
    let at = nanoseconds(exit.exited_at);
    run(config, move |engine| forgive(engine.exited(&exit.container_id, &exit.id, pid, code, at)))
}

/// `deck worker restart ID GENERATION MILLISECONDS`, `deck worker health ID GENERATION`, `deck worker
/// sweep` and `deck worker boot`.
///
/// # Errors
/// 400 for other arguments; those of the work.
pub fn worker(config: Config, arguments: &[String]) -> Result<()> {
    let bad = || Error::invalid(format!("worker {}: unknown", arguments.join(" ")));
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().map_err(|_| bad());
    match words[..] {
        ["restart", id, generation, delay] => {
            let (id, generation) = (id.to_string(), number(generation)?);
            let delay = Duration::from_millis(number(delay)?);
            run(config, move |engine| forgive(engine.restart_later(&id, generation, delay)))
        }
        ["health", id, generation] => {
            let (id, generation) = (id.to_string(), number(generation)?);
            run(config, move |engine| forgive(engine.probe_health(&id, generation)))
        }
        ["boot"] => run(config, Engine::boot),
        ["sweep"] => run(config, |engine| engine.networks.sweep_later(LINGER)),
        _ => Err(bad()),
    }
}

/// A container that is gone by now needs nothing.
fn forgive(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.status == 404 => Ok(()),
        other => other,
    }
}

/// Runs work on an engine of its own.
fn run(config: Config, work: impl FnOnce(&Engine) -> Result<()> + Send + 'static) -> Result<()> {
    crate::privileges::engine()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::internal(format!("start the event loop: {error}")))?;
    let done = runtime.block_on(super::blocking(move || work(&Engine::open(config)?)));
    runtime.shutdown_background();
    done
}
