//! What others measured on machines with many CPUs.

use serde::Serialize;

/// A published change of throughput, to be shown beside a forecast.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PublishedPoint {
    /// CPUs of the machine.
    pub cpus: u32,
    /// The change, as a share of the throughput before.
    pub change: f64,
    /// What the change does, in a few words.
    pub what: &'static str,
    /// The load whose throughput it is.
    pub load: &'static str,
    /// The machine.
    pub machine: &'static str,
    /// Who published it.
    pub source: &'static str,
}

/// The published points. Neither is the load or the machine that a forecast is made from.
pub const PUBLISHED: &[PublishedPoint] = &[
    PublishedPoint {
        cpus: 24,
        change: 0.15,
        what: "randomness and pids deferred",
        load: "thread create/exit",
        machine: "a 24-core VM",
        source: "Mateusz Guzik, \"[PATCH v2] exit: perform randomness and pid work without \
                 tasklist_lock\", LKML, 28 January 2025",
    },
    PublishedPoint {
        cpus: 224,
        change: 0.234,
        what: "free_pid deferred alone",
        load: "stress-ng pthread",
        machine: "a 2-socket Xeon Platinum 8480CTDX",
        source: "kernel test robot on 7903f907a226 against its parent 74198dc206: 166143 to 204943 ops/s \
                 with 224 threads",
    },
];

impl PublishedPoint {
    /// All of it but the source, in a line.
    #[must_use]
    pub fn describe(&self) -> String {
        format!(
            "{:+.1} % on {} CPUs: {}; {} on {}",
            self.change * 100.0,
            self.cpus,
            self.what,
            self.load,
            self.machine
        )
    }
}
