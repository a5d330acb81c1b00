//! Runs of a program that the kernel suppressed, as far as it counts them.

use std::{collections::BTreeMap, fs, os::fd::AsFd as _, os::fd::AsRawFd as _};

use super::{link_info, links::Loaded, programs::Programs};
use crate::kernel::{ProbeKind, version};

/// What the kernel has counted of each program that is attached, since its link was made or before; `None` where this kernel does
/// not count.
#[must_use]
pub fn read(programs: &Programs, release: &str) -> BTreeMap<String, Option<u64>> {
    programs
        .attached()
        .map(|attached| {
            let recursion = field(&information(attached), "recursion_misses");
            let links = match attached.probe.kind {
                ProbeKind::FEntry
                | ProbeKind::FExit
                | ProbeKind::RawTracepoint
                | ProbeKind::BtfTracepoint => Some(0),
                ProbeKind::Kprobe | ProbeKind::Kretprobe => link_info::kprobe_missed(attached.id),
            };
            let missed = if counts_suppressed(attached.probe.kind, release) {
                recursion.zip(links).map(|(first, second)| first + second)
            } else {
                None
            };
            (attached.probe.program.clone(), missed)
        })
        .collect()
}

/// Whether the kernel counts every run of such a program that it suppresses. A kprobe's program is
/// not run while another one of perf's runs on the CPU, which is counted since v6.7 (commit
/// dd8657894c11); so is a kretprobe that found no free instance (commit 3acf8ace6823).
fn counts_suppressed(kind: ProbeKind, release: &str) -> bool {
    match kind {
        ProbeKind::FEntry
        | ProbeKind::FExit
        | ProbeKind::RawTracepoint
        | ProbeKind::BtfTracepoint => true,
        ProbeKind::Kprobe | ProbeKind::Kretprobe => version(release) >= Some((6, 7)),
    }
}

/// Run time and runs of a program, where BPF statistics are on.
#[must_use]
pub fn run_time(program: &Loaded) -> Option<(u64, u64)> {
    let text = information(program);
    Some((field(&text, "run_time_ns")?, field(&text, "run_cnt")?))
}

/// What the kernel tells of a program; nothing where it cannot be read.
fn information(program: &Loaded) -> String {
    let fd = program.fd.as_fd().as_raw_fd();
    fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default()
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "prog_type:\t26\nrun_time_ns:\t12\nrun_cnt:\t3\nrecursion_misses:\t7\n";
        assert_eq!(field(text, "recursion_misses"), Some(7));
        assert_eq!(field(text, "run_cnt"), Some(3));
        assert_eq!(field(text, "run"), None);
    }

    #[test]
    fn what_a_kernel_does_not_count_is_unknown() {
        assert!(counts_suppressed(ProbeKind::FExit, "6.1.0-56-cloud-amd64"));
        assert!(!counts_suppressed(
            ProbeKind::Kprobe,
            "6.1.0-56-cloud-amd64"
        ));
        assert!(!counts_suppressed(ProbeKind::Kretprobe, "6.6.9"));
        assert!(counts_suppressed(ProbeKind::Kretprobe, "6.12.107"));
        assert!(counts_suppressed(ProbeKind::Kretprobe, "7.2.13"));
        assert!(!counts_suppressed(ProbeKind::Kretprobe, "garbage"));
    }
}
