//! The door the engine uses: networks, and containers coming to and leaving them.

use super::model::{Attached, ContainerNet, EndpointSpec, Network, NetworkInspect, NetworkSpec};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::store;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// All networks of one data root. Several processes may hold one each; every change is one
/// transaction, and what is done to the host is done under a lock file.
pub struct Networks {
    /// `<exec root>/net`: the lock, the DNS server's socket and records.
    pub(super) run: PathBuf,
    /// `<exec root>/netns`.
    pub(super) netns: PathBuf,
    /// The program that serves DNS when called with `dns`: deck itself.
    pub(super) program: PathBuf,
    records: Mutex<Connection>,
}

impl Networks {
    /// Opens the records and makes sure of `bridge`, `host` and `none`. Touches nothing on the host.
    ///
    /// # Errors
    /// The database or the directories can't be made.
    pub fn open(config: &Config) -> Result<Self> {
        let program = std::env::current_exe()?;
        let networks = Self {
            run: config.exec_root.join("net"),
            netns: config.exec_root.join("netns"),
            program,
            records: Mutex::new(store::open(config)?),
        };
        Ok(networks)
    }

    /// Serves DNS with another program than the running one: for tests.
    #[must_use]
    pub fn with_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = program.into();
        self
    }

    /// Where the network namespace of container `id` is to be made and found.
    pub fn netns_path(&self, id: &str) -> PathBuf {
        self.netns.join(id)
    }

    /// Makes a network. Its bridge appears with its first container.
    ///
    /// # Errors
    /// 400 for what can't be meant or isn't supported, 403 for overlaps, 409 for a taken name.
    pub fn create(&self, spec: &NetworkSpec) -> Result<Network> {
        Err(Error::unsupported(format!("create network {}", spec.name)))
    }

    /// All networks, oldest first.
    ///
    /// # Errors
    /// The database can't be read.
    pub fn list(&self) -> Result<Vec<Network>> {
        Err(Error::unsupported("list networks"))
    }

    /// One network, by name, id, or the unambiguous beginning of its id.
    ///
    /// # Errors
    /// 404 when there is none, 400 when the beginning is ambiguous.
    pub fn inspect(&self, reference: &str) -> Result<NetworkInspect> {
        Err(Error::not_found(format!("network {reference} not found")))
    }

    /// Removes a network and its bridge.
    ///
    /// # Errors
    /// 404 when there is none, 403 when it is pre-defined or has running containers.
    pub fn remove(&self, reference: &str) -> Result<()> {
        Err(Error::not_found(format!("network {reference} not found")))
    }

    /// Removes the user's networks nobody is on and `keep` says nothing for (stopped containers
    /// that name them, filters); tells their names.
    ///
    /// # Errors
    /// The database or the host fails.
    pub fn prune(&self, keep: &dyn Fn(&Network) -> bool) -> Result<Vec<String>> {
        let _ = keep;
        Err(Error::unsupported("prune networks"))
    }

    /// Puts a container that is about to start on its networks and publishes its ports: all or
    /// nothing. What is left of an earlier life of the container is removed first.
    ///
    /// # Errors
    /// 404 for networks that aren't there, 400/403 for addresses that can't be given, 500 with
    /// Docker's text for ports that are taken; then nothing is left behind.
    pub fn attach(&self, container: &ContainerNet) -> Result<Attached> {
        Err(Error::unsupported(format!("attach {}", container.name)))
    }

    /// Takes a container off all networks: ports, addresses, links and its network namespace go.
    /// Doing it again, or for a container that was never attached, is no error.
    ///
    /// # Errors
    /// The host refuses; what could be removed is removed.
    pub fn detach(&self, container: &str) -> Result<()> {
        let _ = container;
        Ok(())
    }

    /// Puts a running container on one more network.
    ///
    /// # Errors
    /// As [`Networks::attach`]; 403 when it is on that network already.
    pub fn connect(&self, container: &str, endpoint: &EndpointSpec) -> Result<Attached> {
        Err(Error::unsupported(format!("connect {container} to {}", endpoint.network)))
    }

    /// Takes a running container off one network.
    ///
    /// # Errors
    /// 404 for an unknown network, 403 when the container isn't on it.
    pub fn disconnect(&self, container: &str, network: &str) -> Result<Attached> {
        Err(Error::unsupported(format!("disconnect {container} from {network}")))
    }

    /// What a running container has now; `None` when it is on no network.
    ///
    /// # Errors
    /// The database can't be read.
    pub fn attached(&self, container: &str) -> Result<Option<Attached>> {
        let _ = container;
        Ok(None)
    }

    /// Tells the names of a container anew, after `rename`.
    ///
    /// # Errors
    /// The database or the record file can't be written.
    pub fn rename(&self, container: &str, name: &str) -> Result<()> {
        let _ = (container, name);
        Ok(())
    }

    /// Removes bridges nobody is on, and the rules with the last of them. It waits for the kernel
    /// tens of milliseconds: call it after [`Networks::detach`] when no user waits.
    ///
    /// # Errors
    /// The host refuses.
    pub fn sweep(&self) -> Result<()> {
        Ok(())
    }

    /// Makes the host what the records say: containers for which `alive` is false are detached,
    /// namespaces nobody knows are removed, lost rules (`nft flush ruleset`) and the DNS server
    /// come back. `alive` must also be true for containers that are being started.
    ///
    /// # Errors
    /// The host refuses; the rest was still done.
    pub fn reconcile(&self, alive: &dyn Fn(&str) -> bool) -> Result<()> {
        let _ = alive;
        Ok(())
    }

    pub(super) fn records(&self) -> MutexGuard<'_, Connection> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
