//! Finds the archive of libseccomp for static builds; dynamic builds need nothing from here.
//!
//! The `libseccomp-sys` crate asks the linker for `-lseccomp`. In a static link the linker takes
//! the first `libseccomp.a` on its search path. The directory distributions keep it in also holds
//! glibc's `libc.a`, which must not end up in a musl binary, so a copy of the archive alone is put
//! into a directory of its own.

use std::env;
use std::path::PathBuf;

/// Overrides the search; `libseccomp-sys` honours the same variable.
const LIB_PATH: &str = "LIBSECCOMP_LIB_PATH";

/// Puts the functions side by side that commands go through; `make order` records it.
const ORDER: &str = "order.ld";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={ORDER}");
    println!("cargo::rerun-if-env-changed={LIB_PATH}");
    let features = env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    if !features.split(',').any(|feature| feature == "crt-static") {
        return;
    }
    let candidates = candidates();
    let Some(archive) = candidates.iter().find(|path| path.is_file()) else {
        println!(
            "cargo::error=a static build needs libseccomp.a (Debian: libseccomp-dev, Fedora and \
             Alpine: libseccomp-static); {LIB_PATH} may name its directory; looked for {candidates:?}"
        );
        return;
    };
    println!("cargo::rerun-if-changed={}", archive.display());
    let directory = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    if let Err(error) = std::fs::copy(archive, directory.join("libseccomp.a")) {
        println!("cargo::error=copying {}: {error}", archive.display());
        return;
    }
    println!("cargo::rustc-link-search=native={}", directory.display());
    // The archive comes after the C library on the command line and a linker does not look back, so
    // the library is named again; as an archive, for rustc has asked for shared ones by then.
    println!("cargo::rustc-link-arg=-Wl,-Bstatic");
    println!("cargo::rustc-link-arg=-lc");
    let order = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join(ORDER);
    println!("cargo::rustc-link-arg-bin=hull=-Wl,-T,{}", order.display());
}

/// Where the archive may be, best first.
fn candidates() -> Vec<PathBuf> {
    if let Some(directory) = env::var_os(LIB_PATH) {
        return vec![PathBuf::from(directory).join("libseccomp.a")];
    }
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    // Debian's multiarch directories, then where the others keep libraries of the host's arch.
    let mut directories =
        vec![format!("/usr/lib/{arch}-linux-musl"), format!("/usr/lib/{arch}-linux-gnu")];
    if env::var("HOST").is_ok_and(|host| host.starts_with(&format!("{arch}-"))) {
        directories.extend(["/usr/lib64", "/usr/lib", "/usr/local/lib"].map(String::from));
    }
    directories.into_iter().map(|directory| PathBuf::from(directory).join("libseccomp.a")).collect()
}
