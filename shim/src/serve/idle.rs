//! When a shim without a container ends by itself: its start was followed by no create, because
//! containerd died in between.
//!
//! A new containerd may have found it and stay connected without knowing a task for it (containerd
//! before 1.7 keeps such shims: containerd's issue 6860), so a connection alone is no reason to live
//! on, only to wait longer. Ending, the shim has its bundle cleared away by containerd.

use std::time::Duration;

/// How often it is looked whether the shim is of use.
pub const EVERY: Duration = Duration::from_secs(60);
/// So many looks in a row find a shim of no use, before it leaves one who is connected.
const LOOKS: u32 = 3;

/// What the last looks have found.
#[derive(Debug, Default)]
pub struct Idle {
    looks: u32,
}

impl Idle {
    /// A create has come.
    pub fn is_over(&mut self) {
        self.looks = 0;
    }

    /// Looks; whether it is time to end.
    pub fn look(&mut self, of_use: bool, connected: bool) -> bool {
        self.looks = if of_use { 0 } else { self.looks + 1 };
        !of_use && (!connected || self.looks >= LOOKS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_there_and_nothing_held() {
        assert!(Idle::default().look(false, false));
        assert!(!Idle::default().look(true, false));
        assert!(!Idle::default().look(true, true));
    }

    #[test]
    fn a_connection_has_it_wait_longer() {
        let mut idle = Idle::default();
        assert_eq!([(); 3].map(|()| idle.look(false, true)), [false, false, true]);
    }

    #[test]
    fn a_container_or_a_create_begins_the_wait_anew() {
        let mut idle = Idle::default();
        idle.look(false, true);
        idle.look(false, true);
        assert!(!idle.look(true, true));
        assert!(!idle.look(false, true));
        assert!(!idle.look(false, true));
        idle.is_over();
        assert!(!idle.look(false, true));
    }
}
