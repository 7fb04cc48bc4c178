//! New schemas for the group of a running container.

use super::{RdtState, find_root, read, write as write_file};
use crate::error::{Error, Result};
use std::path::Path;

/// Lines for the `schemata` file of a container's group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schemas {
    /// `L3:…`
    pub l3_cache: Option<String>,
    /// `MB:…`
    pub mem_bw: Option<String>,
}

impl Schemas {
    /// The group that the lines are for; none without lines.
    ///
    /// # Errors
    /// The machine lacks the resource, or the container was made without a group.
    pub fn group<'a>(&self, state: Option<&'a RdtState>) -> Result<Option<&'a Path>> {
        if self.l3_cache.is_none() && self.mem_bw.is_none() {
            return Ok(None);
        }
        let root = find_root().ok();
        let has =
            |resource| root.as_ref().is_some_and(|root| root.join("info").join(resource).is_dir());
        if self.l3_cache.is_some() && !has("L3") {
            return Err(Error::unsupported("Intel RDT/CAT: l3 cache schema is not enabled"));
        }
        if self.mem_bw.is_some() && !has("MB") {
            return Err(Error::unsupported(
                "Intel RDT/MBA: memory bandwidth schema is not enabled",
            ));
        }
        match state {
            Some(state) => Ok(Some(&state.group)),
            None => Err(Error::config(
                "updating a non-existent Intel RDT configuration is not supported",
            )),
        }
    }

    fn lines(&self) -> Result<String> {
        let lines = self.l3_cache.iter().chain(&self.mem_bw);
        let mut text = String::new();
        for line in lines {
            if line.contains('\n') {
                return Err(Error::config(format!("intelRdt: {line:?} contains a line end")));
            }
            text.push_str(line);
            text.push('\n');
        }
        Ok(text)
    }
}

/// Writes the lines; if the kernel takes only some of them, the old ones are written back.
///
/// # Errors
/// The kernel's answer.
pub fn write(group: Option<&Path>, schemas: &Schemas) -> Result<()> {
    let Some(group) = group else { return Ok(()) };
    let file = group.join("schemata");
    let old = read(&file)?;
    write_file(&file, &schemas.lines()?).inspect_err(|_| {
        // The error that led here is the one to tell.
        let _ = write_file(&file, &old);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_and_failures_undone() {
        let group = tempfile::tempdir().unwrap();
        let file = group.path().join("schemata");
        std::fs::write(&file, "L3:0=f\n").unwrap();
        let schemas = Schemas { l3_cache: Some("L3:0=3".into()), mem_bw: Some("MB:0=50".into()) };
        write(Some(group.path()), &schemas).unwrap();
        assert!(std::fs::read_to_string(&file).unwrap().starts_with("L3:0=3\nMB:0=50\n"));
        let hostile = Schemas { l3_cache: Some("L3:0=3\nMB:0=1".into()), mem_bw: None };
        assert!(write(Some(group.path()), &hostile).is_err());
        write(None, &Schemas::default()).unwrap();
    }

    #[test]
    fn nothing_asked_needs_nothing() {
        assert_eq!(Schemas::default().group(None).unwrap(), None);
    }
}
