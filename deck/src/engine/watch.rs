//! Being told that the records changed, also by other processes: a file that every change is
//! marked on, watched by inotify(7).

use crate::config::Config;
use crate::error::{At, Result};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::OnceLock;
use tokio::sync::watch::{Receiver, Sender, channel};

/// Marks changes and waits for them.
pub struct Watch {
    path: PathBuf,
    file: File,
    sender: OnceLock<Sender<()>>,
}

impl Watch {
    /// Opens the file, making it where it is missing.
    ///
    /// # Errors
    /// It can't be made.
    pub fn open(config: &Config) -> Result<Self> {
        let root = &config.exec_root;
        std::fs::create_dir_all(root).at(|| format!("mkdir {}", root.display()))?;
        let path = root.join("changed");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .at(|| format!("open {}", path.display()))?;
        Ok(Self { path, file, sender: OnceLock::new() })
    }

    /// Tells everybody that something changed.
    pub fn mark(&self) {
        use std::io::{Seek, SeekFrom};
        let mut file = &self.file;
        // A full disk only costs waiters their second-wise look.
        drop(file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(b"\n")));
    }

    /// What changes come to: subscribe before looking at the records.
    ///
    /// # Errors
    /// inotify can't be had (`fs.inotify.max_user_instances`).
    pub fn subscribe(&self) -> Result<Receiver<()>> {
        if let Some(sender) = self.sender.get() {
            return Ok(sender.subscribe());
        }
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC).at(|| "inotify_init1")?;
        inotify
            .add_watch(&self.path, AddWatchFlags::IN_MODIFY)
            .at(|| format!("watch {}", self.path.display()))?;
        let sender = self.sender.get_or_init(|| {
            let (sender, _) = channel(());
            let teller = sender.clone();
            std::thread::spawn(move || {
                while inotify.read_events().is_ok() {
                    teller.send_replace(());
                }
            });
            sender
        });
        Ok(sender.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn changes_of_another_process_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::load(directory.path()).unwrap();
        config.exec_root = directory.path().to_path_buf();
        let mine = Watch::open(&config).unwrap();
        let other = Watch::open(&config).unwrap();
        let mut receiver = mine.subscribe().unwrap();
        other.mark();
        receiver.changed().await.unwrap();
    }
}
