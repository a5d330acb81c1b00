//! Ten minutes on 24 CPUs: what a report of it takes.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use lockprof::recording::{Folder, RecordingWriter};

use crate::fixture::Synthetic;

/// The most that a report may need, in KiB, as the shell counts address space: a child's own record
/// of its memory begins with that of the tests' process.
const MOST_KIB: u32 = 200 << 10;

/// What a child used.
struct Used {
    wall: Duration,
    cpu: Duration,
}

/// Runs lockprof to its end.
#[expect(
    clippy::zombie_processes,
    reason = "it is waited for by wait4, which says what it used"
)]
fn lockprof(arguments: &[&str], recording: &Path) -> Used {
    let started = Instant::now();
    let child = Command::new("sh")
        .arg("-c")
        .arg(format!("ulimit -v {MOST_KIB} && exec \"$0\" \"$@\""))
        .arg(env!("CARGO_BIN_EXE_lockprof"))
        .arg("report")
        .arg(recording)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let mut status = 0;
    // SAFETY: rusage is plain integers, for which zero bytes are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values, and the child is ours and not waited for elsewhere.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    assert_eq!((waited, status), (pid, 0));
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec.cast_unsigned())
            + Duration::from_micros(time.tv_usec.cast_unsigned())
    };
    Used {
        wall: started.elapsed(),
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
    }
}

#[test]
fn ten_minutes_on_24_cpus_take_little() {
    let synthetic = Synthetic {
        cpus: 24,
        intervals: 600,
        holds: 50,
        ..Synthetic::default()
    };
    let folder = tempfile::tempdir().unwrap();
    let mut writer = RecordingWriter::create(Folder::open(folder.path()).unwrap()).unwrap();
    for line in synthetic.lines() {
        writer.write(&line).unwrap();
    }
    let bytes = writer.path().metadata().unwrap().len();
    let page = folder.path().join("report.html");
    for arguments in [
        &["--format", "table"][..],
        &["--format", "html", "-o", page.to_str().unwrap()],
    ] {
        let used = lockprof(arguments, folder.path());
        println!(
            "{arguments:?} of {} MiB: {:.2} s, {:.2} s of CPU time",
            bytes >> 20,
            used.wall.as_secs_f64(),
            used.cpu.as_secs_f64(),
        );
        // Of CPU time, which other work on the machine does not add to; optimised, as it is installed.
        assert!(cfg!(debug_assertions) || used.cpu <= Duration::from_secs(1));
    }
    assert!(page.metadata().unwrap().len() < 1_000_000);
}
