//! Opening the namespaces to join, and the runtime's own way in and back.
//!
//! Runs as: the runtime, before the clone.

use crate::error::{At, Error, Result};
use crate::plan::namespaces::{Join, NamespaceType};
use crate::sys::clone::{namespace_type, setns};
use crate::sys::fd::{CWD, open_at};
use nix::fcntl::{OFlag, ResolveFlag};
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Open namespaces by kind.
#[derive(Default)]
pub struct Opened(Vec<(NamespaceType, OwnedFd)>);

/// Opens and type-checks every namespace to join (config-linux.md "Namespaces": "The runtime MUST
/// generate an error if path is not associated with a namespace of type type").
///
/// # Errors
/// The path that can't be opened or is of another kind.
pub fn open(joins: &[Join]) -> Result<Opened> {
    let mut opened = Vec::with_capacity(joins.len());
    for Join { kind, path } in joins {
        let what = || format!("{kind} namespace path {:?}", path.to_string_lossy());
        let fd = open_at(CWD, path, OFlag::O_RDONLY | OFlag::O_NONBLOCK, 0, ResolveFlag::empty())
            .at(what)?;
        match namespace_type(fd.as_fd()) {
            Ok(flag) if flag == kind.flag() => opened.push((*kind, fd)),
            Ok(_) => {
                return Err(Error::config(format!("{}: is a namespace of another type", what())));
            }
            Err(_) => return Err(Error::config(format!("{}: is not a namespace", what()))),
        }
    }
    Ok(Opened(opened))
}

/// The runtime's own namespaces, to go back to.
#[must_use = "the runtime has to leave the container's namespaces"]
pub struct Away(Vec<(NamespaceType, OwnedFd)>);

impl Opened {
    /// The namespace of this kind.
    pub fn get(&self, wanted: NamespaceType) -> Option<BorrowedFd<'_>> {
        self.0.iter().find(|(kind, _)| *kind == wanted).map(|(_, fd)| fd.as_fd())
    }

    /// Joins one.
    ///
    /// # Errors
    /// setns(2).
    pub fn join(&self, kind: NamespaceType) -> Result<()> {
        let Some(fd) = self.get(kind) else { return Ok(()) };
        setns(fd, kind.flag()).at(|| format!("joining the {kind} namespace: setns"))
    }

    /// Joins these, with the way back.
    ///
    /// # Errors
    /// setns(2); what was joined so far is left again.
    pub fn enter(&self, kinds: &[NamespaceType]) -> Result<Away> {
        let mut away = Away(Vec::with_capacity(kinds.len()));
        for kind in kinds {
            match own(*kind).and_then(|own| self.join(*kind).map(|()| own)) {
                Ok(own) => away.0.push((*kind, own)),
                Err(error) => {
                    away.leave()?;
                    return Err(error);
                }
            }
        }
        Ok(away)
    }
}

/// A descriptor of the runtime's own namespace. For children's ones (pid) that is what
/// `pid_for_children` would say as well: the runtime never leaves its own for longer than a clone.
pub fn own(kind: NamespaceType) -> Result<OwnedFd> {
    let path = CString::new(format!("/proc/self/ns/{}", kind.proc_name())).unwrap_or_default();
    open_at(CWD, &path, OFlag::O_RDONLY, 0, ResolveFlag::empty()).at(|| format!("open({path:?})"))
}

impl Away {
    /// Goes back.
    ///
    /// # Errors
    /// setns(2); not expected, as these are the namespaces this process came from.
    pub fn leave(self) -> Result<()> {
        for (kind, fd) in self.0.iter().rev() {
            setns(fd.as_fd(), kind.flag())
                .at(|| format!("returning to the own {kind} namespace: setns"))?;
        }
        Ok(())
    }
}
