//! The command line: one file a command; each speaks the Engine API.
