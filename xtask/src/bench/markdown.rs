//! BENCHMARKS.md, from the results.

use std::fmt::Write as _;

use super::contention_tables as contention;
use super::goals::{Goal, NOT_MEASURED, goals};
use super::kinds::tables as kinds;
use super::locks::tables as locks;
use super::pieces::{measured_with, mebibytes, not_measured, table};
use super::results::{Cost, DaemonCosts, FILE, KernelCosts, LoadCosts, OneTask, Part, Results};
use super::statistics::mean;
use super::wait_tables;

/// The file, in the root of the checkout.
pub const MARKDOWN: &str = "BENCHMARKS.md";
/// The picture, from the root of the checkout.
pub const PICTURE: &str = "docs/benchmarks.svg";

/// The whole file.
pub fn render(results: &Results) -> String {
    let mut text = format!(
        "# What lockprof costs\n\nWritten by `cargo xtask bench`, with its numbers in [{FILE}]({FILE}). \
         Everything runs in guests of an emulated machine, except where it says otherwise: \
         instructions are exact, and seconds are not those of hardware.\n"
    );
    text.push_str("\n## Goals\n\n");
    text.push_str(&goal_table(&goals(results)));
    if !results.deterministic.is_empty() {
        deterministic(&mut text, &results.deterministic);
    }
    if let Some(part) = &results.load {
        load(&mut text, part);
    }
    if let Some(part) = &results.waits {
        wait_tables::section(&mut text, part);
    }
    kinds::section(&mut text, &results.kinds);
    locks::section(&mut text, results);
    if let Some(part) = &results.daemon {
        daemon(&mut text, part);
    }
    text
}

fn goal_table(goals: &[Goal]) -> String {
    let rows = goals.iter().map(|goal| {
        let met = match goal.met {
            Some(true) => "met",
            Some(false) => "**not met**",
            None if goal.measured == NOT_MEASURED => NOT_MEASURED,
            None => "too noisy to tell",
        };
        vec![
            goal.what.clone(),
            goal.wanted.clone(),
            goal.measured.clone(),
            met.to_owned(),
            goal.in_the_way.clone(),
        ]
    });
    let head = [
        "what (6.12 and fentry where nothing else is said)",
        "goal",
        "measured",
        "",
        "what stands in the way",
    ];
    table(&head, rows)
}

fn deterministic(text: &mut String, parts: &[Part<KernelCosts>]) {
    text.push_str(
        "\n## Instructions\n\n\
         One CPU, and a clock that counts its instructions. A pair is one `setsid()` that fails: it \
         takes tasklist_lock for writing and gives it back, and nobody contends. A life is one thread \
         of `threadspawn -t 1`, which takes the lock three times. Each observer is measured twice \
         between two measurements without it, after a warm-up, in each boot. Instructions, and those \
         inside the hold, are medians counted by a plugin of the emulator, from outside of the guest: \
         from the instruction that takes the lock to the one that gives it back. A life is less exact \
         than a pair, outside of its holds: where its memory comes from depends on what ran before. \
         Behind ± stands by how much its boots differ, and boots may be alike: what the empty tracepoints, \
         which no uncontended lock reaches, seem to add to a life is noise as well.\n",
    );
    let _ = write!(
        text,
        "\n![Instructions that an observer adds to one pair]({PICTURE})\n"
    );
    for Part { with, found: costs } in parts {
        let _ = write!(text, "\n### {}, Linux {}\n\n", costs.kernel, costs.release);
        if let Some(first) = costs.observers.first() {
            let _ = write!(
                text,
                "A pair without an observer: {:.0} instructions.",
                first.pair.bare
            );
            if let Some(life) = &first.life {
                let _ = write!(text, " A life: {:.0}.", life.bare);
            }
            let spread = costs
                .observers
                .iter()
                .map(|one| one.pair.spread)
                .fold(0.0, f64::max);
            let _ = write!(
                text,
                " A pair repeats between {} boots within {:.2} %.\n\n",
                costs.boots,
                spread * 100.0
            );
        }
        let rows = costs.observers.iter().map(|observer| {
            let number =
                |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.0}"));
            let life = observer.life.as_ref();
            vec![
                observer.what.clone(),
                number(Some(observer.pair.added)),
                number(observer.pair.added_in_hold),
                number(observer.reported_null_hold),
                number(life.and_then(|life| life.added_in_hold)),
                life.map_or("–".to_owned(), |life: &Cost| {
                    format!("{:.0} ± {:.0}", life.added, life.differs_by())
                }),
            ]
        });
        text.push_str(&table(
            &[
                "observer",
                "added to a pair",
                "inside the hold",
                "null hold it reports",
                "added to a life, inside its holds",
                "and in all",
            ],
            rows,
        ));
        if let Some(throughput) = &costs.throughput {
            one_task(text, throughput);
        }
        contention::tables(text, costs);
        not_measured(text, &costs.not_measured);
        measured_with(text, with);
    }
}

fn one_task(text: &mut String, throughput: &OneTask) {
    let share = throughput.share();
    let boots = throughput.shares.iter();
    let boots = boots.map(|share| format!("{:.2}", share * 100.0));
    let bare = mean(throughput.bare_per_second.iter().copied());
    let _ = write!(
        text,
        "\nA second of `threadspawn -t 1` at a time, {} times in each of {} boots with {} between \
         seconds without it: {:.2} % of the bare throughput is left (95 % interval {:.2} to {:.2} %, by \
         Student's t over the boots: {}), and bare are {bare:.0} lives in 10^9 instructions.\n",
        throughput.turns,
        throughput.shares.len(),
        throughput.observer,
        share.middle * 100.0,
        share.low * 100.0,
        share.high * 100.0,
        boots.collect::<Vec<_>>().join(", "),
    );
}

fn load(text: &mut String, part: &Part<Vec<LoadCosts>>) {
    text.push_str(
        "\n## Throughput\n\n\
         By the wall clock, on Linux 6.12, one task on each of two emulated CPUs, no more than are real. \
         `nullhold` takes the lock and gives it back, and does nothing else. In each round of one boot each \
         observer has its turn, between two runs of the load without any, and each round begins with \
         another observer. Shares are of the geometric mean of those two runs; given are geometric \
         means over rounds, with their 95 % intervals by Student's t. An interval that reaches over \
         100 % says that this machine was too busy to tell.\n\n",
    );
    let rows = part.found.iter().flat_map(|costs| {
        costs.observers.iter().map(|observer| {
            vec![
                format!("{} × {}", costs.load, costs.cpus),
                format!("{:.0}/s", costs.bare_per_second),
                observer.what.clone(),
                format!("{:.1} %", observer.share * 100.0),
                format!(
                    "{:.1} to {:.1} %",
                    observer.low * 100.0,
                    observer.high * 100.0
                ),
                costs.rounds.to_string(),
            ]
        })
    });
    text.push_str(&table(
        &[
            "load × CPUs",
            "bare",
            "observer",
            "throughput left",
            "95 % interval",
            "rounds",
        ],
        rows,
    ));
    measured_with(text, &part.with);
}

fn daemon(text: &mut String, part: &Part<DaemonCosts>) {
    let costs = &part.found;
    text.push_str(
        "\n## The daemon\n\n\
         One reading of the counters each second. By the number of possible CPUs, of which one is there \
         and kept busy by `threadspawn -t 1`: in instructions, of the emulated machine",
    );
    if let Some(size) = costs.sizes.first() {
        let _ = write!(text, " ({})", size.kernel);
    }
    text.push_str(
        ". And with every CPU active, in CPU time of the machine itself: the daemon's own code over \
         counters that lie in memory.\n\n",
    );
    let rows = costs.sizes.iter().map(|size| {
        vec![
            size.possible_cpus.to_string(),
            format!("{:.2} million", size.instructions / 1e6),
            format!("{:.1} MiB", mebibytes(size.resident_bytes)),
            size.intervals.to_string(),
            costs
                .refreshes
                .iter()
                .find(|refresh| refresh.cpus == size.possible_cpus)
                .map_or("–".to_owned(), |refresh| {
                    format!("{:.2} ms", refresh.cpu_s * 1e3)
                }),
        ]
    });
    text.push_str(&table(
        &[
            "possible CPUs",
            "instructions an interval, one active",
            "resident",
            "intervals",
            "a refresh, every CPU active",
        ],
        rows,
    ));
    if let Some(busy) = &costs.busy {
        let _ = write!(
            text,
            "\nWith {} emulated CPUs, all busy with threadspawn, by the wall clock of the emulated machine \
             ({}): {:.1} % of one CPU, {:.1} MiB resident; {:.1} s from launch to the last probe \
             attached, {:.2} s to detach; a recording of {:.1} MiB a minute, with `--detail holds`.\n",
            busy.cpus,
            busy.kernel,
            busy.cpu_share * 100.0,
            mebibytes(busy.resident_bytes),
            busy.launch_to_attach_s,
            busy.detach_s,
            busy.recording_bytes_per_minute / 1024.0 / 1024.0,
        );
    }
    if let Some(host) = &costs.host {
        let _ = write!(
            text,
            "\nOn the machine itself, warm, in the tier {}: {:.0} ms from launch to all probes attached, \
             {:.0} ms to detach (medians of {} runs).\n",
            host.tier,
            host.launch_to_attach_s * 1e3,
            host.detach_s * 1e3,
            host.runs,
        );
    }
    if let Some(report) = &costs.report {
        let view = match report.page_bytes {
            0 => "a table".to_owned(),
            bytes => format!("a page of {:.0} KiB", bytes as f64 / 1024.0),
        };
        let _ = write!(
            text,
            "\n`lockprof report` of {} intervals of 24 CPUs ({:.1} MiB, a short recording's intervals \
             repeated), as {view}, on the machine itself: {:.2} s, {:.1} MiB resident at most.\n",
            report.intervals,
            mebibytes(report.recording_bytes),
            report.seconds,
            mebibytes(report.resident_bytes),
        );
    }
    if let Some(compare) = &costs.compare {
        let _ = write!(
            text,
            "\n`lockprof compare` of 2 × {} boots of 24 CPUs ({:.1} MiB of recordings, one under so \
             many boot_ids), on the machine itself: {:.2} s, {:.1} MiB resident at most.\n",
            compare.boots_of_each,
            mebibytes(compare.recording_bytes),
            compare.seconds,
            mebibytes(compare.resident_bytes),
        );
    }
    not_measured(text, &costs.not_measured);
    measured_with(text, &part.with);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_were_not_run_are_left_out() {
        let text = render(&Results::default());
        assert!(text.contains("not measured"));
        assert!(!text.contains("## Throughput"));
        let results = Results {
            load: Some(Part {
                with: vec![("machine".to_owned(), "x".to_owned())],
                found: Vec::new(),
            }),
            ..Results::default()
        };
        let text = render(&results);
        assert!(text.contains("## Throughput") && text.contains("Measured with machine: x."));
    }
}
