//! What a comparison of all locks says, section by section.

use super::{
    super::content::{Column, Emphasis, Grid, Section, Topic},
    grids::{SIDES, chance, change, median, probability, range},
};
use crate::{
    compare::{
        Answers, EveryLock, Finding, LEAST_ASKED, LEVEL, LockRow, Measure, Quantity, Sampled,
    },
    recording::schema::LockFamily,
    units::{self, TimeUnit, UNKNOWN},
};

/// How many samples there are; which side is which is said once.
pub(super) fn samples(locks: &EveryLock, names: Option<[&str; 2]>) -> String {
    let word = locks.sampled.name();
    let [before, after] = locks.samples.map(|number| units::count_of(number, word));
    match names {
        Some(names) => format!(
            "Before is {} ({before}), after is {} ({after}): a {word} is one sample.",
            names[0], names[1]
        ),
        None => format!("Before: {before}. After: {after}."),
    }
}

/// The tables: by class, how often and how long, by who asked, and how sure all that is.
pub(super) fn sections(answers: &Answers, locks: &EveryLock) -> Vec<Section> {
    let unit = TimeUnit::of(answers.setting.clock);
    vec![
        classes(answers, locks, unit),
        parts(answers, locks, unit),
        callers(locks, unit),
        certainty(answers, locks),
    ]
}

/// Both sides of what is named by a text, whose end tells as much as its beginning, and by a word more.
fn grid(text: &str, word: Option<&str>) -> Grid {
    let grid = Grid::new(&[], &[]).and(text, Column::Key);
    let mut grid = word
        .into_iter()
        .fold(grid, |grid, word| grid.and(word, Column::Text));
    for number in [SIDES[0], SIDES[1], "change"] {
        grid = grid.and(number, Column::Number);
    }
    grid.and("verdict", Column::Text)
}

/// Without the column of verdicts where there is none.
fn without_empty(mut grid: Grid) -> Grid {
    let mut verdicts = grid.rows.iter().filter_map(|row| row.last());
    if verdicts.all(String::is_empty) {
        grid.columns.pop();
        for row in &mut grid.rows {
            row.pop();
        }
    }
    grid
}

fn numbers(finding: &Finding, unit: TimeUnit) -> [String; 4] {
    [
        median(&finding.before, finding, unit),
        median(&finding.after, finding, unit),
        changed(finding),
        finding.verdict.word().to_owned(),
    ]
}

/// The change; a share of nothing says nothing.
fn changed(finding: &Finding) -> String {
    let appeared = finding.before.median == Some(0.0) && finding.after.median > Some(0.0);
    if appeared {
        "new".to_owned()
    } else {
        change(finding)
    }
}

/// The numbers of a row; where there is no answer, what was seen, where it was.
fn of_row(row: &LockRow, unit: TimeUnit) -> [String; 4] {
    match &row.outcome {
        Ok(finding) => numbers(finding, unit),
        Err(_) => {
            let [before, after] = row.seen.map(|value| {
                value.map_or_else(
                    || UNKNOWN.to_owned(),
                    |value| row.quantity.format(value, unit),
                )
            });
            [before, after, UNKNOWN.to_owned(), String::new()]
        }
    }
}

/// The title of a row, then its numbers.
fn titled(title: impl Into<String>, numbers: [String; 4]) -> impl Iterator<Item = String> {
    std::iter::once(title.into()).chain(numbers)
}

fn classes(answers: &Answers, locks: &EveryLock, unit: TimeUnit) -> Section {
    let mut section = Section::new(Topic::ByClass, "Waiting by class");
    let mut grid = grid("class", None);
    for all in &answers.main {
        grid.row(titled("all locks", numbers(all, unit)));
    }
    for row in &locks.classes {
        grid.row(titled(title(&row.quantity), of_row(row, unit)));
    }
    if let Some((others, count)) = &locks.others {
        let title = match count {
            0 => "without a place".to_owned(),
            1 => "1 other class".to_owned(),
            count => format!("{} other classes", units::count(*count as u64)),
        };
        grid.row(titled(title, numbers(others, unit)));
    }
    if grid.rows.is_empty() {
        return section;
    }
    section.grid(without_empty(grid));
    section.sentence(
        format!(
            "Waited time by measured time, medians over {}s: 1 s/s is one task that waits all the time. {}",
            locks.sampled.name(),
            asked(answers, locks)
        ),
        Emphasis::Quiet,
    );
    without_answer(&mut section, &locks.classes, locks.sampled);
    let classes = locks.classes.iter().filter_map(LockRow::class);
    if classes.clone().any(|class| class.is_guessed) {
        section.sentence(
            "What is called after who asks for it is one class as far as the same function asks the most for its locks \
             each time.",
            Emphasis::Quiet,
        );
    }
    let mut families = classes.map(|class| class.family);
    if families.any(|family| family == Some(LockFamily::Spinlock)) {
        section.sentence(
            "Waits for spinlocks are lower bounds on both sides: the first waiter in line emits no event.",
            Emphasis::Quiet,
        );
    }
    section
}

/// How many classes were asked about.
fn asked(answers: &Answers, locks: &EveryLock) -> String {
    let is_asked = |finding: &Finding| finding.corrected_p.is_some();
    if !answers.main.iter().any(is_asked) {
        return "Nothing was asked about.".to_owned();
    }
    let findings = || locks.classes.iter().filter_map(LockRow::finding);
    let asked = findings().filter(|finding| is_asked(finding)).count();
    let what = match asked {
        0 => "All locks were asked about".to_owned(),
        1 => "All locks and the largest class were asked about together".to_owned(),
        asked => format!("All locks and the {asked} largest classes were asked about together"),
    };
    let large = locks.classes.iter().filter(|row| row.share >= LEAST_ASKED);
    if asked < large.filter_map(LockRow::finding).count() {
        format!(
            "{what}: so few {}s can answer no more questions at once.",
            locks.sampled.name()
        )
    } else if asked < findings().count() {
        format!(
            "{what}: of what is less than {} of all waiting there is no verdict.",
            units::percent(LEAST_ASKED)
        )
    } else {
        format!("{what}.")
    }
}

/// What was asked, and how sure the answer is.
fn certainty(answers: &Answers, locks: &EveryLock) -> Section {
    let mut section = Section::new(Topic::Sites, "How sure this is");
    let mut grid = Grid::new(&[], &[]).and("question", Column::Key);
    for number in ["change", "95 %", "p", "chance"] {
        grid = grid.and(number, Column::Number);
    }
    let all = answers.findings().filter_map(|finding| {
        let p = finding.corrected_p?;
        Some((finding, p))
    });
    for (finding, p) in all {
        let measure = match finding.quantity.measure() {
            Some(Measure::Waits) => ", waits",
            Some(Measure::Mean) => ", mean",
            _ => "",
        };
        grid.row([
            title(&finding.quantity) + measure,
            changed(finding),
            range(finding.interval),
            probability(p),
            chance(finding),
        ]);
    }
    if grid.rows.is_empty() {
        return section;
    }
    section.grid(grid);
    let word = locks.sampled.name();
    section.sentence(
        format!(
            "The change of the median over {word}s, and its 95 % bootstrap interval. p is that of the test of Mann and \
             Whitney, corrected by Holm for the questions asked together: a verdict has at most {LEVEL}, and a change \
             of at least 1 %. chance is the effect size: how likely a {word} of the second side has the larger value."
        ),
        Emphasis::Quiet,
    );
    section
}

/// Why there is no answer, reason by reason.
fn without_answer(section: &mut Section, rows: &[LockRow], sampled: Sampled) {
    let mut by_reason: Vec<(&str, Vec<String>)> = Vec::new();
    for row in rows {
        let Err(why) = &row.outcome else {
            continue;
        };
        let title = title(&row.quantity);
        match by_reason.iter_mut().find(|(reason, _)| reason == why) {
            Some((_, titles)) => titles.push(title),
            None => by_reason.push((why, vec![title])),
        }
    }
    for (why, titles) in by_reason {
        section.sentence(
            format!(
                "Not compared: {}. What stands there is the median of the {}s in which it was seen; {why}.",
                units::list(&titles),
                sampled.name()
            ),
            Emphasis::Plain,
        );
    }
}

fn title(quantity: &Quantity) -> String {
    match quantity {
        Quantity::AllLocks(_) => "all locks".to_owned(),
        Quantity::LockClass(class, _) => class.titled(),
        Quantity::LockCaller(class, caller, _) => format!("{}: {caller}", class.name),
        other => other.describe(),
    }
}

/// How often, and how long: what a change of waited time is made of.
fn parts(answers: &Answers, locks: &EveryLock, unit: TimeUnit) -> Section {
    let mut section = Section::new(Topic::ByClass, "How often, and how long");
    let mut grid = grid("class", Some(""));
    let all = answers.main.iter().map(|_| None);
    for class in all.chain(locks.classes.iter().map(LockRow::class)) {
        for (measure, what) in [(Measure::Waits, "waits"), (Measure::Mean, "mean")] {
            let quantity = class.map_or(Quantity::AllLocks(measure), |class| {
                Quantity::LockClass(class.clone(), measure)
            });
            let mut parts = locks.parts.iter();
            if let Some(part) = parts.find(|part| part.quantity == quantity) {
                let titles = [title(&quantity), what.to_owned()];
                grid.row(titles.into_iter().chain(numbers(part, unit)));
            }
        }
    }
    if !grid.rows.is_empty() {
        section.grid(without_empty(grid));
        section.sentence(
            format!(
                "Waits by measured time, and the mean of those that have a length, where every {} has enough of them. \
                 Asked about where the waited time changed.",
                locks.sampled.name()
            ),
            Emphasis::Quiet,
        );
    }
    section
}

fn callers(locks: &EveryLock, unit: TimeUnit) -> Section {
    let mut section = Section::new(Topic::ByCaller, "Waiting by who asked");
    let mut grid = grid("class: asked for by", None);
    for row in &locks.callers {
        grid.row(titled(title(&row.quantity), of_row(row, unit)));
    }
    if grid.rows.is_empty() {
        return section;
    }
    section.grid(without_empty(grid));
    section.sentence(
        "The callers with most waiting, in the same numbers. Asked about where that for their class changed.",
        Emphasis::Quiet,
    );
    without_answer(&mut section, &locks.callers, locks.sampled);
    section
}
