//! `linux.resources.devices` as checked rules, with the devices every container may use.

use crate::cgroup::devices::{ALL, MKNOD, Rule, Type, parse_access};
use crate::spec::Problem;
use crate::spec::linux::{Device, DeviceRule};

/// A device that containers may use although nobody asked.
struct Default {
    /// If the configuration makes this device itself, its rules decide.
    path: &'static str,
    rule: Rule,
}

/// A character device with all accesses.
const fn char_device(path: &'static str, major: u32, minor: Option<u32>) -> Default {
    let typ = Some(Type::Char);
    Default { path, rule: Rule { allow: true, typ, major: Some(major), minor, access: ALL } }
}

/// mknod(2) of all devices of a type: a node that can't be opened is harmless, and package
/// managers make some.
const fn mknod(typ: Type) -> Default {
    let rule = Rule { allow: true, typ: Some(typ), major: None, minor: None, access: MKNOD };
    Default { path: "", rule }
}

/// The devices of config-linux.md, "Default Devices", terminals, and /dev/net/tun, which
/// containers have relied upon for long.
const DEFAULTS: [Default; 11] = [
    mknod(Type::Char),
    mknod(Type::Block),
    char_device("/dev/null", 1, Some(3)),
    char_device("/dev/random", 1, Some(8)),
    char_device("/dev/full", 1, Some(7)),
    char_device("/dev/tty", 5, Some(0)),
    char_device("/dev/zero", 1, Some(5)),
    char_device("/dev/urandom", 1, Some(9)),
    char_device("", 136, None),
    char_device("", 5, Some(2)),
    char_device("", 10, Some(200)),
];

/// The rules of the configuration in order, then the defaults, except those for devices that
/// `devices` makes at the same path.
pub fn rules(config: &[DeviceRule], devices: &[Device]) -> Result<Vec<Rule>, Vec<Problem>> {
    let mut rules = Vec::with_capacity(config.len() + DEFAULTS.len());
    let mut problems = Vec::new();
    for (index, rule) in config.iter().enumerate() {
        match convert(rule) {
            Ok(rule) => rules.push(rule),
            Err((field, what)) => {
                problems
                    .push(Problem::new(format!("linux.resources.devices[{index}].{field}"), what));
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let replaced = |path: &str| devices.iter().any(|device| device.path == path);
    let defaults =
        DEFAULTS.iter().filter(|default| default.path.is_empty() || !replaced(default.path));
    rules.extend(defaults.map(|default| default.rule));
    Ok(rules)
}

/// The letters of config-linux.md "Allowed Device list": read, write, mknod.
const ACCESS: &str = "rwm";

/// What the user should hear of rules with letters that mean nothing.
pub(super) fn warnings(config: &[DeviceRule]) -> impl Iterator<Item = String> {
    let odd = |rule: &&DeviceRule| rule.access.contains(|letter| !ACCESS.contains(letter));
    config.iter().filter(odd).map(|rule| {
        format!("device access {:?} has letters other than r, w and m: ignored", rule.access)
    })
}

/// One rule; on failure the field that is wrong and why.
fn convert(rule: &DeviceRule) -> Result<Rule, (&'static str, String)> {
    let typ = match rule.typ.as_str() {
        "" | "a" => None,
        "b" => Some(Type::Block),
        "c" => Some(Type::Char),
        other => return Err(("type", format!("invalid device type {other:?}"))),
    };
    let number = |field, number: Option<i64>| match number {
        None | Some(-1) => Ok(None),
        Some(number) => u32::try_from(number)
            .map(Some)
            .map_err(|_| (field, format!("invalid device number {number}"))),
    };
    // Letters that mean nothing neither allow nor deny; the plan warns of them.
    let known: String = rule.access.chars().filter(|letter| ACCESS.contains(*letter)).collect();
    let access = parse_access(&known)
        .ok_or_else(|| ("access", format!("invalid device access {:?}", rule.access)))?;
    Ok(Rule {
        allow: rule.allow,
        typ,
        major: number("major", rule.major)?,
        minor: number("minor", rule.minor)?,
        access,
    })
}
