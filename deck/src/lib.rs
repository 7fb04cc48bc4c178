//! Deck: images, containers, networks and volumes in Docker's way, without a daemon.
//!
//! Layers, arrows downward only: [`cli`] speaks the Engine API over HTTP to [`api`], in its own
//! process or over `-H`; [`api`] translates HTTP to [`engine`], the only place with rules;
//! [`engine`] uses [`image`], [`bundle`], [`net`] and [`supervise`]; records live in [`store`].

pub mod api;
pub mod bundle;
pub mod cli;
pub mod config;
pub mod engine;
pub mod error;
pub mod image;
pub mod net;
pub mod privileges;
pub mod store;
pub mod supervise;

pub use error::{At, Error, Result};
