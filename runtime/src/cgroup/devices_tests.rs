use super::*;

const CHAR: Option<Type> = Some(Type::Char);
const BLOCK: Option<Type> = Some(Type::Block);

fn rule(allow: bool, typ: Option<Type>, numbers: (i64, i64), access: &str) -> Rule {
    Rule {
        allow,
        typ,
        major: u32::try_from(numbers.0).ok(),
        minor: u32::try_from(numbers.1).ok(),
        access: parse_access(access).unwrap(),
    }
}

fn values(entries: &[Entry]) -> Vec<String> {
    let sign = |entry: &Entry| if entry.allow { '+' } else { '-' };
    entries.iter().map(|entry| format!("{}{}", sign(entry), entry.value)).collect()
}

/// What the devices controller decides about a state (security/device_cgroup.c): an exception has
/// to cover all of the access to lift a denial, any part of it to lift a permission.
fn kernel(state: &Whitelist, typ: Type, major: u32, minor: u32, access: u8) -> bool {
    let about = |set: &Set| {
        set.typ == typ
            && set.major.is_none_or(|own| own == major)
            && set.minor.is_none_or(|own| own == minor)
    };
    let mut matching = state.exceptions.iter().filter(|(set, _)| about(set));
    if state.default_allow {
        !matching.any(|(_, bits)| access & bits != 0)
    } else {
        matching.any(|(_, bits)| access & !bits == 0)
    }
}

#[test]
fn the_last_rule_decides_each_access() {
    let rules = [
        rule(true, CHAR, (1, -1), "rw"),
        rule(false, CHAR, (1, 3), "w"),
        rule(true, None, (8, 0), "r"),
    ];
    assert!(allows(&rules, Type::Char, 1, 5, READ | WRITE));
    assert!(allows(&rules, Type::Char, 1, 3, READ));
    assert!(!allows(&rules, Type::Char, 1, 3, READ | WRITE));
    assert!(!allows(&rules, Type::Char, 1, 5, MKNOD));
    assert!(!allows(&rules, Type::Block, 1, 5, READ));
    assert!(allows(&rules, Type::Block, 8, 0, READ));
    assert!(!allows(&[], Type::Char, 1, 3, READ));
}

#[test]
fn a_new_cgroup_is_denied_everything_first() {
    let rules = [
        rule(false, None, (-1, -1), "rwm"),
        rule(true, CHAR, (1, 3), "rwm"),
        rule(true, CHAR, (136, -1), "rw"),
        rule(true, BLOCK, (-1, -1), "m"),
        rule(true, CHAR, (1, 3), "r"),
    ];
    let state = Whitelist::new(&rules).unwrap();
    assert_eq!(values(&state.entries(None)), ["-a", "+b *:* m", "+c 1:3 rwm", "+c 136:* rw"]);
}

#[test]
fn a_list_that_allows_all_denies_exceptions() {
    let rules = [rule(true, None, (-1, -1), "rwm"), rule(false, CHAR, (10, 229), "rw")];
    let state = Whitelist::new(&rules).unwrap();
    assert_eq!(values(&state.entries(None)), ["+a", "-c 10:229 rw"]);
    // The exceptions of such a cgroup can't be read back: it is always set anew.
    let current = Whitelist::parse("a *:* rwm\n").unwrap();
    assert_eq!(values(&state.entries(Some(&current))), ["+a", "-c 10:229 rw"]);
}

#[test]
fn a_wider_denial_takes_back_narrower_permissions() {
    let rules = [
        rule(true, CHAR, (1, 3), "rwm"),
        rule(true, CHAR, (1, 5), "r"),
        rule(true, CHAR, (5, 2), "rw"),
        rule(false, CHAR, (1, -1), "rw"),
    ];
    let state = Whitelist::new(&rules).unwrap();
    assert_eq!(values(&state.entries(None)), ["-a", "+c 1:3 m", "+c 5:2 rw"]);
}

#[test]
fn holes_in_wildcards_are_refused() {
    for hole in [(1, 3), (-1, 3)] {
        let rules = [rule(true, CHAR, (1, -1), "rw"), rule(false, CHAR, hole, "w")];
        let error = Whitelist::new(&rules).unwrap_err().to_string();
        assert!(error.contains("hole") && error.contains("c 1:* rw"), "{error}");
    }
    let harmless = [rule(true, CHAR, (1, -1), "r"), rule(false, CHAR, (1, 3), "w")];
    assert!(Whitelist::new(&harmless).is_ok());
}

#[test]
fn only_differences_are_written_to_a_list() {
    let current = Whitelist::parse("c 1:3 rwm\nb *:* m\nc 5:2 rw\n").unwrap();
    let rules = [rule(true, CHAR, (1, 3), "rm"), rule(true, BLOCK, (-1, -1), "rm")];
    let state = Whitelist::new(&rules).unwrap();
    assert_eq!(values(&state.entries(Some(&current))), ["-c 1:3 w", "-c 5:2 rw", "+b *:* r"]);
    assert_eq!(state.entries(Some(&state)), []);
}

#[test]
fn lists_that_are_not_the_kernels_are_refused() {
    for text in ["x 1:3 rwm", "c 1:3", "c a:3 r", "c 1:3 q"] {
        assert_eq!(Whitelist::parse(text), None, "{text}");
    }
}

#[test]
fn access_letters() {
    assert_eq!(parse_access("rw"), Some(READ | WRITE));
    assert_eq!(parse_access(""), None);
    assert_eq!(parse_access("rx"), None);
}

/// For each list of up to three of these rules: what v1 is told never allows what the list denies,
/// and allows each single access the list allows.
#[test]
fn v1_agrees_with_the_list_or_refuses_it() {
    let mut pool = Vec::new();
    for allow in [false, true] {
        for typ in [None, CHAR, BLOCK] {
            for numbers in [(-1, -1), (1, -1), (-1, 3), (1, 3)] {
                for access in ["rwm", "r", "wm"] {
                    pool.push(rule(allow, typ, numbers, access));
                }
            }
        }
    }
    let (mut agreed, mut refused) = (0, 0);
    for first in &pool {
        for second in &pool {
            for third in &pool {
                let rules = [*first, *second, *third];
                match Whitelist::new(&rules) {
                    Ok(state) => {
                        agreed += 1;
                        compare(&rules, &state);
                    }
                    Err(_) => refused += 1,
                }
            }
        }
    }
    assert!(agreed > 100_000 && refused > 10_000, "{agreed} {refused}");
}

fn compare(rules: &[Rule], state: &Whitelist) {
    for typ in [Type::Char, Type::Block] {
        for (major, minor) in [(1, 3), (1, 4), (2, 3), (2, 4)] {
            for access in 1..=ALL {
                let wanted = allows(rules, typ, major, minor, access);
                let got = kernel(state, typ, major, minor, access);
                assert!(wanted || !got, "{rules:?} {typ:?} {major}:{minor} {access}");
                if access.is_power_of_two() {
                    assert_eq!(wanted, got, "{rules:?} {typ:?} {major}:{minor} {access}");
                }
            }
        }
    }
}
