//! What pull, push, load and import tell while they work: one JSON value a line.

use super::client::reader;
use super::failure::{Failure, Outcome};
use super::json::Fields;
use super::output;
use super::term;
use hyper::body::Incoming;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;
use std::collections::HashMap;
use tokio::io::{AsyncBufReadExt, BufReader};

/// How the steps are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// On standard output, with bars on a terminal.
    Output,
    /// On standard error, which leaves standard output to a container.
    Error,
    /// Not at all.
    Nothing,
}

/// Shows a stream's steps.
///
/// # Errors
/// The one that ends the stream, or a broken stream.
pub async fn show(body: Incoming, how: Show) -> Outcome {
    let mut lines = BufReader::new(reader(body)).lines();
    let mut screen = Screen::new(how);
    while let Some(line) = lines.next_line().await? {
        if line.trim().is_empty() {
            continue;
        }
        let step: Value = serde_json::from_str(&line)
            .map_err(|error| Failure::new(format!("the engine's progress: {error}")))?;
        if let Some(message) = failure(&step) {
            screen.end();
            return Err(Failure::new(message));
        }
        // Digests for programs; the text beside them is for people.
        if step.get("aux").is_none() {
            screen.step(&step)?;
        }
    }
    screen.end();
    Ok(())
}

fn failure(step: &Value) -> Option<String> {
    let detail = step.at_key("errorDetail").text("message");
    let message = if detail.is_empty() { step.text("error") } else { detail };
    (!message.is_empty()).then(|| message.to_owned())
}

/// Lines, or one bar for each layer on a terminal.
struct Screen {
    how: Show,
    bars: Option<(MultiProgress, HashMap<String, ProgressBar>)>,
}

impl Screen {
    fn new(how: Show) -> Self {
        let terminal = match how {
            Show::Output => term::colours(),
            Show::Error => term::colours() && console::Term::stderr().is_term(),
            Show::Nothing => false,
        };
        let bars = terminal.then(|| {
            let target = match how {
                Show::Error => ProgressDrawTarget::stderr(),
                _ => ProgressDrawTarget::stdout(),
            };
            (MultiProgress::with_draw_target(target), HashMap::new())
        });
        Self { how, bars }
    }

    fn step(&mut self, step: &Value) -> Outcome {
        let (id, status) = (step.text("id"), step.text("status"));
        let stream = step.text("stream");
        if !stream.is_empty() {
            return self.text(stream.trim_end_matches('\n'));
        }
        let detail = step.at_key("progressDetail");
        let (current, total) = (detail.int("current"), detail.int("total"));
        if let Some((screen, bars)) = &mut self.bars
            && !id.is_empty()
            && step.get("progressDetail").is_some()
        {
            let bar = bars.entry(id.to_owned()).or_insert_with(|| {
                // With its look from the start: what is added is drawn.
                let bar = ProgressBar::hidden().with_style(style(current, total));
                screen.add(bar.with_prefix(id.to_owned()).with_message(status.to_owned()))
            });
            advance(bar, status, current, total);
            return Ok(());
        }
        // Without a terminal each state once, not each step of it.
        if current > 0 || total > 0 {
            return Ok(());
        }
        self.text(&if id.is_empty() { status.to_owned() } else { format!("{id}: {status}") })
    }

    fn text(&self, text: &str) -> Outcome {
        match (&self.bars, self.how) {
            (_, Show::Nothing) => Ok(()),
            (Some((screen, _)), _) => Ok(screen.println(text)?),
            (None, Show::Output) => output::line(text),
            (None, Show::Error) => {
                output::note(text);
                Ok(())
            }
        }
    }

    fn end(&mut self) {
        if let Some((_, bars)) = &self.bars {
            for bar in bars.values() {
                // The last state of each layer stays on the screen.
                bar.abandon();
            }
        }
    }
}

fn advance(bar: &ProgressBar, status: &str, current: i64, total: i64) {
    let unsigned = |number| u64::try_from(number).unwrap_or(0);
    bar.set_style(style(current, total));
    bar.set_message(status.to_owned());
    bar.set_length(unsigned(total));
    bar.set_position(unsigned(current));
}

/// How a layer looks that is so far.
fn style(current: i64, total: i64) -> ProgressStyle {
    let template = if total > 0 {
        "{prefix}: {msg} [{bar:50}] {decimal_bytes}/{decimal_total_bytes}"
    } else if current > 0 {
        "{prefix}: {msg} {decimal_bytes}"
    } else {
        "{prefix}: {msg}"
    };
    let style = ProgressStyle::with_template(template);
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}
