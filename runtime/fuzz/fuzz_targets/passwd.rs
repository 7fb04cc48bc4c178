//! /etc/passwd of an image.
#![no_main]

use hull::init::exec::home_in;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    for uid in [0, 1, 1000, u32::MAX] {
        if let Some(home) = home_in(&text, uid) {
            assert!(!home.is_empty() && !home.contains([':', '\n']), "{home:?}");
        }
    }
});
