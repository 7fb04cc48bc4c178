//! The calls to systemd's manager.

use super::bus::Bus;
use super::wire::{Message, Method, Value, Writer};
use crate::error::{At, Error, Kind, Result};
use crate::plan::cgroup::systemd::{Property, UnitPlan};
use nix::libc::pid_t;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The system's manager without a bus between, for root.
const PRIVATE: &str = "/run/systemd/private";
/// The system's bus.
const SYSTEM_BUS: &str = "unix:path=/run/dbus/system_bus_socket";

/// A container's unit, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// The unit's name.
    pub name: String,
    /// It belongs to the user's manager.
    pub user: bool,
}

impl Unit {
    /// Stops the unit, and systemd forgets it; one that is gone is no error.
    ///
    /// # Errors
    /// systemd can't be reached.
    pub fn stop(&self) -> Result<()> {
        Manager::connect(self.user)?.stop(&self.name)
    }

    /// Puts a process into the unit's cgroup, or into one below it.
    ///
    /// # Errors
    /// systemd refuses.
    pub fn attach(&self, below: &str, pid: pid_t) -> Result<()> {
        Manager::connect(self.user)?.attach(&self.name, below, pid)
    }
}

/// A connection to a manager of units.
#[derive(Debug)]
pub struct Manager {
    bus: Bus,
    /// The bus name of the other end; none without a bus.
    destination: Option<&'static str>,
}

const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";
const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";

impl Manager {
    /// Connects to the system's manager, or to the `user`'s own.
    ///
    /// # Errors
    /// systemd is not this machine's init, or has no manager for the user.
    pub fn connect(user: bool) -> Result<Self> {
        let (private, bus) = if user {
            user_addresses()?
        } else {
            if !Path::new("/run/systemd/system").is_dir() {
                return Err(Error::unsupported(
                    "systemd not running on this host, cannot use systemd cgroups manager",
                ));
            }
            (format!("unix:path={PRIVATE}"), SYSTEM_BUS.to_owned())
        };
        if let Ok(bus) = Bus::connect(&private) {
            let mut manager = Self { bus, destination: None };
            manager.call("Subscribe", "", &[])?;
            return Ok(manager);
        }
        let bus = Bus::connect(&bus).at(|| "connecting to systemd")?;
        let mut manager = Self { bus, destination: Some("org.freedesktop.systemd1") };
        manager.daemon("Hello", "")?;
        manager.daemon(
            "AddMatch",
            "type='signal',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'",
        )?;
        manager.call("Subscribe", "", &[])?;
        Ok(manager)
    }

    /// A call to the bus itself.
    fn daemon(&mut self, member: &str, argument: &str) -> Result<()> {
        let name = "org.freedesktop.DBus";
        let path = "/org/freedesktop/DBus";
        let method = Method { destination: Some(name), path, interface: name, member };
        let mut body = Writer::default();
        let signature = if argument.is_empty() { "" } else { "s" };
        if !argument.is_empty() {
            body.string(argument);
        }
        self.bus
            .call(&method, signature, &body.finish())?
            .map(drop)
            .map_err(|message| Error::unsupported(format!("{member}: {}", message.refusal())))
    }

    fn try_call(
        &mut self,
        member: &str,
        signature: &str,
        body: &[u8],
    ) -> Result<Result<Message, Message>> {
        let method =
            Method { destination: self.destination, path: PATH, interface: MANAGER, member };
        self.bus.call(&method, signature, body)
    }

    fn call(&mut self, member: &str, signature: &str, body: &[u8]) -> Result<Message> {
        self.try_call(member, signature, body)?.map_err(|message| refused(&message))
    }

    /// A property of the manager that is a string.
    fn property(&mut self, name: &str) -> Result<String> {
        let interface = "org.freedesktop.DBus.Properties";
        let method = Method { destination: self.destination, path: PATH, interface, member: "Get" };
        let mut body = Writer::default();
        body.string(MANAGER);
        body.string(name);
        let answer = self
            .bus
            .call(&method, "ss", &body.finish())?
            .map_err(|message| refused(&message))
            .at(|| format!("asking systemd for {name}"))?;
        Ok(answer.strings().first().copied().unwrap_or_default().to_owned())
    }

    /// The manager's own cgroup below the mount point: empty for the system's.
    ///
    /// # Errors
    /// systemd refuses.
    pub fn control_group(&mut self) -> Result<String> {
        self.property("ControlGroup")
    }

    /// The release, as 257.
    fn version(&mut self) -> Result<u32> {
        let text = self.property("Version")?;
        let digits = text.trim_start_matches('v');
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        digits
            .get(..end)
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| Error::unsupported(format!("systemd's version {text:?} can't be read")))
    }

    /// The properties that this release knows; the others are set in the cgroup all the same.
    fn known<'a>(&mut self, properties: &'a [Property]) -> Result<Vec<&'a Property>> {
        let newest = properties.iter().map(|property| property.since).max().unwrap_or(0);
        let version = if newest > 0 { self.version()? } else { u32::MAX };
        Ok(properties.iter().filter(|property| property.since <= version).collect())
    }

    /// Makes the unit with this process in it, and returns when it is there.
    ///
    /// # Errors
    /// A unit of the name that is in use; a property systemd does not take.
    pub fn start(&mut self, plan: &UnitPlan, pid: pid_t) -> Result<()> {
        let at = || format!("unable to start unit {:?}", plan.unit.name);
        let known = self.known(&plan.properties)?;
        let pids = Value::Array("u".to_owned(), vec![Value::U32(pid.cast_unsigned())]);
        let mut body = Writer::default();
        body.string(&plan.unit.name);
        body.string("replace");
        body.array("(sv)", |body| {
            let own = Property::new("PIDs", pids);
            known.into_iter().chain([&own]).for_each(|property| write_property(body, property));
        });
        body.array("(sa(sv))", |_| {});
        let body = body.finish();
        let signature = "ssa(sv)a(sa(sv))";
        let mut answer = self.try_call("StartTransientUnit", signature, &body).at(at)?;
        if answer.as_ref().is_err_and(|message| message.error == UNIT_EXISTS) {
            // Perhaps one that failed, which systemd keeps until it is told to forget it.
            self.reset_failed(&plan.unit.name)?;
            answer = self.try_call("StartTransientUnit", signature, &body).at(at)?;
        }
        let job = answer.map_err(|message| refused(&message)).at(at)?;
        let result = self.finished(&job).at(at)?;
        if result != "done" {
            self.reset_failed(&plan.unit.name)?;
            return Err(Error::new(Kind::State, format!("systemd's job ended with {result:?}")))
                .at(at);
        }
        Ok(())
    }

    /// Waits for the job that a call has started: `done` if all is well.
    fn finished(&mut self, answer: &Message) -> Result<String> {
        let job = answer.strings().first().copied().unwrap_or_default().to_owned();
        self.bus.signal("JobRemoved", |signal| match signal.strings().as_slice() {
            [path, _, result] if *path == job => Some((*result).to_owned()),
            _ => None,
        })
    }

    /// Stops the unit; one that is gone is no error.
    fn stop(&mut self, name: &str) -> Result<()> {
        let at = || format!("unable to stop unit {name:?}");
        let mut body = Writer::default();
        body.string(name);
        body.string("replace");
        match self.try_call("StopUnit", "ss", &body.finish()).at(at)? {
            Err(message) if message.error == NO_SUCH_UNIT => return Ok(()),
            Err(message) => return Err(refused(&message)).at(at),
            Ok(job) => {
                // Whatever the result: what systemd leaves is removed as for other cgroups.
                self.finished(&job).at(at)?;
            }
        }
        self.reset_failed(name)
    }

    /// Lets systemd forget a unit that failed; others are left alone.
    fn reset_failed(&mut self, name: &str) -> Result<()> {
        let mut body = Writer::default();
        body.string(name);
        // Refused for a unit that is not loaded, and then there is nothing to forget.
        self.try_call("ResetFailedUnit", "s", &body.finish()).map(drop)
    }

    /// Changes properties of a unit until the next boot.
    ///
    /// # Errors
    /// systemd refuses.
    pub fn set(&mut self, name: &str, properties: &[Property]) -> Result<()> {
        if properties.is_empty() {
            return Ok(());
        }
        let known = self.known(properties)?;
        let mut body = Writer::default();
        body.string(name);
        body.bool(true);
        body.array("(sv)", |body| {
            for property in known {
                write_property(body, property);
            }
        });
        self.call("SetUnitProperties", "sba(sv)", &body.finish())
            .at(|| format!("unable to set properties of unit {name:?}"))
            .map(drop)
    }

    /// Puts a process into the unit's cgroup, or into the one `below` it.
    fn attach(&mut self, name: &str, below: &str, pid: pid_t) -> Result<()> {
        let mut body = Writer::default();
        body.string(name);
        body.string(below);
        body.value(&Value::Array("u".to_owned(), vec![Value::U32(pid.cast_unsigned())]));
        self.call("AttachProcessesToUnit", "ssau", &body.finish())
            .at(|| format!("unable to put process {pid} into unit {name:?}"))
            .map(drop)
    }
}

fn write_property(body: &mut Writer, property: &Property) {
    body.structure();
    body.string(&property.name);
    body.variant(&property.value);
}

fn refused(message: &Message) -> Error {
    Error::new(Kind::State, format!("systemd: {}", message.refusal()))
}

/// Where the user's manager and bus are: the private socket, and the bus.
fn user_addresses() -> Result<(String, String)> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let runtime = variable("XDG_RUNTIME_DIR");
    let bus = variable("DBUS_SESSION_BUS_ADDRESS")
        .or_else(|| Some(format!("unix:path={}/bus", runtime.as_deref()?)));
    let bus = bus.ok_or_else(|| {
        Error::unsupported(
            "the systemd cgroup driver needs $XDG_RUNTIME_DIR or $DBUS_SESSION_BUS_ADDRESS to \
             find the user's systemd",
        )
    })?;
    let private = runtime.map(|runtime| format!("unix:path={runtime}/systemd/private"));
    Ok((private.unwrap_or_default(), bus))
}
