//! Holds of a reader-writer lock that spins: of proc_subdir_lock, by a load that knows how often it reads it; and, by every
//! function that takes one, in tasks and in interrupts, of a module's own, which knows how often each of its functions does.

use anyhow::{Context as _, Result, bail};
use lab::kernel::headers::Headers;
use lab::vm::initramfs::GuestFile;
use lab::vm::protocol::Step;
use serde_json::Value;

use super::round::{Lab, Verdict, run, succeed};
use super::script::{counted, watching};
use super::summary::{Summary, equal};
use crate::bench::peers::Peers;

/// The module, and the file by which it is told how often to take its lock.
const MODULE: &str = "ways";
const TURNS_FILE: &str = "/sys/module/ways/parameters/turns";
/// How often each way is gone.
const TURNS: u64 = 500;

/// The functions that take the lock, and how many holds each has in a turn.
const WAYS: [(&str, u64); 19] = [
    ("write_plain", 1),
    ("write_bh", 1),
    ("write_irq", 1),
    ("write_irqsave", 1),
    ("write_tried", 1),
    ("write_tried_in_vain", 1),
    ("write_in_softirq", 1),
    ("write_in_hardirq", 1),
    ("write_contended", 2),
    ("read:read_plain", 1),
    ("read:read_bh", 1),
    ("read:read_irq", 1),
    ("read:read_irqsave", 1),
    ("read:read_tried", 1),
    ("read:read_twice", 1),
    ("read:read_around_hardirq", 1),
    ("read:read_in_softirq", 1),
    // Once by itself, once inside the hold of one who reads.
    ("read:read_in_hardirq", 2),
    ("read:read_contended", 2),
];

/// The lock, how often the load reads it, and how many network namespaces it makes, which write it some times each.
const LOCK: &str = "proc_subdir_lock";
const LOOKUPS: u64 = 2000;
const NAMESPACES: u64 = 10;
/// Who writes it for a new entry.
const WRITER: &str = "proc_register";
/// Who reads it for a search.
const READER: &str = "read:proc_lookup_de";

/// Each hold is counted: of readers as often as the load looks for an entry, of writers as often as a script sees an entry
/// made.
pub fn holds_are_counted_exactly(lab: &Lab<'_>) -> Result<Verdict> {
    let load = format!("--warm-up 0 -- /init proc-entries {LOOKUPS} {NAMESPACES}");
    let mut request = lab.request(vec![
        watching(&format!("kfunc:{WRITER} {{ @made = count(); }}")),
        run(
            "proc",
            &format!("--lock {LOCK}:rwlock --readers --loss-threshold 5 {load}"),
        ),
        Step::ending(0, libc::SIGINT),
    ]);
    Peers::fetch()?.add_to(&mut request)?;
    let outcome = succeed(&request)?;
    let summary = Summary::of(lab, &outcome, "proc")?;
    equal("tier", summary.text("/tier")?, "exact")?;
    equal("kind", summary.text("/lock/kind")?, "rwlock")?;
    let (read, written) = (
        summary.attached_holds(READER)?,
        summary.attached_holds(WRITER)?,
    );
    let (made, lost) = (counted(&outcome, "made")?, summary.lost_while_attached);
    note!("    {read} read, {written} written, {lost} lost; bpftrace: {made} entries were made");
    if made < NAMESPACES || written > made || written + lost < made {
        bail!("{written} holds of {WRITER} and {lost} lost, where bpftrace has {made}");
    }
    // Whoever begins may look for something in /proc, too.
    if read + lost < LOOKUPS || read > LOOKUPS + LOOKUPS / 20 {
        bail!("{read} holds of {READER} and {lost} lost, where the load has {LOOKUPS}");
    }
    Ok(Verdict::Passed)
}

/// Each way is as many holds as the module has gone it, whoever goes it, and nothing is a hold besides; without readers those
/// of writers are.
pub fn every_way_is_a_hold(lab: &Lab<'_>) -> Result<Verdict> {
    let headers = match Headers::of(lab.kernel)? {
        Ok(headers) => headers,
        Err(why) => return Ok(Verdict::Skipped(why)),
    };
    let folder = tempfile::tempdir().context("cannot make a folder for modules")?;
    let sources = [("ways.c", include_str!("modules/ways.c"))];
    headers.build(folder.path(), &[MODULE], &sources)?;
    let file = format!("{MODULE}.ko");
    let mut request = lab.request(vec![
        Step::new(["/init", "insert", &format!("/{file}")]),
        taking("readers", "--readers"),
        taking("writers", "--detail holds"),
        Step::new(["/init", "remove", MODULE]),
    ]);
    request.files.push(GuestFile {
        guest: format!("/{file}"),
        host: folder.path().join(file),
    });
    let outcome = succeed(&request)?;
    each_way_is_counted(&Summary::of(lab, &outcome, "readers")?, |_| true)?;
    let writers = Summary::of(lab, &outcome, "writers")?;
    writers.cpus_agree_with_sites()?;
    each_way_is_counted(&writers, |site| !site.starts_with("read:"))?;
    Ok(Verdict::Passed)
}

/// A run while the module takes its lock.
fn taking(name: &str, how: &str) -> Step {
    let load = format!("/init write {TURNS_FILE} {TURNS}");
    run(
        name,
        &format!("--lock ways_lock:rwlock --warm-up 0 --loss-threshold 5 {how} -- {load}"),
    )
}

fn each_way_is_counted(summary: &Summary, is_followed: fn(&str) -> bool) -> Result<()> {
    equal("tier", summary.text("/tier")?, "exact")?;
    let lost = summary.lost_while_attached;
    let mut missing = 0;
    let ways = WAYS.iter().filter(|(site, _)| is_followed(site));
    for &(site, in_a_turn) in ways.clone() {
        let (holds, expected) = (
            summary.attached_holds(&format!("{site} [{MODULE}]"))?,
            in_a_turn * TURNS,
        );
        if holds > expected {
            bail!("{holds} holds of {site}, which has {expected}");
        }
        missing += expected - holds;
    }
    note!(
        "    {} ways, {missing} holds missing, {lost} lost",
        ways.count()
    );
    if missing > lost {
        let sites = summary.value("/attached/holds")?;
        bail!("{missing} holds are missing, and {lost} were lost: {sites}");
    }
    let sites = summary.value("/attached/holds")?.as_object();
    let of_others = |(site, holds): (&String, &Value)| {
        let is_way = WAYS
            .iter()
            .any(|(way, _)| *site == format!("{way} [{MODULE}]"));
        (!is_way && holds != 0).then(|| format!("{site}: {holds}"))
    };
    let others: Vec<String> = sites.into_iter().flatten().filter_map(of_others).collect();
    equal("other callers", others, Vec::new())
}
