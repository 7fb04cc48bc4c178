//! A seccomp profile, from JSON to the program the kernel loads.
#![no_main]

use hull::plan::seccomp::plan;
use hull::seccomp::compile::compile;
use hull::spec::linux::Seccomp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(profile) = serde_json::from_slice::<Seccomp>(data) else { return };
    let Ok(plan) = plan(&profile) else { return };
    if let Ok(program) = compile(&plan, &mut |_| {}) {
        assert!(!program.is_empty() && program.len() % 8 == 0, "{} bytes", program.len());
    }
});
