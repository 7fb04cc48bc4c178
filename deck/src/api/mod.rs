//! The Docker Engine API over HTTP: routes, streams, models; no rules of its own.
