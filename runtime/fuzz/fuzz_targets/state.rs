//! What is kept of a container: state.json, and the stored filter.
#![no_main]

use hull::container::{State, Status};
use hull::seccomp::Filter;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(state) = serde_json::from_slice::<State>(data) {
        let written = serde_json::to_vec(&state).expect("a state that was read can be written");
        let again: State = serde_json::from_slice(&written).expect("and read again");
        let (one, other) = (state.oci_json(Status::Running, 1), again.oci_json(Status::Running, 1));
        assert_eq!(one, other);
    }
    if let Ok(filter) = Filter::from_bytes(data) {
        assert_eq!(filter.to_bytes(), data);
    }
});
