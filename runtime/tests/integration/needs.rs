//! Which runtime is under test, and how a test says what another one lacks.
//!
//! The same tests run on the field's runtimes. A test that one of them cannot pass says so with
//! [`lacks!`] and the reason: a missing feature, or behaviour in which it differs from the
//! specification or from today's runc. hull must pass everything.

use crate::harness::runtime;
use std::process::Command;
use std::sync::OnceLock;

/// The runtimes the tests know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// hull, or a runtime nobody told the tests about: must pass everything.
    Hull,
    /// runc, with major and minor version.
    Runc(u32, u32),
    /// crun, with major and minor version.
    Crun(u32, u32),
}

/// Which runtime is under test.
pub fn kind() -> Kind {
    static KIND: OnceLock<Kind> = OnceLock::new();
    *KIND.get_or_init(|| {
        let version = Command::new(runtime()).arg("--version").output().expect("runtime");
        let text = String::from_utf8_lossy(&version.stdout).into_owned();
        let mut words = text.split_whitespace();
        let name = words.next().unwrap_or_default().to_owned();
        let number = words.find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        let mut parts = number.unwrap_or_default().split('.').map(|n| n.parse().unwrap_or(0));
        let (major, minor) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        match name.as_str() {
            "runc" => Kind::Runc(major, minor),
            "crun" => Kind::Crun(major, minor),
            _ => Kind::Hull,
        }
    })
}

/// Ends the test when the runtime under test is one that is known to lack what it asks.
macro_rules! lacks {
    ($($kind:pat => $why:expr),+ $(,)?) => {
        match crate::needs::kind() {
            $($kind => {
                crate::harness::skip($why);
                return;
            })+
            _ => {}
        }
    };
}
pub(crate) use lacks;

/// Does the runtime under test have a command? All give help to those they have.
pub fn offers(command: &str) -> bool {
    let help = Command::new(runtime()).args([command, "--help"]).output().expect("runtime");
    help.status.success()
}

/// Ends the test when the runtime under test does not have a command: those beyond the
/// specification's operations are for each runtime to offer.
macro_rules! asks_for {
    ($command:literal) => {
        if !crate::needs::offers($command) {
            return crate::harness::skip(concat!("has no command `", $command, "`"));
        }
    };
}
pub(crate) use asks_for;
