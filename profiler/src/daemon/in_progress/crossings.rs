//! Waits that go on when their window ends: the programs count none of them, whenever they end.

use std::collections::HashMap;

use super::sleepers::{Sleep, Sleeper};
use crate::recording::schema::{CutWaits, OpenEvent};

/// Sleeping waits that are followed at once, and ended ones that are listed.
const MOST: usize = 32;

/// A wait that went on when its window ended.
#[derive(Clone, Debug)]
struct Crossing {
    /// Its length is that until it was last seen.
    event: OpenEvent,
    began_ns: u64,
    /// It goes on as long as its task does not run.
    sleep: Sleep,
}

/// Those that go on, and what is known of those that have ended.
#[derive(Debug, Default)]
pub struct Crossings {
    /// By thread.
    open: HashMap<u32, Crossing>,
    ended: CutWaits,
}

impl Crossings {
    /// Notes a wait that went on when its window ended, with its length so far; `began_ns` by CLOCK_MONOTONIC.
    pub fn begin(&mut self, mut event: OpenEvent, began_ns: u64) {
        let sleep = match event.pid {
            Some(pid) if event.cpu.is_none() && self.open.len() < MOST => Sleep::of(pid),
            _ => None,
        };
        let (Some(pid), Some((sleep, comm))) = (event.pid, sleep) else {
            return self.ended.add(event);
        };
        event.comm = Some(comm);
        let before = self.open.insert(
            pid,
            Crossing {
                event,
                began_ns,
                sleep,
            },
        );
        self.ended.extend(before.map(|crossing| crossing.event));
    }

    /// Looks who goes on: whoever has run since the last look has waited until then at the least.
    pub fn look(&mut self, now_ns: u64) {
        self.look_with(now_ns, |pid| Sleep::of(pid).map(|(sleep, _)| sleep));
    }

    fn look_with(&mut self, now_ns: u64, sleep: impl Fn(u32) -> Option<Sleep>) {
        let gone = self.open.extract_if(|&pid, crossing| {
            let goes_on = sleep(pid) == Some(crossing.sleep);
            if goes_on {
                crossing.event.at_least_ns = now_ns.saturating_sub(crossing.began_ns);
            }
            !goes_on
        });
        self.ended.extend(gone.map(|(_, crossing)| crossing.event));
    }

    /// Adds one of which no event told, by the looks at its task.
    pub fn add_unseen(&mut self, pid: u32, sleeper: &Sleeper) {
        // The same sleep, of which an event tells more.
        if !self.open.contains_key(&pid) {
            self.ended.add(sleeper.event(pid, sleeper.last_seen_ns()));
        }
    }

    /// Those that still go on, by thread, and what is known of the others.
    pub fn finish(mut self, now_ns: u64) -> (HashMap<u32, OpenEvent>, CutWaits) {
        self.look(now_ns);
        let open = self.open.into_iter();
        let open = open.map(|(pid, crossing)| (pid, crossing.event)).collect();
        self.ended
            .longest
            .sort_by_key(|event| std::cmp::Reverse(event.at_least_ns));
        self.ended.longest.truncate(MOST);
        (open, self.ended)
    }
}

impl CutWaits {
    fn add(&mut self, event: OpenEvent) {
        self.waits += 1;
        self.at_least_ns = self.at_least_ns.saturating_add(event.at_least_ns);
        self.longest.push(event);
        if self.longest.len() >= 2 * MOST {
            self.longest
                .sort_by_key(|event| std::cmp::Reverse(event.at_least_ns));
            self.longest.truncate(MOST);
        }
    }

    fn extend(&mut self, events: impl IntoIterator<Item = OpenEvent>) {
        events.into_iter().for_each(|event| self.add(event));
    }
}

#[cfg(test)]
mod tests {
    use super::{super::without_event, *};

    fn crossing(began_ns: u64, switches: u64) -> Crossing {
        Crossing {
            event: without_event(0, 10),
            began_ns,
            sleep: Sleep::example(switches),
        }
    }

    #[test]
    fn a_wait_goes_on_as_long_as_its_task_does_not_run() {
        let mut crossings = Crossings::default();
        crossings.open.insert(1, crossing(100, 7));
        crossings.open.insert(2, crossing(200, 7));
        let sleeps =
            |switches: [u64; 2]| move |pid: u32| Some(Sleep::example(switches[pid as usize - 1]));
        crossings.look_with(1000, sleeps([7, 7]));
        crossings.look_with(2000, sleeps([7, 8]));
        assert_eq!(crossings.open[&1].event.at_least_ns, 1900);
        // The other one has run: it had waited until the look before at the least.
        assert_eq!(
            (crossings.ended.waits, crossings.ended.at_least_ns),
            (1, 800)
        );
        crossings.look_with(3000, |_| None);
        let (open, ended) = crossings.finish(4000);
        assert!(open.is_empty());
        assert_eq!((ended.waits, ended.at_least_ns), (2, 800 + 1900));
        assert_eq!(ended.longest[0].at_least_ns, 1900);
    }

    #[test]
    fn all_are_counted_and_the_longest_are_listed() {
        let mut ended = CutWaits::default();
        ended.extend((0..1000).map(|ns| without_event(0, ns)));
        assert_eq!((ended.waits, ended.at_least_ns), (1000, 499_500));
        assert!(ended.longest.iter().any(|event| event.at_least_ns == 999));
        assert!(ended.longest.len() < 2 * MOST);
    }
}
