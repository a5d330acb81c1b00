//! What attaching costs the kernel's verifier.

use anyhow::{Context, Result, bail};

use super::round::{Lab, Verdict, run};

/// A program with which the verifier is done after so many instructions; the largest, contention_began, takes it 91,000.
/// It gives up at a million (BPF_COMPLEXITY_LIMIT_INSNS of linux/bpf_verifier.h), and one emulated CPU verifies some
/// 15,000 a second.
const MOST_INSTRUCTIONS: u64 = 100_000;

/// What the verifier has to follow is bounded, with all that may be booked at the end of a hold: a second value of a
/// word that the rest goes on with doubles it, and with it the time to attach.
pub fn programs_are_verified_quickly(lab: &Lab<'_>) -> Result<Verdict> {
    let loads = [
        ("rwlock", "--workload forkexit"),
        (
            "mutex",
            "--lock cgroup_mutex --span css_populate_dir --workload cgroup",
        ),
        ("rwsem", "--lock uts_sem:rwsem --readers --workload cgroup"),
        (
            "rwlock-by-task",
            "--lock proc_subdir_lock:rwlock --readers --workload forkexit",
        ),
        ("percpu-rwsem", "--lock file_rwsem --workload forkexit"),
    ];
    let steps = loads.map(|(name, load)| {
        let load = format!("{load} --tasks 1 --iterations 50 --warm-up 0");
        run(name, &load).env("LOCKPROF_LOG", "debug")
    });
    let request = lab.request(steps.into());
    let outcome = super::round::succeed(&request)?;
    for step in &outcome.steps {
        is_verified_quickly(&String::from_utf8_lossy(&step.stderr))?;
    }
    Ok(Verdict::Passed)
}

/// Looks what the programs of a run took the verifier, by its log.
fn is_verified_quickly(log: &str) -> Result<()> {
    let mut programs = 0;
    for line in log
        .lines()
        .filter(|line| line.contains("instructions verified"))
    {
        let told = line.rsplit_once(": ").context("a line without a number")?.1;
        let count: u64 = told.split(' ').next().unwrap_or_default().parse()?;
        programs += 1;
        if count > MOST_INSTRUCTIONS {
            bail!("more than {MOST_INSTRUCTIONS}: {line}");
        }
        if count > MOST_INSTRUCTIONS / 10 {
            note!("    {}", line.rsplit("] ").next().unwrap_or(line));
        }
    }
    // Two functions of the lock, two tracepoints, and what stands in its holds.
    if programs < 5 {
        bail!("of {programs} programs it was told what they took: {log}");
    }
    Ok(())
}
