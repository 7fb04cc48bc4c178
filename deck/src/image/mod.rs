//! References, registries, archives, the blob store, layers and snapshots.
//!
//! [`Images`] is the door: cheap to clone, used from a current-thread tokio runtime. Long work runs
//! on blocking threads; dropping a future ends it at the next step and leaves the store consistent.

pub mod apply;
mod archive;
mod commit;
pub mod config;
mod copy;
pub mod decompress;
pub mod digest;
mod fetch;
mod images;
mod import;
mod ingest;
mod layers;
mod layout;
mod load;
pub mod manifest;
pub mod pack;
pub mod platform;
pub mod progress;
mod pull;
mod push;
mod query;
pub mod reference;
mod registry;
mod remove;
mod snapshot;
mod store;
pub mod types;

pub use config::{History, ImageConfig, RunConfig};
pub use digest::Digest;
pub use images::Images;
pub use platform::Platform;
pub use progress::{Progress, Sink};
pub use reference::Reference;
pub use registry::credentials;
pub use snapshot::{Change, ChangeKind, Mount, SnapshotOptions, Snapshots};
pub use types::{
    Auth, Commit, Deleted, Filter, HistoryEntry, Image, Import, Pruned, SearchResult, Usage,
};
