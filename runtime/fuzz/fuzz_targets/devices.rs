//! Device rules: a list in JSON, as exceptions of cgroup v1 and as a program of cgroup v2; and
//! what the kernel's devices.list says.
#![no_main]

use hull::cgroup::devices::{Entry, Type, Whitelist, allows, parse_access};
use hull::cgroup::program::compile;
use hull::plan::cgroup::rules;
use hull::spec::linux::DeviceRule;
use libfuzzer_sys::fuzz_target;

/// What the devices controller of cgroup v1 does with the writes, for one device.
fn after(entries: &[Entry], typ: Type, major: u32, minor: u32, access: u8) -> bool {
    let (mut default_allow, mut exceptions) = (true, Vec::new());
    for Entry { allow, value } in entries {
        let mut words = value.split([' ', ':']);
        let kind = words.next().unwrap_or_default();
        if kind == "a" {
            (default_allow, exceptions) = (*allow, Vec::new());
            continue;
        }
        let own = if typ == Type::Char { "c" } else { "b" };
        let number = |word: Option<&str>, own: u32| word == Some("*") || word == Some(&*own.to_string());
        let about = kind == own && number(words.next(), major) & number(words.next(), minor);
        if about {
            let bits = words.next().and_then(parse_access).unwrap_or(0);
            exceptions.push((*allow, bits));
        }
    }
    // Exceptions are those against the default.
    let against = exceptions.iter().filter(|(allow, _)| *allow != default_allow);
    let bits = against.fold(0, |all, (_, bits)| all | bits);
    if default_allow { bits & access == 0 } else { bits & access == access }
}

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(state) = Whitelist::parse(text)
    {
        let _ = state.entries(None);
    }
    let Ok(config) = serde_json::from_slice::<Vec<DeviceRule>>(data) else { return };
    let Ok(rules) = rules(&config, &[]) else { return };
    let _ = compile(&rules);
    let Ok(state) = Whitelist::new(&rules) else { return };
    let entries = state.entries(None);
    for typ in [Type::Char, Type::Block] {
        for (major, minor) in [(1, 3), (1, 5), (5, 0), (5, 3), (0, 0)] {
            for access in [1, 2, 4] {
                assert_eq!(
                    after(&entries, typ, major, minor, access),
                    allows(&rules, typ, major, minor, access),
                    "{rules:?} become {entries:?}: {typ:?} {major}:{minor} {access}"
                );
            }
        }
    }
});
