//! Every property with a value of another type.

use serde_json::json;

use super::{bad_create, surround};
use crate::case::{Case, case};
use crate::mutant::Break;

/// The cases.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (kind, pointers) in TYPES {
        for pointer in pointers.split_whitespace() {
            all.extend(wrong_types(kind, pointer));
        }
    }
    all
}

/// Properties by the type of their value.
const TYPES: [(&str, &str); 5] = [
    (
        "string",
        "/ociVersion /hostname /domainname /root/path /process/cwd /process/args/0 /process/env/0 \
         /mounts/0/destination /mounts/0/type /mounts/0/source /mounts/1/options/0 \
         /linux/cgroupsPath /linux/namespaces/0/type /linux/rootfsPropagation \
         /linux/maskedPaths/0 /linux/readonlyPaths/0 /linux/sysctl/kernel.msgmax \
         /process/rlimits/0/type /linux/seccomp/defaultAction /linux/personality/domain \
         /hooks/prestart/0/path /linux/devices/0/path /linux/devices/0/type \
         /linux/resources/cpu/cpus /process/capabilities/bounding/0",
    ),
    (
        "integer",
        "/process/user/uid /process/user/gid /process/user/umask /process/user/additionalGids/0 \
         /process/oomScoreAdj /process/rlimits/0/soft /process/rlimits/0/hard \
         /linux/resources/memory/limit /linux/resources/memory/swap /linux/resources/cpu/shares \
         /linux/resources/cpu/quota /linux/resources/cpu/period /linux/resources/pids/limit \
         /linux/resources/blockIO/weight /linux/devices/0/major /linux/devices/0/minor \
         /linux/devices/0/fileMode /linux/uidMappings/0/hostID /linux/gidMappings/0/size \
         /hooks/prestart/0/timeout /process/consoleSize/height",
    ),
    (
        "boolean",
        "/root/readonly /process/terminal /process/noNewPrivileges \
         /linux/resources/memory/disableOOMKiller /linux/resources/devices/0/allow",
    ),
    (
        "array",
        "/process/args /process/env /process/rlimits /process/user/additionalGids /mounts \
         /mounts/1/options /linux/namespaces /linux/devices /linux/maskedPaths \
         /linux/readonlyPaths /linux/uidMappings /linux/seccomp/syscalls \
         /process/capabilities/bounding /hooks/prestart /linux/resources/devices",
    ),
    (
        "object",
        "/root /process /process/user /process/capabilities /linux /linux/resources \
         /linux/resources/memory /linux/resources/cpu /linux/resources/pids /linux/seccomp \
         /linux/sysctl /annotations /hooks /mounts/0 /linux/namespaces/0",
    ),
];

fn wrong_types(kind: &'static str, pointer: &'static str) -> Vec<Case> {
    let values = [
        ("string", json!("suite")),
        ("integer", json!(7)),
        ("boolean", json!(true)),
        ("array", json!([])),
        ("object", json!({})),
    ];
    let others = values.into_iter().filter(move |(other, _)| *other != kind);
    others
        .map(|(other, value)| {
            let name = pointer.trim_start_matches('/').replace('/', ".");
            case(format!("robustness/{name}-is-{other}"))
                .cites("config.md:760 MUST generate an error when invalid or unsupported values")
                .cites("runtime.md:84 as if the operation were never attempted")
                .breaks(Break::Repair)
                .runs(move |c| {
                    surround(c, pointer);
                    c.set(pointer, value.clone());
                    c.write()?;
                    bad_create(c)
                })
        })
        .collect()
}
