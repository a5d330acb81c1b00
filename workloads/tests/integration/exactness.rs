//! The ground truth against arithmetic and against the kernel's own counters.

use std::fs;

use workloads::{Mode, Workload};

use crate::run::{all_combinations, ground_truth_of};

#[test]
fn iterations_are_exact() {
    for (workload, mode) in all_combinations() {
        let (name, mode_name) = (workload.name(), mode.name());
        let truth = ground_truth_of(&format!(
            "{name} -t 3 --mode {mode_name} --iterations 40 --warm-up 0"
        ));
        assert_eq!((truth.workload, truth.mode), (workload, mode));
        assert_eq!((truth.tasks, truth.stopped_early), (3, false));
        assert_eq!(truth.iterations, 120, "{truth:?}");
        assert_eq!(truth.iterations_attempted_total, 120, "{truth:?}");
        assert_eq!((truth.per_task_min, truth.per_task_max), (40, 40));
        assert!(truth.duration_s > 0.0 && truth.warm_up_s == 0.0);

        let processes = if mode == Mode::Processes { 3 } else { 1 };
        let threads = if mode == Mode::Processes { 0 } else { 3 };
        let lives = 120 * lives_of(workload);
        assert_eq!(truth.tasks_created, processes + threads + lives);
        assert_eq!(truth.tasks_reaped, truth.tasks_created);

        let is_nullhold = workload == Workload::Nullhold;
        let is_signalgroup = workload == Workload::Signalgroup;
        assert_eq!(truth.null_holds, if is_nullhold { 120 } else { 0 });
        assert_eq!(truth.setsid_calls, if is_nullhold { processes } else { 0 });
        let groups = if is_signalgroup { processes } else { 0 };
        assert_eq!(truth.setpgid_calls, groups);
        let taken = truth
            .lock
            .map(|lock| (lock.name, lock.exclusive, lock.shared));
        let expected = match workload {
            Workload::Mmap => Some(("mm_struct.mmap_lock", 240, 0)),
            Workload::Mincore => Some(("mm_struct.mmap_lock", 0, 120)),
            Workload::Create => Some(("inode.i_rwsem of the folder", 240, 0)),
            Workload::Rename => Some(("inode.i_rwsem of both folders", 480, 0)),
            Workload::Cgroup => Some(("cgroup_mutex", 120, 0)),
            Workload::Mkcgroup => Some(("cgroup_mutex", 240, 0)),
            Workload::Pipe => Some(("pipe_inode_info.mutex of the pipe", 240, 0)),
            Workload::Filelock => Some(("file_lock_context.flc_lock of the file", 240, 0)),
            Workload::Hostname => Some(("uts_sem", 120, 0)),
            Workload::Uname => Some(("uts_sem", 0, 120)),
            _ => None,
        };
        let expected = expected.map(|(name, writes, reads)| (name.to_owned(), writes, reads));
        assert_eq!(taken, expected);
    }
}

/// Tasks of an iteration.
fn lives_of(workload: Workload) -> u64 {
    let makes_tasks = matches!(
        workload,
        Workload::Threadspawn | Workload::Barethread | Workload::Forkexit
    );
    u64::from(makes_tasks)
}

#[test]
fn threads_are_shared_out_among_processes() {
    for (workload, _) in all_combinations().filter(|(_, mode)| *mode == Mode::Threads) {
        let truth = ground_truth_of(&format!(
            "{} -t 7 --mode threads --threads-each 3 --iterations 40 --warm-up 0",
            workload.name()
        ));
        assert_eq!((truth.tasks, truth.mode), (7, Mode::Threads));
        assert_eq!((truth.iterations, truth.per_task_min), (280, 40));
        // Processes of three workers, of three and of one.
        let lives = 280 * lives_of(workload);
        assert_eq!(truth.tasks_created, 3 + 7 + lives, "{truth:?}");
        let is_nullhold = workload == Workload::Nullhold;
        assert_eq!(truth.setsid_calls, if is_nullhold { 3 } else { 0 });
    }
}

#[test]
fn warm_up_comes_on_top_of_iterations() {
    for (workload, mode) in all_combinations() {
        let (name, mode) = (workload.name(), mode.name());
        let truth = ground_truth_of(&format!(
            "{name} -t 2 --mode {mode} --iterations 25 --warm-up 0.2"
        ));
        assert_eq!(truth.iterations, 50, "{truth:?}");
        assert_eq!((truth.per_task_min, truth.per_task_max), (25, 25));
        assert!(truth.iterations_attempted_total >= 50, "{truth:?}");
        assert!(truth.warm_up_s >= 0.2, "{truth:?}");
    }
}

#[test]
fn duration_is_measured() {
    let truth = ground_truth_of("nullhold -d 0.3 --warm-up 0.1");
    assert!(truth.duration_s >= 0.3, "{truth:?}");
    let per_second = f64::from(u32::try_from(truth.iterations).unwrap()) / truth.duration_s;
    assert!(
        (truth.per_second.unwrap() - per_second).abs() < 0.01,
        "{truth:?}"
    );
    // The warm-up and the tail are no part of the window.
    assert!(truth.iterations < truth.iterations_attempted_total);
    assert_eq!(truth.null_holds, truth.iterations_attempted_total);
}

#[test]
fn kernel_counts_no_fewer_lives() {
    for (workload, mode) in all_combinations() {
        let (name, mode) = (workload.name(), mode.name());
        let before = forks_since_boot();
        let truth = ground_truth_of(&format!("{name} -t 2 --mode {mode} -d 0.3 --warm-up 0.1"));
        let forks = forks_since_boot() - before;
        // The main process is the one life that the ground truth leaves to its spawner.
        assert!(forks > truth.tasks_created, "{forks} forks, {truth:?}");
    }
}

#[test]
fn workers_are_pinned_only_where_cpus_suffice() {
    let cpus = std::thread::available_parallelism().unwrap().get();
    assert!(ground_truth_of("nullhold -t 1 --iterations 1 --warm-up 0").affinity);
    assert!(!ground_truth_of("nullhold --no-affinity --iterations 1 --warm-up 0").affinity);
    let too_many = format!("nullhold -t {} --iterations 1 --warm-up 0", 4 * cpus + 64);
    assert!(!ground_truth_of(&too_many).affinity);
}

fn forks_since_boot() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let line = stat
        .lines()
        .find_map(|line| line.strip_prefix("processes "));
    line.unwrap().trim().parse().unwrap()
}
