//! References, registries, archives, the blob store, layers and snapshots.
