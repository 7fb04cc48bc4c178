use super::*;

fn parse(json: &str) -> Seccomp {
    serde_json::from_str(json).unwrap()
}

/// The problems, one per line.
fn problems(json: &str) -> String {
    let seccomp = parse(json);
    let problems = plan(&seccomp).unwrap_err();
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The problems of a profile with one rule.
fn rule_problems(rule: &str) -> String {
    problems(&format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}]}}"#))
}

#[test]
fn a_whole_profile() {
    let seccomp = parse(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X32", "SCMP_ARCH_X86_64"],
            "syscalls": [
                {"names": ["read", "exit"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["open"], "action": "SCMP_ACT_TRACE", "errnoRet": 65535,
                 "args": [{"index": 5, "value": 7, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"},
                          {"index": 0, "value": 9, "valueTwo": 3, "op": "SCMP_CMP_LE"}]}
            ]}"#,
    );
    let plan = plan(&seccomp).unwrap();
    assert_eq!(plan.default, Action::Errno(38));
    let archs: Vec<_> = plan.archs.iter().map(|arch| arch.name).collect();
    assert_eq!(archs, ["SCMP_ARCH_X32", "SCMP_ARCH_X86_64"]);
    assert_eq!(plan.flags, SPEC_ALLOW);
    assert_eq!(plan.listener, None);
    assert_eq!(plan.rules[0].names.iter().collect::<Vec<_>>(), ["read", "exit"]);
    assert_eq!((plan.rules[0].action, &plan.rules[0].conditions[..]), (Action::Allow, &[][..]));
    assert_eq!(plan.rules[1].action, Action::Trace(65535));
    assert_eq!(
        plan.rules[1].conditions,
        [
            Condition { index: 5, operator: Operator::MaskedEqual, value: 3, mask: 7 },
            Condition { index: 0, operator: Operator::LessOrEqual, value: 9, mask: u64::MAX },
        ]
    );
}

#[test]
fn conditions_that_share_an_argument_become_rules() {
    let seccomp = parse(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["dup3"], "action": "SCMP_ACT_ALLOW", "args": [
                {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
                {"index": 1, "value": 2, "op": "SCMP_CMP_EQ"},
                {"index": 0, "value": 3, "op": "SCMP_CMP_EQ"}]}]}"#,
    );
    let rules = plan(&seccomp).unwrap().rules;
    let values: Vec<Vec<u64>> =
        rules.iter().map(|rule| rule.conditions.iter().map(|c| c.value).collect()).collect();
    assert_eq!(values, [[1], [2], [3]]);
}

#[test]
fn actions_have_their_kernel_values() {
    let ret = |name: &str| {
        let seccomp = parse(&format!(r#"{{"defaultAction": "{name}"}}"#));
        plan(&seccomp).map(|plan| plan.default.ret())
    };
    assert_eq!(ret("SCMP_ACT_ERRNO"), Ok(0x0005_0001));
    assert_eq!(ret("SCMP_ACT_TRACE"), Ok(0x7ff0_0001));
    assert_eq!(ret("SCMP_ACT_KILL"), Ok(0));
    assert_eq!(ret("SCMP_ACT_KILL_THREAD"), Ok(0));
    assert_eq!(ret("SCMP_ACT_KILL_PROCESS"), Ok(0x8000_0000));
    assert_eq!(ret("SCMP_ACT_LOG"), Ok(0x7ffc_0000));
    assert_eq!(ret("SCMP_ACT_TRAP"), Ok(0x0003_0000));
    assert_eq!(ret("SCMP_ACT_ALLOW"), Ok(0x7fff_0000));
    // All names are known; NOTIFY alone can't be the default.
    let refused: Vec<_> = ACTIONS.into_iter().filter(|name| ret(name).is_err()).collect();
    assert_eq!(refused, ["SCMP_ACT_NOTIFY"]);
}

#[test]
fn the_default_action_is_checked() {
    assert_eq!(problems("{}"), "linux.seccomp.defaultAction: is required");
    assert_eq!(
        problems(r#"{"defaultAction": "SCMP_ACT_NONE"}"#),
        "linux.seccomp.defaultAction: unknown action \"SCMP_ACT_NONE\""
    );
    assert_eq!(
        problems(r#"{"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1}"#),
        "linux.seccomp.defaultErrnoRet: SCMP_ACT_ALLOW takes no errno"
    );
    assert_eq!(
        problems(r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096}"#),
        "linux.seccomp.defaultErrnoRet: 4096 is greater than 4095, the most SCMP_ACT_ERRNO can \
         carry"
    );
    assert_eq!(
        problems(r#"{"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/agent"}"#),
        "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action"
    );
}

#[test]
fn rules_are_checked() {
    assert_eq!(
        rule_problems(r#"{"names": []}"#),
        "linux.seccomp.syscalls[0].action: is required\n\
         linux.seccomp.syscalls[0].names: must contain at least one name"
    );
    assert_eq!(
        rule_problems(r#"{"names": ["read", ""], "action": "SCMP_ACT_KILL", "errnoRet": 0}"#),
        "linux.seccomp.syscalls[0].errnoRet: SCMP_ACT_KILL takes no errno\n\
         linux.seccomp.syscalls[0].names[1]: must not be empty"
    );
    assert_eq!(
        rule_problems(r#"{"names": ["read"], "action": "SCMP_ACT_TRACE", "errnoRet": 65536}"#),
        "linux.seccomp.syscalls[0].errnoRet: 65536 is greater than 65535, the most \
         SCMP_ACT_TRACE can carry"
    );
    assert_eq!(
        rule_problems(
            r#"{"names": ["read"], "action": "SCMP_ACT_LOG", "args": [
                {"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 1},
                {"index": 0, "value": 1, "op": "SCMP_CMP_ALMOST"}]}"#
        ),
        "linux.seccomp.syscalls[0].args[0].index: 6 is greater than 5\n\
         linux.seccomp.syscalls[0].args[1].op: is required\n\
         linux.seccomp.syscalls[0].args[2].op: unknown operator \"SCMP_CMP_ALMOST\""
    );
}

#[test]
fn architectures_and_flags_are_checked() {
    assert_eq!(
        problems(
            r#"{"defaultAction": "SCMP_ACT_ALLOW",
                "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_NATIVE"],
                "flags": ["SECCOMP_FILTER_FLAG_NONE", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}"#
        ),
        "linux.seccomp.architectures[1]: unknown architecture \"SCMP_ARCH_NATIVE\"\n\
         linux.seccomp.flags[0]: unknown flag \"SECCOMP_FILTER_FLAG_NONE\"\n\
         linux.seccomp.flags[1]: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a SCMP_ACT_NOTIFY \
         rule"
    );
}

#[test]
fn absent_flags_are_not_empty_flags() {
    let flags = |flags: &str| {
        let seccomp = parse(&format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW" {flags}}}"#));
        plan(&seccomp).unwrap().flags
    };
    assert_eq!(flags(""), SPEC_ALLOW);
    assert_eq!(flags(r#", "flags": null"#), SPEC_ALLOW);
    assert_eq!(flags(r#", "flags": []"#), 0);
    assert_eq!(flags(r#", "flags": ["SECCOMP_FILTER_FLAG_LOG"]"#), LOG);
    assert_eq!(flags(r#", "flags": ["SECCOMP_FILTER_FLAG_TSYNC"]"#), 0);
}

#[test]
fn notifications_need_a_listener() {
    let notify = |name: &str, more: &str| {
        format!(
            r#"{{"defaultAction": "SCMP_ACT_ALLOW", {more}
                "syscalls": [{{"names": ["{name}"], "action": "SCMP_ACT_NOTIFY"}}]}}"#
        )
    };
    let seccomp = parse(&notify(
        "mkdir",
        r#""listenerPath": "/agent", "listenerMetadata": "data",
           "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],"#,
    ));
    let plan = plan(&seccomp).unwrap();
    assert_eq!(plan.listener, Some(Listener { path: "/agent", metadata: "data" }));
    assert_eq!(plan.flags, NEW_LISTENER | WAIT_KILLABLE_RECV);
    assert_eq!(
        problems(&notify("mkdir", "")),
        "linux.seccomp.listenerPath: is required with SCMP_ACT_NOTIFY"
    );
    assert_eq!(
        problems(&notify("write", r#""listenerPath": "/agent","#)),
        "linux.seccomp.syscalls[0].names[0]: SCMP_ACT_NOTIFY cannot be used for the write syscall"
    );
}

#[test]
fn a_listener_without_notifications_is_ignored() {
    let seccomp = parse(
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/agent", "listenerMetadata": "x"}"#,
    );
    assert_eq!(plan(&seccomp).unwrap().listener, None);
    assert_eq!(
        problems(r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"}"#),
        "linux.seccomp.listenerMetadata: must not be set without listenerPath"
    );
}

#[test]
fn architecture_numbers_agree_with_oci_spec() {
    for arch in &ARCHITECTURES {
        let oci: oci_spec::runtime::Arch =
            serde_json::from_str(&format!("{:?}", arch.name)).unwrap();
        // libseccomp's number for x32 differs from the kernel's, to tell it from x86-64.
        if arch.name != "SCMP_ARCH_X32" {
            assert_eq!(arch.audit, oci as u32, "{}", arch.name);
        }
        assert_eq!(arch.name.parse::<ScmpArch>().unwrap(), arch.scmp);
    }
    assert!(ARCHITECTURES.is_sorted_by_key(|arch| arch.name));
}

#[test]
fn the_encoding_tells_plans_apart() {
    let rule = |names: &str, args: &str| {
        format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
                {{"names": [{names}], "action": "SCMP_ACT_ALLOW", "args": [{args}]}}]}}"#
        )
    };
    let profiles = [
        rule(r#""ab", "c""#, ""),
        rule(r#""a", "bc""#, ""),
        rule(r#""ab", "c""#, r#"{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}"#),
        rule(r#""ab", "c""#, r#"{"index": 1, "value": 1, "op": "SCMP_CMP_EQ"}"#),
        rule(r#""ab", "c""#, r#"{"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}"#),
        rule(r#""ab", "c""#, r#"{"index": 0, "value": 1, "op": "SCMP_CMP_NE"}"#),
        rule(
            r#""ab", "c""#,
            r#"{"index": 0, "value": 1, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ"}"#,
        ),
        r#"{"defaultAction": "SCMP_ACT_ERRNO"}"#.to_owned(),
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 2}"#.to_owned(),
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"]}"#.to_owned(),
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X32"]}"#.to_owned(),
    ];
    let encode = |json: &String| {
        let mut out = Vec::new();
        plan(&parse(json)).unwrap().encode(&mut out);
        out
    };
    let mut encodings: Vec<_> = profiles.iter().map(encode).collect();
    encodings.sort();
    encodings.dedup();
    assert_eq!(encodings.len(), profiles.len());
}
