//! `container prune`.

use crate::cli::client::Call;
use crate::cli::commands::confirm;
use crate::cli::failure::Outcome;
use crate::cli::filter;
use crate::cli::human::size;
use crate::cli::json::Fields;
use crate::cli::output::print;
use crate::cli::session::Session;
use clap::Args;
use serde_json::Value;

/// Options of every prune without more of its own.
#[derive(Args)]
pub struct Prune {
    /// Only what matches: until=…, label=…
    #[arg(long, value_parser = filter::parse)]
    filter: Vec<(String, String)>,
    /// Don't ask
    #[arg(short, long)]
    force: bool,
}

/// Runs `container prune`.
pub async fn prune(session: &Session, args: Prune) -> Outcome {
    confirm(args.force, "This will remove all stopped containers.")?;
    let answer = session.client.json(Call::post("/containers/prune").filters(&args.filter)).await?;
    print(&report("Deleted Containers:", answer.list("ContainersDeleted"), &answer))
}

/// What a prune tells: the names and the space.
pub fn report(title: &str, names: &[Value], answer: &Value) -> String {
    let mut text = String::new();
    if !names.is_empty() {
        text = format!("{title}\n");
        for name in names.iter().filter_map(Value::as_str) {
            text += name;
            text.push('\n');
        }
        text.push('\n');
    }
    text + &reclaimed(answer.int("SpaceReclaimed"))
}

/// The last line of a prune.
pub fn reclaimed(bytes: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let bytes = bytes as f64;
    format!("Total reclaimed space: {}\n", size(bytes, 4))
}
