//! What one setting of a comparison says, section by section.

use super::{
    super::content::{Column, Emphasis, Grid, Section, Topic},
    every_lock,
    grids::{SIDES, chance, change, pair, probability, range, shift, sides_and_change},
};
use crate::{
    compare::{
        Answers, Calls, Comparison, DistributionPair, EveryLock, Finding, LEVEL, Placement,
        Quantity, SettingComparison, robot, signed_percent,
    },
    recording::schema::{Clock, Kind},
    units::{self, TimeUnit},
    work_unit::WorkUnit,
};

/// Other locks in the table.
const LOCK_ROWS: usize = 8;
/// Pairs of blame in the table.
const BLAME_ROWS: usize = 10;

/// What one setting shows, section by section. Those with nothing to say have no blocks.
pub(super) struct SettingSections {
    /// How it was measured, and the table that kernel lists know.
    pub(super) head: Section,
    pub(super) verdicts: Section,
    pub(super) placements: Section,
    pub(super) anatomy: Section,
    pub(super) locks: Section,
    pub(super) blame: Section,
    pub(super) quantiles: Section,
    /// All locks, where these were recorded: then there is nothing of the others.
    pub(super) every_lock: Vec<Section>,
}

impl SettingSections {
    pub(super) fn of(comparison: &Comparison, setting: &SettingComparison) -> Self {
        let answers = &setting.answers;
        let unit = TimeUnit::of(answers.setting.clock);
        let names = [&comparison.before, &comparison.after].map(|side| side.name.as_str());
        let is_first = comparison
            .settings
            .first()
            .is_some_and(|first| first.answers.setting == answers.setting);
        if let Some(locks) = &answers.every_lock {
            return Self::of_all_locks(answers, locks, is_first.then_some(names));
        }
        Self {
            head: head(answers, unit, names, is_first),
            verdicts: verdicts(answers),
            placements: placements(&setting.placements, answers.setting.unit),
            anatomy: anatomy(answers, unit),
            locks: other_locks(answers, unit),
            blame: blame(answers, unit),
            quantiles: quantiles(&setting.distributions, unit, answers.null_holds_known),
            every_lock: Vec::new(),
        }
    }

    fn of_all_locks(answers: &Answers, locks: &EveryLock, names: Option<[&str; 2]>) -> Self {
        let mut head = Section::new(Topic::About, String::new());
        head.sentence(every_lock::samples(locks, names), Emphasis::Plain);
        head.sentence(clock(answers.setting.clock), Emphasis::Quiet);
        let nothing = |topic| Section::new(topic, String::new());
        Self {
            head,
            verdicts: nothing(Topic::Sites),
            placements: nothing(Topic::Spans),
            anatomy: nothing(Topic::Spans),
            locks: nothing(Topic::Locks),
            blame: nothing(Topic::Blame),
            quantiles: nothing(Topic::Sites),
            every_lock: every_lock::sections(answers, locks),
        }
    }

    pub(super) fn in_order(self) -> Vec<Section> {
        let Self {
            head,
            verdicts,
            placements,
            anatomy,
            locks,
            blame,
            quantiles,
            every_lock,
        } = self;
        let of_one_lock = [verdicts, placements, anatomy, locks, blame, quantiles];
        let sections = std::iter::once(head).chain(every_lock);
        sections.chain(of_one_lock).collect()
    }
}

fn head(answers: &Answers, unit: TimeUnit, names: [&str; 2], is_first: bool) -> Section {
    let mut head = Section::new(Topic::About, String::new());
    head.sentence(boots(answers, is_first.then_some(names)), Emphasis::Plain);
    if let Some([before, after]) = answers.throughput_left() {
        head.sentence(
            format!(
                "With {} attached the load has {} of its throughput before, and {} after: \
                 medians of the same boots.",
                if answers.instruments.holds.is_some() {
                    "holds"
                } else {
                    "the probes of waits alone"
                },
                units::percent(before),
                units::percent(after)
            ),
            Emphasis::Plain,
        );
    }
    head.sentence(clock(answers.setting.clock), Emphasis::Quiet);
    head.preformatted(robot::table(names, answers));
    head.sentence(
        format!(
            "Values are means over boots, in {}; those of holds are {}, those of \
             waits by {}. Beside the change: + better, ! worse, = the same within 1 %, \
             ~ too noisy to tell, ? too few boots; nothing where it was not asked: the question \
             above it was not answered by yes, or calls have left it, and their probes with them.",
            match unit {
                TimeUnit::Nanoseconds => "ns",
                TimeUnit::Instructions => "guest instructions",
            },
            if answers.null_holds_known {
                "less the null hold"
            } else {
                "as reported, with what the probes add, which is not known"
            },
            answers.setting.unit.several(),
        ),
        Emphasis::Quiet,
    );
    head
}

/// How many samples there are; which kernel is which is said once.
fn boots(answers: &Answers, names: Option<[&str; 2]>) -> String {
    let [before, after] = answers.boots.map(|boots| units::count_of(boots, "boot"));
    let mut text = match names {
        Some(names) => format!(
            "Before is {} ({before}), after is {} ({after}): a boot is one sample.",
            names[0], names[1]
        ),
        None => format!("Before: {before}. After: {after}."),
    };
    let instruments = answers.instruments;
    let waits_alone = instruments.probed.filter(|probed| !probed.sees_holds());
    let of = [
        (instruments.bare, "throughput"),
        (instruments.holds, "holds and waits"),
        (waits_alone, "holds: not measured; waits"),
        (instruments.spans, "spans"),
    ];
    for (instrument, what) in of {
        if let Some(instrument) = instrument {
            text += &format!(" {}: {}.", units::capital(what), instrument.describe());
        }
    }
    text
}

const fn clock(clock: Clock) -> &'static str {
    match clock {
        Clock::Hardware => "Times are those of the machines that recorded them.",
        Clock::EmulatedWall => {
            "Times of an emulated machine, with real contention: for comparing, not those of \
             hardware."
        }
        Clock::Instructions => {
            "Guest instructions on one CPU of an emulated machine: they repeat, know no waits, and \
             are not times."
        }
    }
}

/// What was asked, and how sure the answer is.
fn verdicts(answers: &Answers) -> Section {
    let mut section = Section::new(Topic::Sites, "How sure this is");
    let asked = answers
        .findings()
        .filter(|finding| finding.corrected_p.is_some());
    let mut grid = Grid::new(&[], &[]).and("question", Column::Key);
    for number in ["change", "95 %", "p", "chance"] {
        grid = grid.and(number, Column::Number);
    }
    let mut grid = grid.and("verdict", Column::Text);
    for finding in asked {
        grid.row([
            finding.quantity.key(answers.setting.unit),
            change(finding),
            range(finding.interval),
            finding.corrected_p.map_or_else(String::new, probability),
            chance(finding),
            finding.verdict.word().to_owned(),
        ]);
    }
    if grid.rows.is_empty() {
        return section;
    }
    section.grid(grid);
    section.sentence(
        format!(
            "The change of the median over boots, and its 95 % bootstrap interval. p is that of \
             the test of Mann and Whitney, corrected by Holm for the questions asked together: a \
             verdict has at most {LEVEL}, and a change of at least 1 %. chance is the effect size: \
             how likely a boot of the second kernel has the larger value."
        ),
        Emphasis::Quiet,
    );
    section
}

/// Which calls happen inside a hold.
fn placements(placements: &[Placement], unit: WorkUnit) -> Section {
    let mut section = Section::new(Topic::Spans, "Which calls happen inside a hold");
    let mut grid = Grid::new(&["call"], &SIDES);
    for placement in placements {
        let cells = placement.calls.map(|calls| in_hold(calls, unit));
        grid.row(std::iter::once(placement.span.name().to_owned()).chain(cells));
    }
    if !grid.rows.is_empty() {
        section.grid(grid);
        section.sentence(
            match unit {
                WorkUnit::TaskLife => {
                    "The share of all its calls that happen inside a hold of the lock, and how many of \
                     those a task life has."
                }
                WorkUnit::Iteration | WorkUnit::Second => {
                    "The share of all its calls that happen inside a hold of the lock, and how many of \
                     those there are."
                }
            },
            Emphasis::Quiet,
        );
    }
    section
}

fn in_hold(calls: Calls, unit: WorkUnit) -> String {
    match (calls.share(), calls.in_hold_per_unit()) {
        (Some(share), Some(rate)) => {
            format!("{} ({rate:.2} {})", units::percent(share), unit.one())
        }
        (Some(share), None) => units::percent(share),
        _ if !calls.probed => "not measured".to_owned(),
        (None, _) if calls.all > 0.0 => "no hold was seen".to_owned(),
        (None, _) => "no call was seen".to_owned(),
    }
}

/// What the holds are spent on, before and after.
fn anatomy(answers: &Answers, unit: TimeUnit) -> Section {
    let mut section = Section::new(Topic::Spans, "What the holds are spent on");
    let mut grid = sides_and_change(&["site", "part"]);
    for finding in &answers.parts {
        let (site, part) = match &finding.quantity {
            Quantity::SpanInHold(site, span) => (site, span.name().to_owned()),
            Quantity::OwnWork(site) => (site, "the rest".to_owned()),
            Quantity::InnerWait(site, lock) => (site, format!("waiting for {lock}")),
            _ => continue,
        };
        grid.row(pair(vec![site.name().to_owned(), part], finding, unit));
    }
    if !grid.rows.is_empty() {
        section.grid(grid);
        section.sentence(
            "Own time by holds, medians over boots, with all calls probed: a call's own time has a \
             part of what probing it costs, and what is around it has the other, so that it \
             shrinks too when a call leaves it. The rest is less the null hold.",
            Emphasis::Quiet,
        );
    }
    section
}

/// Where the work went: waits for other locks.
fn other_locks(answers: &Answers, unit: TimeUnit) -> Section {
    let mut section = Section::new(Topic::Locks, "Where the work went: waiting for other locks");
    // Where nobody looked, nothing was not seen.
    if answers.instruments.waits.is_none() {
        return section;
    }
    let mut others: Vec<&Finding> = answers.locks.iter().collect();
    others.sort_by(|a, b| shift(b).total_cmp(&shift(a)));
    let mut grid = sides_and_change(&["lock"]);
    let shown = others.into_iter().take(LOCK_ROWS);
    for finding in answers.called_locks.iter().chain(shown) {
        if let Quantity::OtherLock(lock) = &finding.quantity {
            grid.row(pair(vec![lock.clone()], finding, unit));
        }
    }
    if grid.rows.is_empty() {
        let none = "No wait for another lock was seen on either side";
        section.sentence(
            if answers.waits_proved {
                format!("{none}; their probes see those that sleep and those for rwlocks.")
            } else {
                format!("{none}, and not all boots prove that their probes would have seen one.")
            },
            Emphasis::Plain,
        );
    } else {
        section.grid(grid);
        let order = if answers.called_locks.is_empty() {
            "The largest differences: for those there is no verdict."
        } else {
            "First those of calls that take a lock for themselves, then the largest differences: for those \
             there is no verdict."
        };
        section.sentence(format!("{} {order}", waited_by(answers)), Emphasis::Quiet);
    }
    section
}

/// What waits are divided by.
fn waited_by(answers: &Answers) -> String {
    let unit = answers.setting.unit.several();
    format!("Waited time by {unit}, medians over boots.")
}

/// Who waits behind whom, before and after.
fn blame(answers: &Answers, unit: TimeUnit) -> Section {
    let mut section = Section::new(Topic::Blame, "Who waits behind whom");
    let mut pairs: Vec<&Finding> = answers.blame.iter().collect();
    pairs.sort_by(|a, b| shift(b).total_cmp(&shift(a)));
    let mut grid = sides_and_change(&["waiter", "behind the holds of"]);
    let rest = pairs.len().saturating_sub(BLAME_ROWS);
    for finding in pairs.into_iter().take(BLAME_ROWS) {
        if let Quantity::Blame(waiter, holder) = finding.quantity {
            let holder = crate::compare::holder_name(holder);
            let texts = vec![waiter.name().to_owned(), holder.to_owned()];
            grid.row(pair(texts, finding, unit));
        }
    }
    if !grid.rows.is_empty() {
        section.grid(grid);
        let mut note = waited_by(answers);
        if rest > 0 {
            note += &format!(
                " {} with a smaller difference: the JSON has all.",
                units::count_of(rest, "more pair")
            );
        }
        section.sentence(note, Emphasis::Quiet);
    }
    section
}

/// The quantiles in the table; the picture and the JSON have more.
const QUANTILES: [f64; 4] = [0.1, 0.5, 0.9, 0.99];

/// Distributions, quantile by quantile.
fn quantiles(pairs: &[DistributionPair], unit: TimeUnit, null_holds_known: bool) -> Section {
    let mut section = Section::new(Topic::Sites, "Quantile by quantile");
    let mut grid = Grid::new(&[], &[]).and("quantile", Column::Key);
    for number in [SIDES[0], SIDES[1], "change", "95 %"] {
        grid = grid.and(number, Column::Number);
    }
    for pair in pairs {
        let kind = match pair.kind {
            Kind::Hold => "hold",
            Kind::Wait => "wait",
        };
        let shown = pair.quantiles.iter();
        for quantile in shown.filter(|quantile| QUANTILES.contains(&quantile.share)) {
            grid.row([
                format!("{} {kind} p{:.0}", pair.site.name(), quantile.share * 100.0),
                unit.format(quantile.ns[0]),
                unit.format(quantile.ns[1]),
                signed_percent(quantile.change),
                range(quantile.interval),
            ]);
        }
    }
    if !grid.rows.is_empty() {
        section.grid(grid);
        section.sentence(
            format!(
                "As they were measured{}; each within {} of the exact one. Intervals, and no verdicts.",
                if null_holds_known {
                    ", null hold included"
                } else {
                    ""
                },
                units::percent(lockprof_abi::RELATIVE_ERROR)
            ),
            Emphasis::Quiet,
        );
    }
    section
}
