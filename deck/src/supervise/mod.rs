//! The shim that supervises a container: starting it, its ttrpc calls, its stdio.
