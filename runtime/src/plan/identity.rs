//! Who the process is: ids, capability sets, no_new_privs and labels, as numbers.
//!
//! Pure; init carries it out (see capabilities(7), credentials(7)).

use crate::spec::config::Capabilities as SpecCapabilities;
use crate::spec::{Problem, Process};
use caps::Capability;
use std::collections::BTreeSet;

/// The five capability sets; bit n is capability n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CapabilitySets {
    /// What execve(2) may ever grant again.
    pub bounding: u64,
    /// What is checked.
    pub effective: u64,
    /// Kept over execve for files that inherit: exactly what is configured, never more
    /// (CVE-2022-24769, CVE-2022-29162).
    pub inheritable: u64,
    /// What may be made effective.
    pub permitted: u64,
    /// Kept over execve by processes that are not root.
    pub ambient: u64,
}

/// The identity of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User id in the container.
    pub uid: u32,
    /// Group id in the container.
    pub gid: u32,
    /// Exactly these supplementary groups.
    pub groups: Vec<u32>,
    /// Capabilities; none at all when the configuration has no `capabilities`.
    pub capabilities: CapabilitySets,
    /// PR_SET_NO_NEW_PRIVS.
    pub no_new_privileges: bool,
    /// AppArmor profile for the execve.
    pub apparmor_profile: Option<String>,
    /// SELinux label for the execve.
    pub selinux_label: Option<String>,
    /// What was ignored, to be logged.
    pub warnings: Vec<String>,
}

/// Turns `process` into an identity on a kernel whose highest capability is `last_capability`.
///
/// # Errors
/// All problems found.
pub fn plan(process: &Process, last_capability: u32) -> Result<Identity, Vec<Problem>> {
    let mut problems = Vec::new();
    let user = &process.user;
    // (uid_t) -1 means "leave alone" to setresuid(2) and friends (CVE-2024-40635 and its class).
    let mut check = |at: String, id: u32| {
        if id == u32::MAX {
            problems.push(Problem::new(at, format!("{id} is not a valid id")));
        }
    };
    check("process.user.uid".into(), user.uid);
    check("process.user.gid".into(), user.gid);
    for (n, gid) in user.additional_gids.iter().enumerate() {
        check(format!("process.user.additionalGids[{n}]"), *gid);
    }
    let mut warnings = Vec::new();
    let capabilities = process.capabilities.as_ref().map(|names| {
        let sets = sets(names, last_capability, &mut warnings);
        let beyond = sets.effective & !sets.permitted;
        if beyond != 0 {
            let what = format!("{} not in permitted", names_of(beyond));
            problems.push(Problem::new("process.capabilities.effective", what));
        }
        sets
    });
    for (at, text) in [
        ("process.apparmorProfile", &process.apparmor_profile),
        ("process.selinuxLabel", &process.selinux_label),
    ] {
        // Both are written to a file under /proc as one line.
        if text.contains(['\0', '\n']) {
            problems.push(Problem::new(at, format!("{text:?} contains a NUL or a line end")));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let label = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    Ok(Identity {
        uid: user.uid,
        gid: user.gid,
        groups: user.additional_gids.clone(),
        capabilities: capabilities.unwrap_or_default(),
        no_new_privileges: process.no_new_privileges,
        apparmor_profile: label(&process.apparmor_profile),
        selinux_label: label(&process.selinux_label),
        warnings,
    })
}

/// config.md: "Any value which cannot be mapped to a relevant kernel interface, or cannot be
/// granted otherwise MUST be logged as a warning by the runtime. Runtimes SHOULD NOT fail".
fn sets(names: &SpecCapabilities, last: u32, warnings: &mut Vec<String>) -> CapabilitySets {
    let mut unknown = BTreeSet::new();
    let mut mask = |names: &[String]| {
        let bits = names.iter().filter_map(|name| {
            let bit = known(name, last);
            if bit.is_none() {
                unknown.insert(name.clone());
            }
            bit
        });
        bits.fold(0, |mask, bit| mask | bit)
    };
    let mut sets = CapabilitySets {
        bounding: mask(&names.bounding),
        effective: mask(&names.effective),
        inheritable: mask(&names.inheritable),
        permitted: mask(&names.permitted),
        ambient: mask(&names.ambient),
    };
    if !unknown.is_empty() {
        let list: Vec<_> = unknown.into_iter().collect();
        warnings.push(format!("ignoring unknown or unavailable capabilities: {list:?}"));
    }
    // capset(2): what is not in the bounding set can't be added to the inheritable one.
    let beyond = sets.inheritable & !sets.bounding;
    if beyond != 0 {
        sets.inheritable &= !beyond;
        let names = names_of(beyond);
        warnings.push(format!("can't make capability {names} inheritable: not in bounding"));
    }
    // capabilities(7): the kernel only raises what is both permitted and inheritable.
    let beyond = sets.ambient & !(sets.permitted & sets.inheritable);
    if beyond != 0 {
        sets.ambient &= !beyond;
        warnings.push(format!(
            "can't raise ambient capability {}: not both permitted and inheritable",
            names_of(beyond)
        ));
    }
    sets
}

/// The bit of a capability this kernel has.
fn known(name: &str, last: u32) -> Option<u64> {
    let capability: Capability = name.parse().ok()?;
    (u32::from(capability.index()) <= last).then(|| capability.bitmask())
}

pub(super) fn names_of(mask: u64) -> String {
    let mut names: Vec<String> = caps::all()
        .into_iter()
        .filter(|capability| mask & capability.bitmask() != 0)
        .map(|capability| capability.to_string())
        .collect();
    names.sort_unstable();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: u32 = 40;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn with(capabilities: SpecCapabilities) -> Process {
        Process { capabilities: Some(capabilities), ..Process::default() }
    }

    #[test]
    fn without_capabilities_none_are_left() {
        let identity = plan(&Process::default(), LAST).unwrap();
        assert_eq!(identity.capabilities, CapabilitySets::default());
        assert!(identity.warnings.is_empty() && identity.apparmor_profile.is_none());
    }

    #[test]
    fn each_set_is_exactly_as_configured() {
        let process = with(SpecCapabilities {
            bounding: list(&["CAP_CHOWN", "CAP_KILL"]),
            effective: list(&["CAP_KILL"]),
            inheritable: list(&["CAP_CHOWN"]),
            permitted: list(&["CAP_KILL", "CAP_CHOWN"]),
            ambient: list(&["CAP_CHOWN"]),
        });
        let identity = plan(&process, LAST).unwrap();
        let expected = CapabilitySets {
            bounding: 0b10_0001,
            effective: 0b10_0000,
            inheritable: 1,
            permitted: 0b10_0001,
            ambient: 1,
        };
        assert_eq!(identity.capabilities, expected);
        assert!(identity.warnings.is_empty());
    }

    #[test]
    fn unknown_and_newer_capabilities_are_warned_about() {
        let process = with(SpecCapabilities {
            bounding: list(&["CAP_FOO", "CAP_BPF", "cap_kill", "CAP_KILL"]),
            permitted: list(&["CAP_FOO"]),
            ..SpecCapabilities::default()
        });
        let identity = plan(&process, 37).unwrap();
        assert_eq!(identity.capabilities.bounding, 0b10_0000);
        assert_eq!(
            identity.warnings,
            ["ignoring unknown or unavailable capabilities: \
              [\"CAP_BPF\", \"CAP_FOO\", \"cap_kill\"]"]
        );
        assert_eq!(plan(&process, 39).unwrap().capabilities.bounding, 1 << 39 | 0b10_0000);
    }

    #[test]
    fn ambient_needs_permitted_and_inheritable() {
        let process = with(SpecCapabilities {
            bounding: list(&["CAP_KILL", "CAP_FOWNER"]),
            permitted: list(&["CAP_KILL", "CAP_CHOWN"]),
            inheritable: list(&["CAP_KILL", "CAP_FOWNER"]),
            ambient: list(&["CAP_KILL", "CAP_CHOWN", "CAP_FOWNER"]),
            ..SpecCapabilities::default()
        });
        let identity = plan(&process, LAST).unwrap();
        assert_eq!(identity.capabilities.ambient, 0b10_0000);
        assert!(identity.warnings.iter().any(|it| it.contains("CAP_CHOWN, CAP_FOWNER")));
    }

    #[test]
    fn inheritable_needs_bounding() {
        let process = with(SpecCapabilities {
            bounding: list(&["CAP_KILL"]),
            inheritable: list(&["CAP_KILL", "CAP_FOWNER"]),
            ..SpecCapabilities::default()
        });
        let identity = plan(&process, LAST).unwrap();
        assert_eq!(identity.capabilities.inheritable, 0b10_0000);
        let warning = "can't make capability CAP_FOWNER inheritable: not in bounding";
        assert_eq!(identity.warnings, [warning]);
    }

    #[test]
    fn effective_beyond_permitted_is_a_problem() {
        let process = with(SpecCapabilities {
            effective: list(&["CAP_KILL"]),
            ..SpecCapabilities::default()
        });
        let problems = plan(&process, LAST).unwrap_err();
        assert_eq!(
            problems.first().map(ToString::to_string).as_deref(),
            Some("process.capabilities.effective: CAP_KILL not in permitted")
        );
    }

    #[test]
    fn minus_one_is_no_id() {
        let mut process = Process::default();
        process.user.uid = u32::MAX;
        process.user.gid = u32::MAX;
        process.user.additional_gids = vec![1, u32::MAX];
        let problems = plan(&process, LAST).unwrap_err();
        let places: Vec<_> = problems.iter().map(|problem| problem.at.as_str()).collect();
        let expected = ["process.user.uid", "process.user.gid", "process.user.additionalGids[1]"];
        assert_eq!(places, expected);
    }

    #[test]
    fn labels_stay_one_line() {
        let process = Process {
            apparmor_profile: "a\nb".into(),
            selinux_label: "x\0".into(),
            ..Process::default()
        };
        assert_eq!(plan(&process, LAST).unwrap_err().len(), 2);
    }
}
