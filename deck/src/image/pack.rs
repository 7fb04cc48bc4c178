//! From a tree to an archive: layers of commits, `export`, `cp`.

use crate::error::{At, Error, Result};
use nix::sys::stat::{major, minor};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

/// How a tree is packed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pack {
    /// Overlay's whiteouts and opaque directories become `.wh.` files; without it they are left out.
    pub whiteouts: bool,
}

/// Packs what is below `dir` with names relative to it, under `prefix`; sorted, so that the same
/// tree gives the same bytes. Nothing else writes to the tree meanwhile, or the reader of the
/// archive gets what was there when each file was read.
///
/// # Errors
/// The tree can't be read, or the writer fails.
pub fn pack<W: Write>(dir: &Path, prefix: &Path, writer: W, options: Pack) -> Result<W> {
    let mut packer = Packer { builder: Builder::new(writer), links: BTreeMap::new(), options };
    packer.directory(dir, prefix)?;
    packer.builder.into_inner().at(|| "finish archive")
}

/// Packs one file, or one directory with what is below it, under `name`.
///
/// # Errors
/// As [`pack`].
pub fn pack_one<W: Write>(path: &Path, name: &Path, writer: W) -> Result<W> {
    let options = Pack::default();
    let mut packer = Packer { builder: Builder::new(writer), links: BTreeMap::new(), options };
    let meta = path.symlink_metadata().at(|| format!("stat {}", path.display()))?;
    packer.entry(path, name, &meta)?;
    packer.builder.into_inner().at(|| "finish archive")
}

struct Packer<W: Write> {
    builder: Builder<W>,
    /// The first name of each file with several.
    links: BTreeMap<(u64, u64), PathBuf>,
    options: Pack,
}

impl<W: Write> Packer<W> {
    fn directory(&mut self, dir: &Path, name: &Path) -> Result<()> {
        let mut entries = std::fs::read_dir(dir)
            .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
            .at(|| format!("read {}", dir.display()))?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let meta = path.symlink_metadata().at(|| format!("stat {}", path.display()))?;
            self.entry(&path, &name.join(entry.file_name()), &meta)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, name: &Path, meta: &Metadata) -> Result<()> {
        let kind = meta.file_type();
        if kind.is_char_device() && meta.rdev() == 0 {
            return self.whiteout(name);
        }
        if kind.is_socket() {
            // An archive has no word for it (tar(5)).
            return Ok(());
        }
        let xattrs = xattrs(path)?;
        let mut header = header(meta);
        if !kind.is_dir() && meta.nlink() > 1 {
            let key = (meta.dev(), meta.ino());
            if let Some(first) = self.links.get(&key) {
                header.set_entry_type(EntryType::Link);
                header.set_size(0);
                let first = first.clone();
                return self
                    .builder
                    .append_link(&mut header, name, &first)
                    .at(|| format!("write {}", name.display()));
            }
            self.links.insert(key, name.to_owned());
        }
        let records = xattrs.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
        if !xattrs.is_empty() {
            self.builder.append_pax_extensions(records).at(|| "write attributes")?;
        }
        self.content(path, name, meta, &mut header)?;
        if kind.is_dir() {
            if self.options.whiteouts && is_opaque(path) {
                self.empty(&name.join(".wh..wh..opq"))?;
            }
            self.directory(path, name)?;
        }
        Ok(())
    }

    fn content(
        &mut self,
        path: &Path,
        name: &Path,
        meta: &Metadata,
        header: &mut Header,
    ) -> Result<()> {
        let kind = meta.file_type();
        let at = || format!("write {}", name.display());
        if kind.is_file() {
            let file = File::options()
                .read(true)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
                .open(path)
                .at(|| format!("open {}", path.display()))?;
            let exact = Exact { file, left: meta.len() };
            return self.builder.append_data(header, name, exact).at(at);
        }
        if kind.is_symlink() {
            let target = std::fs::read_link(path).at(|| format!("read {}", path.display()))?;
            header.set_entry_type(EntryType::Symlink);
            return self.builder.append_link(header, name, &target).at(at);
        }
        if kind.is_dir() {
            header.set_entry_type(EntryType::Directory);
            let mut slashed = name.as_os_str().as_bytes().to_vec();
            slashed.push(b'/');
            let slashed = PathBuf::from(OsString::from_vec(slashed));
            return self.builder.append_data(header, slashed, std::io::empty()).at(at);
        }
        header.set_entry_type(if kind.is_fifo() {
            EntryType::Fifo
        } else if kind.is_char_device() {
            EntryType::Char
        } else {
            EntryType::Block
        });
        let number = |value: u64| {
            u32::try_from(value).map_err(|_| Error::internal("device number out of range"))
        };
        header.set_device_major(number(major(meta.rdev()))?).at(at)?;
        header.set_device_minor(number(minor(meta.rdev()))?).at(at)?;
        self.builder.append_data(header, name, std::io::empty()).at(at)
    }

    fn whiteout(&mut self, name: &Path) -> Result<()> {
        let (Some(parent), Some(last)) = (name.parent(), name.file_name()) else { return Ok(()) };
        if !self.options.whiteouts {
            return Ok(());
        }
        let mut hidden = OsString::from(".wh.");
        hidden.push(last);
        self.empty(&parent.join(hidden))
    }

    fn empty(&mut self, name: &Path) -> Result<()> {
        let mut header = Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(0);
        self.builder
            .append_data(&mut header, name, std::io::empty())
            .at(|| format!("write {}", name.display()))
    }
}

fn header(meta: &Metadata) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(meta.mode() & 0o7777);
    header.set_uid(meta.uid().into());
    header.set_gid(meta.gid().into());
    header.set_mtime(meta.mtime().max(0).unsigned_abs());
    header.set_size(if meta.is_file() { meta.len() } else { 0 });
    header
}

/// Attributes as pax records, without overlay's own.
fn xattrs(path: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let names = match xattr::list(path) {
        Ok(names) => names,
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(Vec::new()),
        Err(error) => return Err(error).at(|| format!("attributes of {}", path.display())),
    };
    let mut found = Vec::new();
    for name in names {
        let bytes = name.as_bytes();
        let own = bytes.starts_with(b"trusted.overlay.") || bytes.starts_with(b"user.overlay.");
        let Some(text) = name.to_str().filter(|_| !own && bytes != b"security.selinux") else {
            continue;
        };
        let value = xattr::get(path, &name).at(|| format!("attributes of {}", path.display()))?;
        if let Some(value) = value {
            found.push((format!("SCHILY.xattr.{text}"), value));
        }
    }
    Ok(found)
}

/// Whether overlay shows nothing of lower layers in a directory.
pub fn is_opaque(path: &Path) -> bool {
    matches!(xattr::get(path, "trusted.overlay.opaque"), Ok(Some(value)) if value == b"y")
}

/// Exactly so many bytes of a file: zeros where it shrank, nothing more where it grew, for the
/// header has told its size.
struct Exact {
    file: File,
    left: u64,
}

impl std::io::Read for Exact {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let part = &mut buffer[..want];
        let mut count = self.file.read(part)?;
        if count == 0 && want > 0 {
            part.fill(0);
            count = want;
        }
        self.left -= count as u64;
        Ok(count)
    }
}
