//! What is to be done later.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// Try again to publish the next event.
    Publish,
    /// The answer to an event is overdue.
    Answer(u64),
    /// Processes that outlived init have had their time.
    Rest,
    /// Look again at the counts of OOM kills.
    Oom,
    /// Output of these streams has had its time to be passed on.
    Drain(u64),
    /// A logger has had its time to end.
    KillLogger(u32),
    /// Nobody may be using this shim.
    Idle,
}

/// All timers, the next one first.
#[derive(Debug, Default)]
pub struct Timers {
    queue: BTreeMap<(Instant, u64), Timer>,
    last: u64,
}

impl Timers {
    /// Sets a timer.
    pub fn after(&mut self, delay: Duration, timer: Timer) {
        self.last += 1;
        self.queue.insert((Instant::now() + delay, self.last), timer);
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Instant> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    /// Takes one that is due.
    pub fn due(&mut self, now: Instant) -> Option<Timer> {
        self.next().filter(|at| *at <= now)?;
        self.queue.pop_first().map(|(_, timer)| timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_in_order_and_not_too_early() {
        let mut timers = Timers::default();
        timers.after(Duration::from_secs(20), Timer::Idle);
        timers.after(Duration::from_secs(10), Timer::Oom);
        timers.after(Duration::from_secs(10), Timer::Publish);
        let now = Instant::now();
        assert_eq!(timers.due(now), None);
        let later = now + Duration::from_secs(11);
        assert_eq!(timers.due(later), Some(Timer::Oom));
        assert_eq!(timers.due(later), Some(Timer::Publish));
        assert_eq!(timers.due(later), None);
    }
}
