//! The terminal: is there one, how large is it, raw mode, detach keys.

pub mod keys;

use crate::{At, Result};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use std::io::{self, IsTerminal};

/// Is standard input a terminal?
pub fn stdin_is() -> bool {
    io::stdin().is_terminal()
}

/// Is standard output a terminal?
pub fn stdout_is() -> bool {
    io::stdout().is_terminal()
}

/// May output be coloured and redrawn? <https://no-color.org>
pub fn colours() -> bool {
    stdout_is() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Rows and columns of the terminal on standard output.
pub fn size() -> Option<(u16, u16)> {
    console::Term::stdout().size_checked()
}

/// Standard input in raw mode until this is dropped.
pub struct Raw(Termios);

impl Raw {
    /// Switches to raw mode.
    ///
    /// # Errors
    /// Standard input is no terminal.
    pub fn new() -> Result<Self> {
        let before = tcgetattr(io::stdin()).at(|| "read the terminal's mode")?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(io::stdin(), SetArg::TCSADRAIN, &raw).at(|| "set the terminal's mode")?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing is left to do about a terminal that is gone.
        let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &self.0);
    }
}

/// Standard input without echo until this is dropped: for passwords.
pub struct Hidden(Termios);

impl Hidden {
    /// Turns the echo off.
    ///
    /// # Errors
    /// Standard input is no terminal.
    pub fn new() -> Result<Self> {
        let before = tcgetattr(io::stdin()).at(|| "read the terminal's mode")?;
        let mut silent = before.clone();
        silent.local_flags.remove(nix::sys::termios::LocalFlags::ECHO);
        tcsetattr(io::stdin(), SetArg::TCSADRAIN, &silent).at(|| "set the terminal's mode")?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Nothing is left to do about a terminal that is gone.
        let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &self.0);
    }
}
