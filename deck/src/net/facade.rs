//! The door the engine uses: networks, and containers coming to and leaving them.

use super::model::{Attached, ContainerNet, EndpointSpec, Network, NetworkInspect, NetworkSpec};
use super::records::{Container, Endpoint, State};
use super::spec::Bridge;
use super::{dns, files, host, netns, plan, spec, view};
use crate::config::Config;
use crate::error::{At, Error, Result};
use crate::store::{self, networks as rows};
use nix::fcntl::Flock;
use rusqlite::Connection;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// All networks of one data root. Several processes may hold one each; every change is one
/// transaction, and what is done to the host is done under a lock file.
pub struct Networks {
    /// `<exec root>/net`: the lock, the applied rules, the DNS server's socket and records.
    run: PathBuf,
    /// `<exec root>/netns`.
    netns: PathBuf,
    /// The program that serves DNS when called with `dns`: deck itself.
    program: PathBuf,
    records: Mutex<Connection>,
}

impl Networks {
    /// Opens the records and makes sure of `bridge`, `host` and `none`. Touches nothing on the
    /// host.
    ///
    /// # Errors
    /// The database or the directories can't be made.
    pub fn open(config: &Config) -> Result<Self> {
        let run = config.exec_root.join("net");
        fs::create_dir_all(&run).at(|| format!("mkdir {}", run.display()))?;
        let networks = Self {
            run,
            netns: config.exec_root.join("netns"),
            program: std::env::current_exe()?,
            records: Mutex::new(store::open(config)?),
        };
        // The common case needs no write transaction.
        if networks.state()?.networks.iter().filter(|network| network.predefined()).count() < 3 {
            rows::change(&networks.records(), |state| {
                spec::add_predefined(state, &mut host::facts)
            })?;
        }
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
    /// 400 for what can't be meant, 403 for overlaps, 404 for other drivers, 409 for a taken name.
    pub fn create(&self, spec: &NetworkSpec) -> Result<Network> {
        let facts = host::facts()?;
        rows::change(&self.records(), |state| {
            let network = spec::plan(spec, state, &facts)?;
            state.networks.push(network.clone());
            Ok(network)
        })
    }

    /// All networks, oldest first.
    ///
    /// # Errors
    /// The database can't be read.
    pub fn list(&self) -> Result<Vec<Network>> {
        Ok(self.state()?.networks)
    }

    /// One network, by name, id, or the unambiguous beginning of its id.
    ///
    /// # Errors
    /// 404 when there is none, 400 when the beginning is ambiguous.
    pub fn inspect(&self, reference: &str) -> Result<NetworkInspect> {
        let state = self.state()?;
        view::inspect(&state, &plan::find(&state, reference)?.id)
    }

    /// Removes a network and its bridge.
    ///
    /// # Errors
    /// 404 when there is none, 403 when it is pre-defined or has running containers.
    pub fn remove(&self, reference: &str) -> Result<()> {
        let lock = self.lock()?;
        let state = self.state()?;
        let network = plan::find(&state, reference)?.clone();
        removable(&state, &network)?;
        // The bridge first: while there is a record, someone knows of it.
        if let Ok(bridge) = Bridge::of(&network) {
            host::remove_bridge(&bridge)?;
        }
        rows::change(&self.records(), |state| {
            removable(state, &network)?;
            state.networks.retain(|other| other.id != network.id);
            Ok(())
        })?;
        drop(lock);
        Ok(())
    }

    /// Removes the user's networks nobody is on and `keep` says nothing for (stopped containers
    /// that name them, filters); tells their names.
    ///
    /// # Errors
    /// The database or the host fails.
    pub fn prune(&self, keep: &dyn Fn(&Network) -> bool) -> Result<Vec<String>> {
        let state = self.state()?;
        let mut removed = Vec::new();
        for network in &state.networks {
            if removable(&state, network).is_err() || keep(network) {
                continue;
            }
            match self.remove(&network.id) {
                Ok(()) => removed.push(network.name.clone()),
                // Someone came to it, or removed it, meanwhile.
                Err(error) if matches!(error.status, 403 | 404) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }

    /// Puts a container that is about to start on its networks and publishes its ports: all or
    /// nothing. What is left of an earlier life of the container is removed first, but for its
    /// network namespace, which [`netns::create`] has made anew.
    ///
    /// # Errors
    /// 404 for networks that aren't there, 400/403 for addresses that can't be given, 500 with
    /// Docker's text for ports that are taken; then nothing is left behind but the namespace.
    pub fn attach(&self, container: &ContainerNet) -> Result<Attached> {
        let before = self.state()?;
        if before.container(&container.id).is_some() {
            self.take_off(&container.id)?;
        }
        let chosen = |endpoint: &EndpointSpec| endpoint.ipv4.is_some() || endpoint.ipv6.is_some();
        if !before.leftover.is_empty() && container.endpoints.iter().any(chosen) {
            // A container with an address of its own starts again: it may be among them.
            self.bury()?;
        }
        let asked = plan::Host {
            is_free: &host::is_free,
            ephemeral: host::ephemeral_ports(),
            new_id: &host::new_id,
        };
        let resolv_conf = files::host_resolv_conf();
        let (planned, attached) = self.plan(&|state| {
            let planned = plan::attach(state, container, &asked)?;
            state.containers.push(planned.clone());
            let attached = view::attached(state, &planned, &resolv_conf)?;
            Ok((planned, attached))
        })?;
        match self.realize(&planned, &planned.endpoints) {
            Ok(()) => Ok(attached),
            Err(error) => {
                let _ = self.take_off(&container.id);
                Err(error)
            }
        }
    }

    /// Takes a container off all networks: ports, addresses, links and its network namespace go.
    /// Doing it again, or for a container that was never attached, is no error.
    ///
    /// # Errors
    /// The host refuses; what could be removed is removed, and the record stays for another try.
    pub fn detach(&self, container: &str) -> Result<()> {
        let Some(known) = self.state()?.container(container).cloned() else {
            return netns::remove(&self.netns_path(container));
        };
        // Its links go with the namespace, in the kernel's own time (tens of milliseconds).
        netns::remove(&known.netns)?;
        // Its addresses are forgotten before they are given again, by the next sweep: the kernel
        // goes through all it tracks, milliseconds even where there is nothing.
        host::forget_flows(&[], &known.published)?;
        self.strike(&known, true)
    }

    /// Puts a running container on one more network.
    ///
    /// # Errors
    /// As [`Networks::attach`]; 403 when it is on that network already.
    pub fn connect(&self, container: &str, wish: &EndpointSpec) -> Result<Attached> {
        let asked = plan::Host {
            is_free: &host::is_free,
            ephemeral: host::ephemeral_ports(),
            new_id: &host::new_id,
        };
        let (planned, added) = self.plan(&|state| {
            let mut planned = known(state, container)?;
            let added = plan::endpoint(state, &planned, wish, &asked)?;
            planned.endpoints.push(added.clone());
            if planned.published.is_empty() {
                planned.published = plan::publish(state, &planned, &asked)?;
            }
            replace(state, &planned);
            Ok((planned, added))
        })?;
        if let Err(error) = self.realize(&planned, std::slice::from_ref(&added)) {
            let _ = self.disconnect(container, &added.network);
            return Err(error);
        }
        self.attached(container)?.ok_or_else(|| not_running(container))
    }

    /// Takes a running container off one network.
    ///
    /// # Errors
    /// 404 for an unknown network or container, 403 when the container isn't on it.
    pub fn disconnect(&self, container: &str, network: &str) -> Result<Attached> {
        let lock = self.lock()?;
        let mut state = self.state()?;
        let network = plan::find(&state, network)?.clone();
        let mut planned = known(&state, container)?;
        let (gone, left): (Vec<Endpoint>, Vec<Endpoint>) =
            planned.endpoints.into_iter().partition(|endpoint| endpoint.network == network.id);
        planned.endpoints = left;
        if gone.is_empty() {
            let (name, network) = (&planned.name, &network.name);
            let message = format!("container {name} is not connected to network {network}");
            return Err(Error::new(403, message));
        }
        if plan::gateway(&state, &planned).is_none() {
            planned.published.clear();
        }
        replace(&mut state, &planned);
        host::unplug(&gone, &[])?;
        host::reroute(&state, &planned)?;
        self.apply_rules(&state, false)?;
        rows::change(&self.records(), |state| {
            replace(state, &planned);
            Ok(())
        })?;
        self.tell_names(&state)?;
        drop(lock);
        self.attached(container)?.ok_or_else(|| not_running(container))
    }

    /// What a running container has now; `None` when it is on no network.
    ///
    /// # Errors
    /// The database can't be read.
    pub fn attached(&self, container: &str) -> Result<Option<Attached>> {
        let state = self.state()?;
        let attached = state
            .container(container)
            .map(|container| view::attached(&state, container, &files::host_resolv_conf()));
        attached.transpose()
    }

    /// Tells the names of a container anew, after `rename`.
    ///
    /// # Errors
    /// The database or the record file can't be written.
    pub fn rename(&self, container: &str, name: &str) -> Result<()> {
        let lock = self.lock()?;
        rows::change(&self.records(), |state| {
            for record in state.containers.iter_mut().filter(|known| known.id == container) {
                name.clone_into(&mut record.name);
            }
            Ok(())
        })?;
        self.tell_names(&self.state()?)?;
        drop(lock);
        Ok(())
    }

    /// Whether a container left that [`Networks::sweep`] has not cleared up after.
    ///
    /// # Errors
    /// The database can't be read.
    pub fn is_left(&self) -> Result<bool> {
        Ok(!self.state()?.leftover.is_empty())
    }

    /// [`Networks::sweep`] after a pause; at most one process waits, for all that leave meanwhile.
    ///
    /// # Errors
    /// As [`Networks::sweep`].
    pub fn sweep_later(&self, pause: Duration) -> Result<()> {
        let Some(turn) = host::try_lock(&self.run, "sweeper")? else { return Ok(()) };
        thread::sleep(pause);
        // Before the work: who leaves from now on calls for another one.
        drop(turn);
        self.sweep()
    }

    /// Removes bridges nobody is on, and the rules with the last of them. It waits for the kernel
    /// tens of milliseconds: call it after [`Networks::detach`] when no user waits.
    ///
    /// # Errors
    /// The host refuses.
    pub fn sweep(&self) -> Result<()> {
        let lock = self.lock()?;
        self.sweep_locked(false)?;
        drop(lock);
        Ok(())
    }

    /// Makes the host what the records say: containers for which `alive` is false are detached,
    /// namespaces nobody knows are removed, lost rules (`nft flush ruleset`) and the DNS server
    /// come back. `alive` must also be true for containers that are being started.
    ///
    /// # Errors
    /// The host refuses; the rest was still done.
    pub fn reconcile(&self, alive: &dyn Fn(&str) -> bool) -> Result<()> {
        let state = self.state()?;
        let mut result = Ok(());
        for container in state.containers.iter().filter(|container| !alive(&container.id)) {
            result = result.and(self.detach(&container.id));
        }
        for entry in fs::read_dir(&self.netns).into_iter().flatten().flatten() {
            let id = entry.file_name().to_string_lossy().into_owned();
            if state.container(&id).is_none() && !alive(&id) {
                result = result.and(netns::remove(&entry.path()));
            }
        }
        let lock = self.lock()?;
        result = result.and(self.sweep_locked(true));
        result = result.and_then(|()| dns::ensure(&self.run, &self.program, &self.state()?));
        drop(lock);
        result
    }

    /// Records a change; where it can't be planned, once more with the addresses of containers that
    /// just left.
    fn plan<T>(&self, change: &dyn Fn(&mut State) -> Result<T>) -> Result<T> {
        let planned = rows::change(&self.records(), change);
        if planned.is_ok() || !self.is_left()? {
            return planned;
        }
        self.bury()?;
        rows::change(&self.records(), change)
    }

    /// Makes sure that the links of containers that left are gone.
    fn bury(&self) -> Result<()> {
        let left = self.state()?.leftover;
        host::unplug(&left, &[])?;
        self.forget_leftover(&left)
    }

    fn forget_leftover(&self, gone: &[Endpoint]) -> Result<()> {
        if gone.is_empty() {
            return Ok(());
        }
        rows::change(&self.records(), |state| {
            state.leftover.retain(|endpoint| !gone.iter().any(|gone| gone.id == endpoint.id));
            Ok(())
        })
    }

    fn sweep_locked(&self, force: bool) -> Result<()> {
        let mut state = self.state()?;
        if !state.leftover.is_empty() {
            host::unplug(&state.leftover, &[])?;
        }
        let mut forwarding = state.forwarding.clone();
        host::remove_unused(&state, &mut forwarding)?;
        if forwarding != state.forwarding {
            rows::change(&self.records(), |state| {
                state.forwarding = forwarding.clone();
                Ok(())
            })?;
            state.forwarding = forwarding;
        }
        self.apply_rules(&state, force)?;
        // Last: killed before, all of it is done again.
        self.forget_leftover(&state.leftover)
    }

    /// Does to the host what was planned and recorded for `endpoints` of a container.
    fn realize(&self, container: &Container, endpoints: &[Endpoint]) -> Result<()> {
        if endpoints.is_empty() {
            return Ok(());
        }
        let lock = self.lock()?;
        let mut state = self.state()?;
        self.prepare(&mut state, endpoints)?;
        self.tell_names(&state)?;
        let state = &state;
        // Three things that wait for the kernel, none for another one.
        thread::scope(|scope| {
            let rules = scope.spawn(move || {
                let applied = self.apply_rules(state, false);
                drop(lock);
                applied
            });
            let serve = || dns::serve(&self.run, &self.program, state, container);
            let names = view::resolves_names(state, container).then(|| scope.spawn(serve));
            let plugged = host::plug(state, container, endpoints);
            let ended = || Err(Error::internal("network thread ended early"));
            let ruled = rules.join().unwrap_or_else(|_| ended());
            let named = names.map_or(Ok(()), |names| names.join().unwrap_or_else(|_| ended()));
            plugged.and(ruled).and(named)
        })?;
        host::forget_flows(&[], &container.published)
    }

    fn prepare(&self, state: &mut State, endpoints: &[Endpoint]) -> Result<()> {
        let wanted = |network: &&Network| endpoints.iter().any(|e| e.network == network.id);
        let bridges: Vec<Bridge> =
            state.networks.iter().filter(wanted).map(Bridge::of).collect::<Result<_>>()?;
        let mut forwarding = state.forwarding.clone();
        let made = host::ensure_bridges(&bridges, &mut forwarding);
        if forwarding != state.forwarding {
            rows::change(&self.records(), |state| {
                state.forwarding = forwarding.clone();
                Ok(())
            })?;
            state.forwarding = forwarding;
        }
        made
    }

    /// Takes a container off its networks; its namespace stays. Effects before the record: a kill
    /// in between leaves the record, and the next try does it all again.
    fn take_off(&self, id: &str) -> Result<()> {
        let Some(container) = self.state()?.container(id).cloned() else { return Ok(()) };
        host::unplug(&container.endpoints, &container.published)?;
        self.strike(&container, false)
    }

    /// Removes a container's ports and record; keeps its links in mind when they may still be there.
    fn strike(&self, container: &Container, links_left: bool) -> Result<()> {
        let lock = self.lock()?;
        let mut state = self.state()?;
        state.containers.retain(|other| other.id != container.id);
        if !container.published.is_empty() {
            self.apply_rules(&state, false)?;
        }
        rows::change(&self.records(), |state| {
            state.containers.retain(|other| other.id != container.id);
            if links_left {
                state.leftover.extend(container.endpoints.iter().cloned());
            }
            Ok(())
        })?;
        self.tell_names(&state)?;
        drop(lock);
        Ok(())
    }

    /// Applies the rules unless they are the ones applied last. The file that tells is removed
    /// before and written after: when it is there, it is true.
    fn apply_rules(&self, state: &State, force: bool) -> Result<()> {
        let path = self.run.join("rules");
        let text = super::rules::ruleset(state);
        if !force && fs::read_to_string(&path).is_ok_and(|applied| applied == text) {
            return Ok(());
        }
        let _ = fs::remove_file(&path);
        host::nft(&text)?;
        fs::write(&path, text).at(|| format!("write {}", path.display()))
    }

    fn tell_names(&self, state: &State) -> Result<()> {
        dns::tell(&self.run, state)
    }

    fn lock(&self) -> Result<Flock<File>> {
        host::lock(&self.run)
    }

    fn state(&self) -> Result<State> {
        rows::read(&self.records())
    }

    fn records(&self) -> MutexGuard<'_, Connection> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn removable(state: &State, network: &Network) -> Result<()> {
    let name = &network.name;
    if network.predefined() {
        let message = format!("{name} is a pre-defined network and cannot be removed");
        return Err(Error::new(403, message));
    }
    let users: Vec<String> = state
        .on(&network.id)
        .map(|(container, _)| {
            let id = container.id.get(..12).unwrap_or(&container.id);
            format!("name:{:?} id:{id:?}", container.name)
        })
        .collect();
    if users.is_empty() {
        return Ok(());
    }
    let users = users.join(", ");
    Err(Error::new(
        403,
        format!("error while removing network: network {name} has active endpoints ({users})"),
    ))
}

fn known(state: &State, container: &str) -> Result<Container> {
    state.container(container).cloned().ok_or_else(|| not_running(container))
}

fn not_running(container: &str) -> Error {
    Error::not_found(format!("network sandbox for container {container} not found"))
}

fn replace(state: &mut State, container: &Container) {
    for known in state.containers.iter_mut().filter(|known| known.id == container.id) {
        known.clone_from(container);
    }
}
