//! The `hull` command.
#![no_main]
#![allow(unsafe_code, reason = "the symbol the C library calls")]

use hull::sys::{alloc::Arena, entry};
use std::ffi::{c_char, c_int};

#[global_allocator]
static ALLOCATOR: Arena = Arena::new();

/// Called by the C library; see [`entry`] for why it is not Rust's own `main`.
#[unsafe(no_mangle)]
extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // SAFETY: the C library's own arguments.
    unsafe { entry::prepare(argc, argv) };
    entry::exit(hull::cli::main())
}
