//! Manifests, indexes and configurations: no bytes panic, and what is taken keeps the limits.

#![no_main]

use deck::image::manifest::{DOCKER_LIST, Document, MAX_LAYERS, OCI_INDEX, OCI_MANIFEST};
use deck::image::{ImageConfig, Platform};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for claimed in [None, Some(OCI_MANIFEST), Some(OCI_INDEX), Some(DOCKER_LIST)] {
        match Document::parse(bytes, claimed) {
            Ok(Document::Manifest(manifest)) => {
                assert!(manifest.layers.len() <= MAX_LAYERS);
                let again = serde_json::to_vec(&manifest).expect("plain data");
                let again = Document::parse(&again, None);
                assert_eq!(again.ok(), Some(Document::Manifest(manifest)));
            }
            Ok(Document::Index(index)) => {
                let _ = index.choose(&Platform::host());
            }
            Err(error) => assert!(!error.message.contains('\n')),
        }
    }
    if let Ok(config) = ImageConfig::parse(bytes) {
        assert_eq!(config.chain_ids().len(), config.rootfs.diff_ids.len());
        let _ = config.created_seconds();
    }
});
