//! Chores of the project: checks of the documentation, and what a release is made of.

mod docs;
mod sbom;

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: hull-packaging docs [HULL] | files | commands DIRECTORY | \
    sbom METADATA.json PACKAGE [LIBRARY@VERSION...]";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["docs"] => docs::check(Path::new("."), None),
        ["docs", hull] => docs::check(Path::new("."), Some(Path::new(hull))),
        ["files"] => docs::files::write(Path::new(".")),
        ["commands", directory] => docs::commands::write(Path::new("."), Path::new(directory)),
        ["sbom", metadata, package, ref libraries @ ..] => {
            sbom::print(Path::new(metadata), package, libraries)
        }
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// A file's text.
///
/// # Errors
/// Its path with the reason.
fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
