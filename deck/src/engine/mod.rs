//! The rules: containers, execs, volumes, events, logs, restarts, health.
