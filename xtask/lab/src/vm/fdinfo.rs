//! What the kernel tells of a process's eBPF by its descriptors, in /proc/PID/fdinfo: how often its programs on
//! tracepoints ran and for how long, and what its maps take. The guest's init and the bench both ask for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Init's word for it: prints the [`Process`]es as JSON.
pub const STEP: &str = "fdinfo";

/// A process that has programs on raw tracepoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// The programs.
    pub programs: Vec<Program>,
    /// What its maps take, by the kernel's account.
    pub map_bytes: u64,
    /// The largest resident memory so far, with what of the maps it has mapped.
    pub resident_bytes: u64,
}

/// A program on a raw tracepoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// The tracepoint.
    pub tracepoint: String,
    /// How often it ran while `kernel.bpf_stats_enabled` was set.
    pub runs: u64,
    /// How long it ran in all then, in nanoseconds, from the kernel's reading of the clock before it to that after.
    pub run_time_ns: u64,
}

/// All processes of the machine that have such programs.
pub fn of_all() -> Result<Vec<Process>> {
    let folders = fs::read_dir("/proc").context("cannot read /proc")?;
    let pids = folders
        .flatten()
        .filter_map(|folder| folder.file_name().to_str()?.parse().ok());
    let all = pids.filter_map(of);
    Ok(all.filter(|process| !process.programs.is_empty()).collect())
}

/// A process; `None` of one that has ended.
pub fn of(pid: u32) -> Option<Process> {
    let folder = Path::new("/proc").join(pid.to_string());
    let infos = fs::read_dir(folder.join("fdinfo")).ok()?.flatten();
    let infos = infos.filter_map(|info| fs::read_to_string(info.path()).ok());
    let (programs, map_bytes) = of_infos(infos);
    Some(Process {
        pid,
        programs,
        map_bytes,
        resident_bytes: most_resident(&fs::read_to_string(folder.join("status")).ok()?)?,
    })
}

/// The programs on tracepoints and what maps take, from the texts of all descriptors. A link tells program and
/// tracepoint, the program's own descriptor how often it ran.
fn of_infos(infos: impl Iterator<Item = String>) -> (Vec<Program>, u64) {
    let (mut linked, mut ran, mut maps) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for info in infos {
        let number = |name| field(&info, name)?.parse::<u64>().ok();
        if let Some((map, bytes)) = number("map_id").zip(number("memlock")) {
            maps.insert(map, bytes);
        } else if let Some(program) = number("prog_id") {
            if let Some(tracepoint) = field(&info, "tp_name") {
                linked.insert(program, tracepoint.to_owned());
            } else if let Some(of_program) = number("run_cnt").zip(number("run_time_ns")) {
                ran.insert(program, of_program);
            }
        }
    }
    let programs = linked.into_iter().filter_map(|(id, tracepoint)| {
        let &(runs, run_time_ns) = ran.get(&id)?;
        Some(Program {
            tracepoint,
            runs,
            run_time_ns,
        })
    });
    (programs.collect(), maps.values().sum())
}

/// What stands behind a name.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key == name).then(|| value.trim())
    })
}

/// The largest resident memory so far, in bytes, by /proc/PID/status.
pub fn most_resident(status: &str) -> Option<u64> {
    let kibibytes: u64 = field(status, "VmHWM")?
        .strip_suffix("kB")?
        .trim()
        .parse()
        .ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_and_its_program_are_one() {
        let infos = [
            "pos:\t0\nprog_type:\traw_tracepoint\nmemlock:\t4096\nprog_id:\t7\nrun_time_ns:\t900\nrun_cnt:\t3\n",
            "link_type:\traw_tracepoint\nlink_id:\t2\nprog_tag:\tab\nprog_id:\t7\ntp_name:\tcontention_end\n",
            // A program without a link is on no tracepoint, or is not yet attached.
            "prog_type:\tsyscall\nprog_id:\t8\nrun_time_ns:\t10\nrun_cnt:\t1\n",
            // Two descriptors of one map.
            "map_type:\t2\nmap_id:\t4\nmemlock:\t8192\n",
            "map_type:\t2\nmap_id:\t4\nmemlock:\t8192\n",
            "pos:\t0\nflags:\t02\n",
        ];
        let (programs, map_bytes) = of_infos(infos.into_iter().map(str::to_owned));
        let expected = Program {
            tracepoint: "contention_end".to_owned(),
            runs: 3,
            run_time_ns: 900,
        };
        assert_eq!((programs, map_bytes), (vec![expected], 8192));
    }

    #[test]
    fn the_kernels_words_are_understood() {
        assert_eq!(
            most_resident("VmPeak:\t 9 kB\nVmHWM:\t    2048 kB\n"),
            Some(2 << 20)
        );
        assert_eq!(most_resident("State:\tZ (zombie)\n"), None);
        let ours = of(std::process::id()).unwrap();
        assert!(ours.programs.is_empty() && ours.resident_bytes > 0);
    }
}
