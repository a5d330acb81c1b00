//! The machine and the versions that a part was measured with.

use std::fs;
use std::process::Command;

use anyhow::Result;
use lab::process;
use lab::vm::qemu::QEMU;

use crate::checkout;

/// The bench's own files, which change while it runs.
const NOT_RESULTS: [&str; 3] = [
    ":!BENCHMARKS.json",
    ":!BENCHMARKS.md",
    ":!docs/benchmarks.svg",
];

/// By name, in the order in which they are shown.
pub fn read() -> Result<Vec<(String, String)>> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let qemu = process::output(Command::new(QEMU).arg("--version"))?;
    let changed = git(&[
        "status",
        "--porcelain",
        "--untracked-files=no",
        "--",
        ".",
        NOT_RESULTS[0],
        NOT_RESULTS[1],
        NOT_RESULTS[2],
    ])?;
    let changed = if changed.is_empty() {
        ""
    } else {
        ", with changes"
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let named = |name: &str, value: String| (name.to_owned(), value);
    Ok(vec![
        named("lockprof", format!("commit {}{changed}", commit.trim())),
        named(
            "machine",
            format!("{}, {}", cpus(&cpuinfo), memory(&meminfo)),
        ),
        named("host kernel", release.trim().to_owned()),
        named(
            "emulator",
            qemu.lines().next().unwrap_or_default().to_owned(),
        ),
    ])
}

/// What git says in the checkout; nothing where there is none.
fn git(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(checkout::root()?);
    Ok(process::output(&mut command).unwrap_or_default())
}

/// `2 × MODEL`, from /proc/cpuinfo.
fn cpus(cpuinfo: &str) -> String {
    let models = cpuinfo.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == "model name").then(|| value.trim())
    });
    let models = models.collect::<Vec<_>>();
    match models.first() {
        Some(model) => format!("{} × {model}", models.len()),
        None => "unknown CPUs".to_owned(),
    }
}

/// From /proc/meminfo.
fn memory(meminfo: &str) -> String {
    let mut lines = meminfo.lines();
    let total = lines.find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|total| total.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.map_or("unknown memory".to_owned(), |kib| {
        format!("{:.0} GiB", kib / 1024.0 / 1024.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_named_by_its_cpus_and_memory() {
        let cpuinfo = "processor\t: 0\nmodel name\t: X 1\n\nprocessor\t: 1\nmodel name\t: X 1\n";
        assert_eq!(cpus(cpuinfo), "2 × X 1");
        assert_eq!(cpus(""), "unknown CPUs");
        assert_eq!(
            memory("MemTotal:       25165824 kB\nMemFree: 1 kB\n"),
            "24 GiB"
        );
        assert_eq!(memory(""), "unknown memory");
    }
}
