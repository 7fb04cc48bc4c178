//! `hull spec`: a config.json to start from.

use super::args::SpecArgs;
use super::exit_code::ExitCode;
use crate::cgroup::Layout;
use crate::error::{At, Error, Kind, Result};
use crate::spec::template;
use nix::errno::Errno;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

/// Carries the command out.
#[inline(never)]
pub fn run(args: &SpecArgs) -> Result<ExitCode> {
    let dir = args.bundle.as_deref().unwrap_or(Path::new("."));
    let is_v2 = matches!(Layout::detect(false), Ok(Layout::V2(_)));
    write(&dir.join("config.json"), &template::template(args.rootless, is_v2)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a new file. What is there already stays, whatever it is.
fn write(path: &Path, text: &str) -> Result<()> {
    // O_EXCL doesn't follow a link either (open(2)).
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = match file {
        Err(error) if error.raw_os_error() == Some(Errno::EEXIST as i32) => {
            let message = "File config.json exists. Remove it first";
            return Err(Error::new(Kind::Exists, message));
        }
        other => other.at(|| format!("create {path:?}"))?,
    };
    file.write_all(text.as_bytes()).at(|| format!("write {path:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_overwrites() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        write(&path, "one").unwrap();
        let error = write(&path, "two").unwrap_err();
        assert_eq!(error.to_string(), "File config.json exists. Remove it first");
        assert_eq!(error.kind(), Kind::Exists);
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        let error = write(Path::new("/no/such/config.json"), "x").unwrap_err().to_string();
        assert_eq!(error, "create \"/no/such/config.json\": no such file or directory");
    }
}
