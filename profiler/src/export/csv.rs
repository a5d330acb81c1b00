//! One tidy table: a row is one number.
//!
//! | column | what |
//! |---|---|
//! | section | `run`, `effect`, `site`, `distribution`, `span`, `blame`, `contention`, `class`, `caller`, `owner`, `command`, `process`, `task`, `waiting_cgroup`, `longest`, `cgroup`, `off_cpu`, `cpu`, `series`, `loss` |
//! | site | the site (of the waiter in `blame`, of the hold in `span`), the class of the lock in `caller` and `owner`; empty where there is none |
//! | name | kind of window, span, holder, lock, task, cgroup, CPU or loss; `hold` or `wait` in `distribution` |
//! | from, to | the range that the number is for: a bucket in `distribution`, seconds in `series` and `longest` |
//! | metric | what the number is |
//! | value | the number; empty where it is not known |
//! | unit | `ns` (or `insn`), `s`, `share`, `1/s`, `count`, or `id` |
//!
//! A distribution is `section == "distribution"`: site, hold or wait, bounds of the bucket, count.

mod every_lock;

use anyhow::Result;

use super::Exporter;
use crate::{
    profile::{Contention, Durations, OffBy, Profile, SeriesPoint, Waits},
    site::Site,
    text::printable,
};

const HEADER: &str = "section,site,name,from,to,metric,value,unit\n";

/// One tidy table.
#[derive(Clone, Copy, Debug)]
pub struct Csv;

impl Exporter for Csv {
    fn export(&self, profile: &Profile) -> Result<Vec<u8>> {
        let mut rows = Rows {
            text: HEADER.to_owned(),
        };
        let time = profile.unit().name();
        run(profile, &mut rows, time);
        sites(profile, &mut rows, time);
        spans_and_blame(profile, &mut rows, time);
        for contention in &profile.contention {
            self::contention(contention, &mut rows, time);
        }
        if let Some(locks) = &profile.locks {
            every_lock::rows(locks, &mut rows, time);
        }
        longest(profile, &mut rows, time);
        cgroups(profile, &mut rows, time);
        off_cpu(profile, &mut rows, time);
        let (holds, waits) = (profile.holds_known(), profile.target_waits_known());
        for cpu in &profile.cpus {
            let row = Row {
                section: "cpu",
                name: &cpu.cpu.to_string(),
                ..Row::default()
            };
            rows.add(row, "holds", holds.then_some(cpu.holds), "count");
            rows.add(row, "held", holds.then_some(cpu.held_ns), time);
            rows.add(row, "contended", waits.then_some(cpu.waits), "count");
            rows.add(row, "waited", waits.then_some(cpu.waited_ns), time);
        }
        for point in &profile.series {
            series(profile, point, &mut rows, time);
        }
        for (loss, count) in profile.losses.happened() {
            let row = Row {
                section: "loss",
                name: &loss,
                ..Row::default()
            };
            rows.add(row, "lost", Some(count), "count");
        }
        for program in profile.losses.unknown() {
            let row = Row {
                section: "loss",
                name: &format!("missed:{program}"),
                ..Row::default()
            };
            rows.add(row, "lost", None::<u64>, "count");
        }
        Ok(rows.text.into_bytes())
    }
}

/// What the numbers of some rows have in common.
#[derive(Clone, Copy, Default)]
struct Row<'a> {
    section: &'a str,
    site: &'a str,
    name: &'a str,
    range: Option<(f64, f64)>,
}

struct Rows {
    text: String,
}

impl Rows {
    fn add(&mut self, row: Row<'_>, metric: &str, value: Option<impl ToString>, unit: &str) {
        let (from, to) = row.range.map_or_else(Default::default, |(from, to)| {
            (from.to_string(), to.to_string())
        });
        let value = value.map_or_else(String::new, |value| value.to_string());
        let cells = [
            row.section,
            row.site,
            row.name,
            &from,
            &to,
            metric,
            &value,
            unit,
        ];
        for (index, cell) in cells.iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            self.text.push_str(&quoted(cell));
        }
        self.text.push('\n');
    }

    fn sums(&mut self, row: Row<'_>, waits: &Waits, unit: &str) {
        self.add(row, "waits", Some(waits.count), "count");
        let known = waits.measured > 0;
        self.add(row, "waited", known.then_some(waits.waited_ns), unit);
    }

    fn lengths(&mut self, row: Row<'_>, kind: &str, durations: Option<&Durations>, unit: &str) {
        for (metric, value) in [
            ("mean", durations.and_then(Durations::mean_ns)),
            (
                "p50",
                durations.and_then(|durations| durations.quantile_ns(0.5)),
            ),
            (
                "p90",
                durations.and_then(|durations| durations.quantile_ns(0.9)),
            ),
            (
                "p99",
                durations.and_then(|durations| durations.quantile_ns(0.99)),
            ),
            ("max", durations.and_then(Durations::max_ns)),
        ] {
            self.add(row, &format!("{kind}_{metric}"), value, unit);
        }
        if durations.is_some_and(Durations::max_is_bound) {
            self.add(row, &format!("{kind}_max_is_bound"), Some(1), "count");
        }
    }
}

/// As RFC 4180 has it.
fn quoted(cell: &str) -> String {
    let cell = printable(cell);
    if cell.contains([',', '"']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.into_owned()
    }
}

fn run(profile: &Profile, rows: &mut Rows, time: &str) {
    let row = Row {
        section: "run",
        ..Row::default()
    };
    let null_hold = profile.null_hold().map(|null_hold| null_hold.mean_ns);
    rows.add(row, "void", Some(u8::from(profile.void())), "count");
    rows.add(row, "cut_short", Some(u8::from(profile.cut_short)), "count");
    rows.add(row, "duration", Some(profile.measured_s), "s");
    rows.add(row, "held", profile.held_share(), "share");
    rows.add(row, "lives", profile.lives(), "count");
    rows.add(row, "iterations", profile.iterations(), "count");
    rows.add(
        row,
        "iteration_rate",
        profile.iterations_per_second(),
        "1/s",
    );
    rows.add(row, "null_hold", null_hold, time);
    if let Some(at) = profile.header.attached_at {
        rows.add(row, "attached_monotonic", Some(at.monotonic_ns), "ns");
        rows.add(row, "attached_boottime", Some(at.boottime_ns), "ns");
        rows.add(row, "attached_realtime", Some(at.realtime_ns), "ns");
    }
    effect(profile, rows);
}

/// Nothing where nobody measured it.
fn effect(profile: &Profile, rows: &mut Rows) {
    for kind in profile.effect.iter().flat_map(|effect| &effect.kinds) {
        let row = Row {
            section: "effect",
            name: kind.kind.name(),
            ..Row::default()
        };
        rows.add(row, "pairs", Some(kind.pairs), "count");
        rows.add(row, "ratio", kind.ratio, "share");
        let ends = kind.interval.map(|interval| (interval.low, interval.high));
        rows.add(row, "ratio_low", ends.map(|(low, _)| low), "share");
        rows.add(row, "ratio_high", ends.map(|(_, high)| high), "share");
    }
}

fn sites(profile: &Profile, rows: &mut Rows, time: &str) {
    for site in &profile.sites {
        let row = Row {
            section: "site",
            site: site.site.name(),
            ..Row::default()
        };
        let (hold, wait) = (site.hold.as_ref(), site.wait.as_ref());
        rows.add(row, "holds", hold.map(Durations::count), "count");
        rows.add(row, "held", hold.map(|hold| hold.total_ns), time);
        rows.lengths(row, "hold", hold, time);
        rows.add(row, "contended", wait.map(Durations::count), "count");
        rows.add(
            row,
            "waited",
            wait.and_then(Durations::known_total_ns),
            time,
        );
        rows.lengths(row, "wait", wait, time);
    }
    for site in &profile.sites {
        for (name, durations) in [("hold", &site.hold), ("wait", &site.wait)] {
            for (low, high, count) in durations.iter().flat_map(|d| d.histogram.buckets()) {
                let range = Some((low as f64, high as f64));
                let row = Row {
                    section: "distribution",
                    site: site.site.name(),
                    name,
                    range,
                };
                rows.add(row, "count", Some(count), "count");
            }
        }
    }
}

fn spans_and_blame(profile: &Profile, rows: &mut Rows, time: &str) {
    for span in &profile.spans {
        let site = span.site.map_or("", |site| site.name());
        let row = Row {
            section: "span",
            site,
            name: span.span.name(),
            range: None,
        };
        rows.add(row, "calls", Some(span.calls), "count");
        rows.add(row, "calls_in_hold", Some(span.calls_in_hold()), "count");
        rows.add(row, "in_hold", span.in_hold_ns, time);
        rows.add(row, "self", span.self_ns, time);
    }
    for pair in &profile.blame {
        let name = pair
            .holder
            .map_or(profile.rest_in_words(), |site| site.name());
        let row = Row {
            section: "blame",
            site: pair.waiter.name(),
            name,
            range: None,
        };
        rows.add(row, "waited", Some(pair.waited_ns), time);
    }
}

/// By lock alone would not be tidy: the caller is part of the name.
fn contention(contention: &Contention, rows: &mut Rows, time: &str) {
    let caller = contention.caller.as_deref().unwrap_or("?");
    let name = format!(
        "{} {} by {caller}",
        contention.lock(),
        contention.kind.name()
    );
    let site = contention.in_hold_of.map_or("", |site| site.name());
    let row = Row {
        section: "contention",
        site,
        name: &name,
        range: None,
    };
    rows.add(row, "waits", Some(contention.waits.count()), "count");
    if contention.waits.sampled > 0 {
        rows.add(row, "sampled", Some(contention.waits.sampled), "count");
    }
    rows.add(row, "waited", contention.waits.known_total_ns(), time);
    rows.lengths(row, "wait", Some(&contention.waits), time);
}

/// The value is a number here too: who it was is the name.
fn longest(profile: &Profile, rows: &mut Rows, time: &str) {
    let waits_known = profile.waits_known();
    for site in &profile.sites {
        let hold = site.longest_hold.iter().map(|event| ("hold", event));
        let wait = site.longest_wait.iter().map(|event| ("wait", event));
        let wait = wait.filter(|_| waits_known);
        for (kind, event) in hold.chain(wait) {
            let began_s = (event.at_s - event.ns as f64 / 1e9).max(0.0);
            let row = Row {
                section: "longest",
                site: site.site.name(),
                name: &format!("{kind} by {} in {}", event.comm, event.cgroup),
                range: Some((began_s, event.at_s)),
            };
            rows.add(row, "length", Some(event.ns), time);
            rows.add(row, "cpu", Some(event.cpu), "id");
            rows.add(row, "pid", Some(event.pid), "id");
            rows.add(row, "process", Some(event.tgid), "id");
        }
    }
}

/// What holders did instead of running.
fn off_cpu(profile: &Profile, rows: &mut Rows, time: &str) {
    for off in profile.off_cpu.iter().flatten() {
        let name = match &off.by {
            OffBy::Sleep(path) => path.join(";"),
            OffBy::Preemption => "preempted".to_owned(),
            OffBy::Unknown => String::new(),
        };
        let row = Row {
            section: "off_cpu",
            site: off.site.map_or("others", Site::name),
            name: &name,
            ..Row::default()
        };
        rows.add(row, "stretches", Some(off.stretches), "count");
        rows.add(row, "asleep", Some(off.asleep_ns), time);
        rows.add(row, "runnable", Some(off.runnable_ns), time);
        rows.add(row, "longest", Some(off.longest_ns), time);
    }
}

/// The holds and waits of writers.
fn cgroups(profile: &Profile, rows: &mut Rows, time: &str) {
    let (holds, waits) = (profile.holds_known(), profile.waits_known());
    for (cgroup, totals) in &profile.cgroups {
        let row = Row {
            section: "cgroup",
            name: cgroup,
            ..Row::default()
        };
        rows.add(row, "holds", holds.then_some(totals.holds), "count");
        rows.add(row, "held", holds.then_some(totals.held_ns), time);
        rows.add(row, "contended", waits.then_some(totals.waits), "count");
        rows.add(row, "waited", waits.then_some(totals.waited_ns), time);
    }
}

fn series(profile: &Profile, point: &SeriesPoint, rows: &mut Rows, time: &str) {
    let range = Some((point.at_s - point.seconds, point.at_s));
    let row = Row {
        section: "series",
        site: "",
        name: point.stage.name(),
        range,
    };
    let per_second = |count: Option<u64>| point.per_second(count? as f64);
    rows.add(row, "held", point.held_share(), "share");
    rows.add(row, "holds", point.holds, "count");
    rows.add(row, "mean_hold", point.mean_hold_ns(), time);
    rows.add(row, "lives", per_second(point.lives), "1/s");
    rows.add(row, "iterations", per_second(point.iterations), "1/s");
    rows.add(
        row,
        "tasks_created",
        per_second(Some(point.tasks_created)),
        "1/s",
    );
    rows.add(
        row,
        "steal",
        point.steal_share(profile.header.kernel.cpus_online),
        "share",
    );
    rows.add(row, "own_cpu", point.per_second(point.own_cpu_s), "share");
}
