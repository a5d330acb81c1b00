//! What a forecast says.

use super::{Column, Emphasis, Grid, Section, Topic};
use crate::{
    forecast::{
        BUSY, CurvePoint, Demand, Estimate, Forecast, Interval, KernelForecast, LockForecast,
        MOST_CPUS, TABLE_CPUS,
    },
    units,
    work_unit::WorkUnit,
};

/// The machine of the sentence, which has as many CPUs as the first published one.
const SENTENCE_CPUS: u32 = 24;

/// A forecast's numbers, its locks, and what both stand on.
pub(in super::super) fn forecast(forecast: &Forecast) -> Vec<Section> {
    let mut sections = vec![rounds(forecast)];
    let kernels = forecast.kernels.iter();
    sections.extend(kernels.map(|kernel| locks(kernel, forecast)));
    sections.extend(observer(forecast));
    sections.push(basis(forecast));
    sections
}

/// Work against CPUs: each kernel beside the first one.
fn rounds(forecast: &Forecast) -> Section {
    let mut section = Section::new(
        Topic::Forecast,
        format!("Forecast: {} against CPUs", forecast.unit.several()),
    );
    section.sentence(forecast.label, Emphasis::Plain);
    let Some((first, others)) = forecast.kernels.split_first() else {
        return section;
    };
    for other in others {
        if let Some(change) = at(other, SENTENCE_CPUS).and_then(|point| point.change) {
            let interval = change.interval.map(|range| format!(" ({})", shares(range)));
            let text = format!(
                "On {SENTENCE_CPUS} CPUs the model gives {} {} {} than {}{}.",
                other.name,
                more_or_fewer(change.point),
                forecast.unit.several(),
                first.name,
                interval.unwrap_or_else(|| ": too few boots for an interval".to_owned()),
            );
            section.sentence(text, Emphasis::Plain);
        }
    }
    let unit = format!(
        "{} per second, in those of {} on one CPU: an instruction is no time.",
        units::capital(forecast.unit.again()),
        first.name
    );
    section.sentence(unit, Emphasis::Quiet);
    if others.is_empty() {
        section.grid(grid(&[&first.name, "interval"], |cpus| {
            let point = at(first, cpus)?;
            let interval = point.rounds.interval;
            Some(vec![
                number(point.rounds.point),
                or_too_few(interval.map(numbers)),
            ])
        }));
    }
    for other in others {
        section.grid(grid(
            &[&first.name, &other.name, "change", "interval"],
            |cpus| {
                let (before, after) = (at(first, cpus)?, at(other, cpus)?);
                let change = after.change?;
                Some(vec![
                    number(before.rounds.point),
                    number(after.rounds.point),
                    share(change.point),
                    or_too_few(change.interval.map(shares)),
                ])
            },
        ));
    }
    section
}

/// Rows by number of CPUs.
fn grid(headers: &[&str], cells: impl Fn(u32) -> Option<Vec<String>>) -> Grid {
    let all: Vec<&str> = std::iter::once("CPUs")
        .chain(headers.iter().copied())
        .collect();
    let mut grid = Grid::new(&[], &all);
    for &cpus in TABLE_CPUS {
        if let Some(cells) = cells(cpus) {
            grid.row(std::iter::once(cpus.to_string()).chain(cells));
        }
    }
    grid
}

/// Where the locks of a kernel saturate.
fn locks(kernel: &KernelForecast, forecast: &Forecast) -> Section {
    let one = forecast.unit.one();
    let mut section = Section::new(
        Topic::Forecast,
        format!("Forecast: the locks of {}", kernel.name),
    );
    let mut grid = Grid::new(&[], &[])
        .and("lock", Column::Key)
        .and(&format!("insn {one}"), Column::Number)
        .and("saturates at", Column::Number)
        .and(&format!("{:.0} % in use at", BUSY * 100.0), Column::Number);
    for lock in &kernel.locks {
        let [knee, busy] = forecast_cells(lock);
        grid.row([lock.name.clone(), demand(lock.demand), knee, busy]);
    }
    for lock in &forecast.unknown {
        let nobody_knows = units::UNKNOWN.to_owned();
        grid.row([
            lock.clone(),
            "unknown".to_owned(),
            nobody_knows.clone(),
            nobody_knows,
        ]);
    }
    section.sentence(
        format!(
            "What {one} asks of it; the CPUs that could keep it in use all the time; those at which the model has it \
             in use most of the time."
        ),
        Emphasis::Quiet,
    );
    section.grid(grid);
    if let Some(first) = kernel.locks.first() {
        section.sentence(limit(kernel, first, forecast.unit), Emphasis::Plain);
    }
    section.sentence(left_open(forecast), Emphasis::Plain);
    section
}

/// What locks of unknown demand leave open.
fn left_open(forecast: &Forecast) -> String {
    let open = "where one of them is in use all the time first, there is less than this";
    if forecast.unknown.is_empty() {
        format!(
            "Of other locks the demand is unknown, for their holds were not followed, and no wait for one was seen; on one CPU \
             none can be: {open}."
        )
    } else {
        format!(
            "Where the demand is unknown somebody was seen to wait, and holds were not followed: {open}."
        )
    }
}

fn limit(kernel: &KernelForecast, first: &LockForecast, unit: WorkUnit) -> String {
    let mut text = format!(
        "{} limits it: however many CPUs there are, it has no more {} than {} CPUs that never wait.",
        first.name,
        unit.again(),
        cpus_text(first.knee_cpus.point),
    );
    if let Some(next) = &kernel.next_limit {
        text += &format!(
            " Relieved of it, {} would limit next, at {} CPUs.",
            next.lock,
            cpus_text(next.knee_cpus)
        );
    }
    text
}

/// What the probes themselves would leave, where a round with them was measured.
fn observer(forecast: &Forecast) -> Option<Section> {
    let measured = forecast.kernels.iter();
    let measured: Vec<&KernelForecast> = measured
        .filter(|kernel| !kernel.observer.is_empty())
        .collect();
    let first = measured.first()?;
    let mut section = Section::new(Topic::Forecast, "Forecast: what the probes would leave");
    section.sentence(forecast.observer.clone(), Emphasis::Quiet);
    let headers: Vec<&str> = std::iter::once("CPUs")
        .chain(measured.iter().map(|kernel| kernel.name.as_str()))
        .collect();
    let mut grid = Grid::new(&[], &headers);
    for (row, point) in first.observer.iter().enumerate() {
        let left = measured.iter().map(|kernel| {
            let left = kernel.observer.get(row).map(|point| point.left);
            left.map_or_else(|| units::UNKNOWN.to_owned(), units::percent)
        });
        grid.row(std::iter::once(point.cpus.to_string()).chain(left));
    }
    section.grid(grid);
    Some(section)
}

/// Intervals, notes, published points and assumptions.
fn basis(forecast: &Forecast) -> Section {
    let mut section = Section::new(Topic::Forecast, "What the forecast stands on");
    let boots = forecast.kernels.iter().map(|kernel| {
        format!(
            "{} ({} boots, {} guest instructions {})",
            kernel.name,
            kernel.boots,
            units::count(kernel.round.round() as u64),
            forecast.unit.one()
        )
    });
    section.field(
        "kernels",
        format!(
            "{}; draws with seed {}",
            boots.collect::<Vec<_>>().join(", "),
            forecast.seed
        ),
    );
    for note in &forecast.notes {
        section.field("note", note.clone());
    }
    section.field("intervals", forecast.intervals.clone());
    for point in forecast.published {
        let text = format!("{} ({})", point.describe(), point.source);
        section.field("published", text);
    }
    for assumption in &forecast.assumptions {
        section.field("assumption", assumption.clone());
    }
    section
}

fn at(kernel: &KernelForecast, cpus: u32) -> Option<&CurvePoint> {
    kernel.curve.iter().find(|point| point.cpus == cpus)
}

fn number(value: f64) -> String {
    format!("{value:.2}")
}

fn numbers(range: Interval) -> String {
    format!("{:.2} to {:.2}", range.low, range.high)
}

/// With its sign; nothing has none.
fn share(share: f64) -> String {
    match format!("{:+.1} %", share * 100.0).as_str() {
        "+0.0 %" | "-0.0 %" => "0.0 %".to_owned(),
        text => text.to_owned(),
    }
}

fn shares(range: Interval) -> String {
    let low = share(range.low);
    format!("{} to {}", low.trim_end_matches(" %"), share(range.high))
}

fn more_or_fewer(change: f64) -> String {
    let percent = format!("{:.1} %", change.abs() * 100.0);
    let word = if change < 0.0 { "fewer" } else { "more" };
    format!("{percent} {word}")
}

fn or_too_few(text: Option<String>) -> String {
    text.unwrap_or_else(|| "too few boots".to_owned())
}

fn demand(demand: Demand) -> String {
    let [low, point, high] =
        [demand.low, demand.point, demand.high].map(|demand| units::count(demand.round() as u64));
    format!("{point} ({low}-{high})")
}

/// The numbers of CPUs at which a lock saturates, and at which it is in use most of the time.
pub(in super::super) fn forecast_cells(lock: &LockForecast) -> [String; 2] {
    [knee(lock.knee_cpus), busy_from(lock.busy_from_cpus)]
}

/// A number of CPUs that is none of a machine: with one digit after the point, where that says something.
pub(in super::super) fn cpus_text(cpus: f64) -> String {
    if cpus < 1000.0 {
        format!("{cpus:.1}")
    } else {
        units::count(cpus.round() as u64)
    }
}

fn knee(cpus: Estimate) -> String {
    if cpus.point.is_infinite() {
        return "never".to_owned();
    }
    let interval = in_brackets(cpus.interval, 1);
    format!("{}{interval}", cpus_text(cpus.point))
}

fn busy_from(cpus: Estimate) -> String {
    if cpus.point.is_finite() {
        return format!("{:.0}{}", cpus.point, in_brackets(cpus.interval, 0));
    }
    match cpus.interval.map(|range| range.low) {
        Some(low) if low.is_finite() => format!("perhaps {low:.0}"),
        _ => format!("not to {MOST_CPUS}"),
    }
}

/// An interval of numbers of CPUs; one without an end that matters has a plus.
fn in_brackets(interval: Option<Interval>, digits: usize) -> String {
    match interval {
        None => String::new(),
        Some(Interval { low, high }) if high >= 1e6 => format!(" ({low:.digits$}+)"),
        Some(Interval { low, high }) => format!(" ({low:.digits$}-{high:.digits$})"),
    }
}
