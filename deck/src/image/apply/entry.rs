//! One entry after the other.

use super::meta::{self, Meta};
use super::target::{Place, Root, clear, is_dir, is_whiteout, set_opaque};
use super::whiteout::{self, Name};
use super::{Applied, Options, Whiteouts, malformed, path};
use crate::error::{Error, Result};
use crate::image::store::writeback;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, makedev, mkdirat, mknodat};
use nix::unistd::{linkat, symlinkat};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tar::{Entry, EntryType};

const CHUNK: usize = 128 << 10;

/// The state between entries.
pub struct Applier<'a> {
    root: &'a Root,
    options: &'a Options,
    applied: Applied,
    /// The directory of the last entry: the next is most often in it too.
    parent: Option<(PathBuf, Rc<std::os::fd::OwnedFd>)>,
    /// Times of directories, set at the end, when nothing is made in them any more.
    times: BTreeMap<PathBuf, (i64, i64)>,
    /// Names whited out by this archive: a directory made of one is opaque.
    hidden: BTreeSet<PathBuf>,
    /// Paths this archive made, where whiteouts remove: they hide lower layers only.
    made: BTreeSet<PathBuf>,
    buffer: Vec<u8>,
}

impl<'a> Applier<'a> {
    pub fn new(root: &'a Root, options: &'a Options) -> Self {
        Self {
            root,
            options,
            applied: Applied::default(),
            parent: None,
            times: BTreeMap::new(),
            hidden: BTreeSet::new(),
            made: BTreeSet::new(),
            buffer: vec![0; CHUNK],
        }
    }

    pub fn apply<R: Read>(&mut self, entry: &mut Entry<R>) -> Result<()> {
        self.applied.entries += 1;
        if self.applied.entries > self.options.entries {
            let most = self.options.entries;
            return Err(Error::invalid(format!("archive: more than {most} entries")));
        }
        if entry.header().entry_type() == EntryType::XGlobalHeader {
            return Ok(());
        }
        let meta = meta::read(entry, &self.options.uids, &self.options.gids)?;
        let name = match meta.sparse.as_ref().and_then(|sparse| sparse.name.as_deref()) {
            Some(name) => path::clean(name)?,
            None => path::clean(&entry.path_bytes())?,
        };
        let Some((parent, last)) = path::split(&name) else {
            return self.root_entry(entry, &meta);
        };
        if self.options.whiteouts != Whiteouts::Literal {
            match whiteout::name(last)? {
                Name::Plain => {}
                Name::Bookkeeping => return Ok(()),
                Name::Opaque => return self.opaque(parent),
                Name::Whiteout(hidden) => return self.hide(parent, hidden),
            }
        }
        let place = self.place(parent, last)?;
        self.make(entry, &name, &place, &meta)
            .map_err(|failure| failure.error(self.root, &name))?;
        if self.options.whiteouts == Whiteouts::Remove {
            self.made.insert(name);
        }
        Ok(())
    }

    /// Sets the times of directories.
    pub fn finish(self) -> Result<Applied> {
        // Deepest first would be needless: setting a time changes no parent.
        for (name, mtime) in &self.times {
            let (parent, last) = match path::split(name) {
                Some((parent, last)) => (parent, last.to_owned()),
                None => (Path::new(""), ".".into()),
            };
            // Replaced since by something else: that has its own time.
            let Ok(dir) = self.root.open_dir(parent) else { continue };
            let place = Place { dir: Rc::new(dir), name: last };
            if place.stat().is_ok_and(|stat| stat.as_ref().is_some_and(is_dir)) {
                meta::set_time(&place, *mtime)
                    .map_err(|errno| self.root.failed("utimensat", name, errno))?;
            }
        }
        Ok(self.applied)
    }

    /// The root's own entry gives mode, owner and time.
    fn root_entry<R: Read>(&mut self, entry: &Entry<R>, meta: &Meta) -> Result<()> {
        if entry.header().entry_type() != EntryType::Directory {
            return Err(Error::invalid("archive: the root is no directory"));
        }
        let dir = self
            .root
            .open_dir(Path::new(""))
            .map_err(|errno| self.root.failed("open", Path::new("/"), errno))?;
        let place = Place { dir: Rc::new(dir), name: ".".into() };
        meta::set(&place, meta, false)
            .map_err(|errno| self.root.failed("set metadata of", Path::new("/"), errno))?;
        self.times.insert(PathBuf::new(), meta.mtime);
        Ok(())
    }

    fn place(&mut self, parent: &Path, last: &OsStr) -> Result<Place> {
        if let Some((path, dir)) = &self.parent
            && path == parent
        {
            return Ok(Place { dir: Rc::clone(dir), name: last.to_owned() });
        }
        let implied = &mut self.applied.implied;
        let dir = self.root.make_dirs(parent, &mut |path| {
            implied.insert(path.to_owned());
        })?;
        let dir = Rc::new(dir);
        self.parent = Some((parent.to_owned(), Rc::clone(&dir)));
        Ok(Place { dir, name: last.to_owned() })
    }

    /// Removes what is in a new file's place.
    fn clear_place(&mut self, place: &Place) -> Result<(), Errno> {
        place.remove()?;
        // It may have been a directory or a link on the way to the parent remembered.
        self.parent = None;
        Ok(())
    }

    fn make<R: Read>(
        &mut self,
        entry: &mut Entry<R>,
        name: &Path,
        place: &Place,
        meta: &Meta,
    ) -> Result<(), Failure> {
        let kind = entry.header().entry_type();
        self.may_replace(name, place, kind == EntryType::Directory)?;
        if kind == EntryType::Directory {
            return Ok(self.directory(name, place, meta)?);
        }
        if place.stat()?.is_some() {
            self.clear_place(place)?;
        }
        let (dir, last) = (place.dir.as_fd(), place.name.as_os_str());
        match kind {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(entry, place, meta, kind == EntryType::GNUSparse)?;
            }
            EntryType::Symlink => {
                let link = entry.link_name_bytes().unwrap_or_default();
                if link.is_empty() || link.contains(&0) {
                    return Err(Failure::Own(Error::invalid("archive: link without a target")));
                }
                symlinkat(OsStr::from_bytes(&link), dir, last)?;
                meta::set(place, meta, true)?;
                meta::set_time(place, meta.mtime)?;
                return Ok(());
            }
            EntryType::Link => return self.hard_link(entry, place),
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                node(entry, place, kind)?;
            }
            other => {
                let byte = other.as_byte();
                let message = format!("archive: entry of unknown type {byte:#x}");
                return Err(Failure::Own(Error::invalid(message)));
            }
        }
        meta::set(place, meta, false)?;
        meta::set_time(place, meta.mtime)?;
        Ok(())
    }

    /// Refuses what would put a directory in the place of something else, or the other way round,
    /// where that is not wanted.
    fn may_replace(&self, name: &Path, place: &Place, directory: bool) -> Result<(), Failure> {
        if self.options.replace {
            return Ok(());
        }
        match place.stat()? {
            Some(found) if is_dir(&found) != directory => {
                let (old, new) = if directory {
                    ("non-directory", "directory")
                } else {
                    ("directory", "non-directory")
                };
                let name = name.display();
                let message = format!("cannot overwrite {old} \"{name}\" with {new} \"{name}\"");
                Err(Failure::Own(Error::invalid(message)))
            }
            _ => Ok(()),
        }
    }

    fn directory(&mut self, name: &Path, place: &Place, meta: &Meta) -> Result<(), Errno> {
        let found = place.stat()?;
        match &found {
            Some(stat) if is_dir(stat) => {}
            _ => {
                let hidden = found.as_ref().is_some_and(is_whiteout) || self.hidden.contains(name);
                if found.is_some() {
                    self.clear_place(place)?;
                }
                let mode = Mode::from_bits_truncate(0o700);
                mkdirat(place.dir.as_fd(), place.name.as_os_str(), mode)?;
                if hidden && self.options.whiteouts == Whiteouts::Overlay {
                    set_opaque(place)?;
                }
            }
        }
        self.applied.implied.remove(name);
        meta::set(place, meta, false)?;
        self.times.insert(name.to_owned(), meta.mtime);
        Ok(())
    }

    fn file<R: Read>(
        &mut self,
        entry: &mut Entry<R>,
        place: &Place,
        meta: &Meta,
        sparse: bool,
    ) -> Result<(), Failure> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        let flags = flags | OFlag::O_CLOEXEC;
        let mode = Mode::from_bits_truncate(0o600);
        let fd = openat(place.dir.as_fd(), place.name.as_os_str(), flags, mode)?;
        let file = File::from(fd);
        let written = match &meta.sparse {
            Some(map) => super::sparse::copy_pax(entry, &file, map.size, &mut self.buffer)?,
            None if sparse => super::sparse::copy_holes(entry, &file, &mut self.buffer)?,
            None => copy(entry, &file, &mut self.buffer)?,
        };
        if written >= writeback::PIECE / 8 {
            writeback::begin(&file, 0, 0);
        }
        self.applied.size += written;
        Ok(())
    }

    fn hard_link<R: Read>(&mut self, entry: &Entry<R>, place: &Place) -> Result<(), Failure> {
        let link = entry.link_name_bytes().unwrap_or_default();
        let target = path::clean(&link).map_err(Failure::Own)?;
        let (parent, last) = path::split(&target)
            .ok_or_else(|| Failure::Own(Error::invalid("archive: hard link to the root")))?;
        let dir = self.root.open_dir(parent)?;
        let from = Place { dir: Rc::new(dir), name: last.to_owned() };
        if from.stat()?.as_ref().is_some_and(is_whiteout) {
            return Err(Failure::Own(Error::invalid("archive: hard link to a whiteout")));
        }
        let (dir, name) = (place.dir.as_fd(), place.name.as_os_str());
        linkat(from.dir.as_fd(), last, dir, name, AtFlags::empty())?;
        Ok(())
    }

    fn opaque(&mut self, parent: &Path) -> Result<()> {
        let failed = |errno| self.root.failed("make opaque", parent, errno);
        if self.options.whiteouts == Whiteouts::Overlay {
            let Some((above, last)) = path::split(parent) else {
                // The root of a layer: all below it is hidden.
                let dir = Rc::new(self.root.open_dir(parent).map_err(failed)?);
                return set_opaque(&Place { dir, name: ".".into() }).map_err(failed);
            };
            self.place(parent, OsStr::new("."))?;
            let dir = Rc::new(self.root.open_dir(above).map_err(failed)?);
            let place = Place { dir, name: last.to_owned() };
            if !place.stat().map_err(failed)?.as_ref().is_some_and(is_dir) {
                return Err(Error::invalid(format!(
                    "archive: {} is no directory",
                    parent.display()
                )));
            }
            return set_opaque(&place).map_err(failed);
        }
        self.remove_lower(parent)
    }

    /// Whether this archive made the path or something below it.
    fn made_in(&self, path: &Path) -> bool {
        // Paths sort by component: what is below a path follows it.
        self.made.range(path.to_owned()..).next().is_some_and(|made| made.starts_with(path))
    }

    /// Removes what is in a directory, save what this archive made.
    fn remove_lower(&mut self, parent: &Path) -> Result<()> {
        let failed = |errno| self.root.failed("empty", parent, errno);
        let Ok(dir) = self.root.open_dir(parent) else { return Ok(()) };
        if !self.made_in(parent) {
            clear(dir.as_fd(), OsStr::new("."), 0).map_err(failed)?;
            self.parent = None;
            return Ok(());
        }
        let dir = Rc::new(dir);
        for name in super::tree::names(dir.as_fd()).map_err(failed)? {
            let path = parent.join(&name);
            if self.made_in(&path) {
                self.remove_lower(&path)?;
            } else {
                Place { dir: Rc::clone(&dir), name }.remove().map_err(failed)?;
            }
        }
        self.parent = None;
        Ok(())
    }

    fn hide(&mut self, parent: &Path, hidden: &OsStr) -> Result<()> {
        let name = path::join(parent, hidden.as_bytes());
        let failed = |errno| self.root.failed("white out", &name, errno);
        if self.options.whiteouts == Whiteouts::Remove {
            if let Ok(dir) = self.root.open_dir(parent)
                && !self.made_in(&name)
            {
                let place = Place { dir: Rc::new(dir), name: hidden.to_owned() };
                place.remove().map_err(failed)?;
                self.parent = None;
            }
            return Ok(());
        }
        let place = self.place(parent, hidden)?;
        let failed = |errno| self.root.failed("white out", &name, errno);
        match place.stat().map_err(failed)? {
            // Whiteouts hide lower layers only: a directory of this layer lets nothing through.
            Some(stat) if is_dir(&stat) => set_opaque(&place).map_err(failed)?,
            Some(_) => {}
            None => {
                let (dir, last) = (place.dir.as_fd(), place.name.as_os_str());
                mknodat(dir, last, SFlag::S_IFCHR, Mode::empty(), 0).map_err(failed)?;
            }
        }
        self.hidden.insert(name);
        Ok(())
    }
}

/// Why an entry was not made.
pub enum Failure {
    /// The kernel said no.
    Errno(Errno),
    /// We did.
    Own(Error),
}

impl Failure {
    fn error(self, root: &Root, name: &Path) -> Error {
        match self {
            Self::Errno(errno) => root.failed("unpack", name, errno),
            Self::Own(error) => {
                Error::new(error.status, format!("{}: {}", name.display(), error.message))
            }
        }
    }
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(errno) => Self::Errno(Errno::from_raw(errno)),
            None => Self::Own(malformed(error)),
        }
    }
}

fn node<R: Read>(entry: &Entry<R>, place: &Place, kind: EntryType) -> Result<(), Failure> {
    let (flag, device) = match kind {
        EntryType::Fifo => (SFlag::S_IFIFO, 0),
        kind => {
            let header = entry.header();
            let number = |value: std::io::Result<Option<u32>>| {
                value.map_err(malformed).map(|number| u64::from(number.unwrap_or(0)))
            };
            let major = number(header.device_major()).map_err(Failure::Own)?;
            let minor = number(header.device_minor()).map_err(Failure::Own)?;
            let flag = if kind == EntryType::Char { SFlag::S_IFCHR } else { SFlag::S_IFBLK };
            if major == 0 && minor == 0 {
                let message = "archive: device 0:0 is overlay's whiteout";
                return Err(Failure::Own(Error::invalid(message)));
            }
            (flag, makedev(major, minor))
        }
    };
    let mode = Mode::from_bits_truncate(0o600);
    Ok(mknodat(place.dir.as_fd(), place.name.as_os_str(), flag, mode, device)?)
}

/// Copies an entry; the archive's end before the entry's is an error.
fn copy<R: Read>(entry: &mut Entry<R>, mut file: &File, buffer: &mut [u8]) -> Result<u64, Failure> {
    use std::io::Write;
    let (size, mut written) = (entry.size(), 0);
    loop {
        let count = entry.read(buffer).map_err(|error| Failure::Own(malformed(error)))?;
        if count == 0 {
            break;
        }
        file.write_all(&buffer[..count])?;
        written += count as u64;
    }
    if written != size {
        return Err(Failure::Own(Error::invalid("archive: ends within a file")));
    }
    Ok(written)
}
