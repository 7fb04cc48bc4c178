//! Names of images: no text panics, and what is accepted reads back the same.

#![no_main]

use deck::image::{Platform, Reference};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = text.parse::<Platform>();
    let Ok(reference) = text.parse::<Reference>() else { return };
    assert_eq!(reference.to_string().parse().ok().as_ref(), Some(&reference));
    assert_eq!(reference.familiar().parse().ok().as_ref(), Some(&reference));
    assert!(!reference.repository.split('/').any(|part| part == ".." || part.is_empty()));
    let latest = reference.or_latest();
    assert!(latest.tag.is_some() || latest.digest.is_some());
});
