//! What came out of the questions in one setting.

use super::{
    EveryLock, Finding, Instruments, Quantity, Sample, Sampled, Setting, every_lock::Answered,
};

/// What was asked of two kernels in one setting.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Where.
    pub setting: Setting,
    /// Boots of both sides.
    pub boots: [usize; 2],
    /// By which instruments.
    pub instruments: Instruments,
    /// Whether all boots in which waits are compared prove that their probes see them.
    pub waits_proved: bool,
    /// Whether all boots in which holds are compared have a null hold, which is taken off.
    pub null_holds_known: bool,
    /// The main questions: throughput, the mean hold, waiting.
    pub main: Vec<Finding>,
    /// Holds by site.
    pub holds: Vec<Finding>,
    /// What the holds of the sites are spent on.
    pub parts: Vec<Finding>,
    /// Waits by site.
    pub waits: Vec<Finding>,
    /// Who waits behind whom.
    pub blame: Vec<Finding>,
    /// Waits for the locks that calls inside the holds take for themselves.
    pub called_locks: Vec<Finding>,
    /// Waits for other locks: for these there is no verdict.
    pub locks: Vec<Finding>,
    /// What the profiler itself does to the throughput: no verdict either.
    pub profiled: Vec<Finding>,
    /// All locks by class and caller, where that was recorded: then there is nothing of the others, but what is main.
    pub every_lock: Option<EveryLock>,
}

impl Answers {
    /// Those about all locks.
    pub(super) fn of_all_locks(answered: Answered) -> Self {
        Self {
            setting: answered.setting,
            boots: answered.boots,
            instruments: Instruments {
                probed: Some(answered.instrument),
                waits: Some(answered.instrument),
                ..Instruments::default()
            },
            // Of each kind it is said where it matters.
            waits_proved: false,
            null_holds_known: false,
            main: answered.all.into_iter().collect(),
            holds: Vec::new(),
            parts: Vec::new(),
            waits: Vec::new(),
            blame: Vec::new(),
            called_locks: Vec::new(),
            locks: Vec::new(),
            profiled: Vec::new(),
            every_lock: Some(answered.locks),
        }
    }

    /// All of them: first the main ones.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.main
            .iter()
            .chain(&self.holds)
            .chain(&self.parts)
            .chain(&self.waits)
            .chain(&self.blame)
            .chain(&self.called_locks)
            .chain(&self.locks)
            .chain(&self.profiled)
            .chain(self.every_lock.iter().flat_map(EveryLock::findings))
    }

    /// What the profiler itself does to the load, from the same boots: on both sides the throughput with
    /// probes attached, as a share of that with nothing attached.
    #[must_use]
    pub fn throughput_left(&self) -> Option<[f64; 2]> {
        let profiled = self.finding(&Quantity::ProfiledThroughput)?;
        let bare = self.finding(&Quantity::Throughput);
        let work = self.finding(&Quantity::Work);
        let left = |side: fn(&Finding) -> &Sample| {
            let bare = match (bare, work) {
                (Some(bare), _) => side(bare).median?,
                // Nanoseconds of an iteration to iterations of a second.
                (None, Some(work)) => 1e9 / side(work).median?,
                (None, None) => return None,
            };
            (bare > 0.0).then_some(side(profiled).median? / bare)
        };
        Some([
            left(|finding| &finding.before)?,
            left(|finding| &finding.after)?,
        ])
    }

    /// What a sample is.
    #[must_use]
    pub fn sampled(&self) -> Sampled {
        let locks = self.every_lock.as_ref();
        locks.map_or(Sampled::Boot, |locks| locks.sampled)
    }

    /// The answer to one question.
    #[must_use]
    pub fn finding(&self, quantity: &Quantity) -> Option<&Finding> {
        self.findings()
            .find(|finding| finding.quantity == *quantity)
    }
}
