//! The table of BENCHMARKS.md about the waits of the machine itself.

use std::fmt::Write as _;

use super::pieces::{measured_with, not_measured, table};
use super::results::{Beside, Part, SeenWaits, WaitCosts};
use super::statistics::ratio_interval;
use super::waits::means;

/// The section.
pub fn section(text: &mut String, part: &Part<WaitCosts>) {
    let costs = &part.found;
    let _ = write!(
        text,
        "\n## Waits\n\n\
         On the machine itself, and where it says so in a guest, `{} -t {}`: waits of all locks whose waiters spin, and of the target \
         among them, a second. `lockprof run --attach wait` in turn with others that look at the same two \
         tracepoints, in pairs until each interval is within 10 %, or so many that it is no use. Ratios are \
         geometric means over pairs, with their 95 % intervals by Student's t.\n\n",
        costs.load, costs.tasks
    );
    text.push_str(&table(
        &[
            "beside",
            "what, a second",
            "lockprof",
            "the other",
            "seen by lockprof",
            "95 % interval",
            "pairs",
        ],
        costs.beside.iter().flat_map(rows),
    ));
    if let Some(ns) = costs.began_ns_per_run {
        let _ = write!(
            text,
            "\nA run of contention_began takes {ns:.0} ns under this load, by the kernel's statistics.\n"
        );
    }
    not_measured(text, &costs.not_measured);
    measured_with(text, &part.with);
}

fn rows(beside: &Beside) -> Vec<Vec<String>> {
    let ours = means(beside.pairs.iter().map(|(ours, _)| ours));
    let theirs = means(beside.pairs.iter().map(|(_, theirs)| theirs));
    let shown = |seen: &SeenWaits| {
        [
            count(seen.target.count),
            time(seen.target.waited_ns),
            count(seen.all.count),
            time(seen.all.waited_ns),
        ]
    };
    let ratios = beside.ratios().into_iter();
    let rows = ratios.zip(shown(&ours)).zip(shown(&theirs));
    rows.map(|(((what, ratios), ours), theirs)| {
        let interval = ratio_interval(&ratios);
        let [low, high] = [interval.low, interval.high].map(|end| end * 100.0);
        vec![
            beside.what.clone(),
            what.to_owned(),
            ours,
            theirs,
            format!("{:.0} %", interval.middle * 100.0),
            format!("{low:.0} to {high:.0} %"),
            ratios.len().to_string(),
        ]
    })
    .collect()
}

fn count(count: f64) -> String {
    format!("{count:.0}")
}

fn time(ns: f64) -> String {
    format!("{:.3} ms", ns / 1e6)
}

#[cfg(test)]
mod tests {
    use super::super::results::Waits;
    use super::*;

    #[test]
    fn each_of_the_four_has_its_row() {
        let seen = |count: f64| SeenWaits {
            target: Waits {
                count,
                waited_ns: count * 1000.0,
            },
            all: Waits {
                count: count * 3.0,
                waited_ns: count * 9000.0,
            },
        };
        let part = Part {
            with: Vec::new(),
            found: WaitCosts {
                load: "threadspawn".to_owned(),
                tasks: 2,
                began_ns_per_run: Some(299.6),
                beside: vec![Beside {
                    what: "x".to_owned(),
                    pairs: vec![(seen(400.0), seen(1000.0)); 3],
                }],
                ..WaitCosts::default()
            },
        };
        let mut text = String::new();
        section(&mut text, &part);
        let row = "| x | all waited time | 3.600 ms | 9.000 ms | 40 % | 40 to 40 % | 3 |";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("contention_began takes 300 ns"), "{text}");
    }
}
