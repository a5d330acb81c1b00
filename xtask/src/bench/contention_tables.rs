//! The tables of BENCHMARKS.md about a lock that is contended.

use super::kept::{self, Kept, kept};
use super::pieces::table;
use super::results::{Added, ContendedCosts, KernelCosts, Lengths, SiteLengths};

/// The tables of one kernel, where something was measured.
pub fn tables(text: &mut String, costs: &KernelCosts) {
    if !costs.contended.is_empty() {
        instructions(text, costs);
        let kept = kept(costs);
        if !kept.is_empty() {
            shares(text, &kept);
        }
    }
    if !costs.lengths.is_empty() {
        lengths(text, &costs.lengths);
    }
}

fn lengths(text: &mut String, sites: &[SiteLengths]) {
    text.push_str(
        "\nWhat lockprof reports of holds, `--detail holds` by fentry, beside the instructions that the plugin \
         counts of them in the same boot, with what lockprof itself adds inside. What is reported less what is \
         counted is to be the same at each site.\n\n",
    );
    let rows = sites.iter().map(|site| {
        let numbers = |lengths: &Lengths| {
            let all = lengths.quantiles.iter().map(|value| format!("{value:.0}"));
            format!(
                "{:.1} ({})",
                lengths.mean,
                all.collect::<Vec<_>>().join(", ")
            )
        };
        vec![
            site.site.clone(),
            site.counted.holds.to_string(),
            numbers(&site.counted),
            site.reported.holds.to_string(),
            numbers(&site.reported),
            format!("{:.1}", site.reported.mean - site.counted.mean),
        ]
    });
    text.push_str(&table(
        &[
            "site",
            "holds counted",
            "mean (50, 90, 99 %)",
            "holds reported",
            "mean (50, 90, 99 %)",
            "reported less counted",
        ],
        rows,
    ));
}

fn instructions(text: &mut String, costs: &KernelCosts) {
    text.push_str(
        "\nTwo CPUs that contend for the lock by `nullhold -t 2`, by the wall clock: medians of a CPU's \
         own instructions, which are no times. A contended hold begins with the instruction by which the slow \
         path gets the lock. The way to the queue is that from the slow path's first instruction, which \
         goes on to call contention_begin if somebody listens, to the one that joins the lock's queue. Added to \
         what is there without an observer; behind ± stands by how much measurements differ at most. What \
         lies outside of a hold is no one else's.\n\n",
    );
    let rows = costs.contended.iter().map(|one| {
        let pair = costs.observers.iter().find(|other| other.name == one.name);
        let pair = pair.map_or("–".to_owned(), |other| format!("{:.0}", other.pair.added));
        vec![
            one.what.clone(),
            added(&one.uncontended),
            added(&one.in_hold),
            added(&one.to_the_queue),
            pair,
            one.holds.to_string(),
        ]
    });
    let rows = bare(&costs.contended).into_iter().chain(rows);
    text.push_str(&table(
        &[
            "observer",
            "in an uncontended hold",
            "in a contended hold",
            "from contention_begin to the queue",
            "added to an uncontended pair in all",
            "contended holds",
        ],
        rows,
    ));
}

/// What is added, and by how much measurements differ.
pub(super) fn added(value: &Added) -> String {
    match value.differs_by {
        0.0 => format!("{:.0}", value.added),
        differs_by => format!("{:.0} ± {differs_by:.0}", value.added),
    }
}

/// What is there without an observer.
fn bare(costs: &[ContendedCosts]) -> Option<Vec<String>> {
    let first = costs.first()?;
    let number = |value: &Added| format!("{:.0} in all", value.bare);
    Some(vec![
        "none".to_owned(),
        number(&first.uncontended),
        number(&first.in_hold),
        number(&first.to_the_queue),
        "–".to_owned(),
        "–".to_owned(),
    ])
}

fn shares(text: &mut String, kept: &[Kept]) {
    text.push_str(
        "\nWhat would be left of the throughput of threadspawn on machines that are not here. A model's \
         forecast from these counts, not a measurement: a closed network with one task a CPU, one station with one \
         server for tasklist_lock, first come, first served, with exponential service times, and a delay \
         that nobody queues for; a hold is as long with many CPUs as with one, and an instruction takes the \
         same time everywhere. Three holds a life. Where every hold is contended, each is longer by what a \
         contended null hold has more than an uncontended one, both without the observer and with it, and what \
         comes before the queue is delay.\n\n",
    );
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let rows = kept.iter().map(|one| {
        let alone = one.uncontended.map(percent);
        let contended = one.contended.map(|shares| shares.map(percent));
        let contended = contended.unwrap_or_else(|| kept::CPUS.map(|_| "–".to_owned()));
        let mut row = vec![one.what.clone()];
        row.extend(alone);
        row.extend(contended);
        row
    });
    let mut head = vec!["observer".to_owned()];
    head.extend(kept::CPUS.map(|cpus| format!("{cpus} CPUs, none contended")));
    head.extend(kept::CPUS.map(|cpus| format!("{cpus} CPUs, all contended")));
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    text.push_str(&table(&head, rows));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_has_no_table() {
        let mut text = String::new();
        tables(&mut text, &KernelCosts::default());
        assert_eq!(text, "");
        let added = Added {
            bare: 53.0,
            added: 200.4,
            differs_by: 2.0,
        };
        let costs = KernelCosts {
            contended: vec![ContendedCosts {
                what: "x".to_owned(),
                in_hold: added,
                ..ContendedCosts::default()
            }],
            ..KernelCosts::default()
        };
        tables(&mut text, &costs);
        assert!(
            text.contains("| none | 0 in all | 53 in all | 0 in all | – | – |"),
            "{text}"
        );
        assert!(text.contains("| x | 0 | 200 ± 2 | 0 | – | 0 |"), "{text}");
        assert!(
            !text.contains("CPUs, none contended"),
            "no life was measured"
        );
    }
}
