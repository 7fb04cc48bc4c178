//! `top`.

use super::path;
use crate::cli::client::Call;
use crate::cli::failure::Outcome;
use crate::cli::json::Fields;
use crate::cli::output::print;
use crate::cli::session::Session;
use crate::cli::table;
use clap::Args;
use serde_json::Value;

/// Options of `top`.
#[derive(Args)]
pub struct Top {
    /// Container, then options of ps(1)
    #[arg(required = true, trailing_var_arg = true, value_name = "CONTAINER [PS OPTION]")]
    container_and_options: Vec<String>,
}

/// Runs `top`.
pub async fn top(session: &Session, args: Top) -> Outcome {
    let Some((container, options)) = args.container_and_options.split_first() else {
        return Ok(());
    };
    let mut call = Call::get(&format!("{}/top", path(container)));
    if !options.is_empty() {
        call = call.query("ps_args", options.join(" "));
    }
    let answer = session.client.json(call).await?;
    let row = |cells: &[Value]| {
        cells.iter().map(|cell| cell.as_str().unwrap_or("")).collect::<Vec<_>>().join("\t") + "\n"
    };
    let mut text = row(answer.list("Titles"));
    for process in answer.list("Processes") {
        text += &row(process.as_array().map_or(&[], Vec::as_slice));
    }
    print(&table::align_with(&text, 20, 1))
}
