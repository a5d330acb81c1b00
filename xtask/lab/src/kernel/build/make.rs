//! make: how far it is, and what went wrong.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::tree::Tree;
use crate::apt::write;
use crate::process;

/// The log of make, beside the objects.
const LOG: &str = "make.log";
/// How many steps the last whole build of the tree took.
const STEPS: &str = "steps";
/// Of a tree that was never built: the lab's configuration of Linux 6.12.
const ABOUT_STEPS: usize = 1300;
/// Between two lines on how far it is.
const TELL: Duration = Duration::from_secs(20);
/// Lines of the log in an error.
const LAST_LINES: usize = 12;

/// The compiler and what else makes the bytes, by their versions.
pub fn compiler() -> Result<String> {
    let first_line = |program: &str| -> Result<String> {
        let text = process::output(Command::new(program).arg("--version"))?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    };
    let versions = ["gcc", "ld", "pahole"].map(first_line);
    let versions = versions.into_iter().collect::<Result<Vec<_>>>()?;
    Ok(versions.join("\n"))
}

/// Builds the kernel of a tree, and says its release.
pub fn kernel(tree: &Tree, name: &str) -> Result<String> {
    let log = tree.objects.join(LOG);
    let output = File::create(&log).with_context(|| format!("cannot make {}", log.display()))?;
    let errors = output
        .try_clone()
        .with_context(|| format!("cannot write {}", log.display()))?;
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    // The name is in no configuration, so that all kernels of a tree have the same.
    let local_version = format!("LOCALVERSION=-{name}");
    let mut command = tree.make();
    command
        .arg(format!("-j{jobs}"))
        .arg(&local_version)
        .arg("bzImage")
        // make leaves its own children to the terminal's signals: so they get them as one.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors);
    eprintln!("$ {}", process::display(&command));
    // What an earlier build left is not this kernel.
    if tree.image().is_file() {
        fs::remove_file(tree.image())
            .with_context(|| format!("cannot remove {}", tree.image().display()))?;
    }
    let whole = fs::read_to_string(tree.objects.join(STEPS));
    let first = whole.is_err();
    let mut progress = Progress::new(first);
    let mut child = process::spawn(&mut command)?;
    let status = process::wait_while(&mut child, &command, || progress.tell(&log))?;
    if !status.success() || !tree.image().is_file() {
        bail!(
            "make failed ({status}); its log is {}, and ends:\n{}",
            log.display(),
            last_lines(&fs::read_to_string(&log).unwrap_or_default())
        );
    }
    if first {
        write(&tree.objects.join(STEPS), &steps(&log).to_string())?;
    }
    let release = process::output(
        tree.make()
            .args(["--silent", "--no-print-directory"])
            .arg(&local_version)
            .arg("kernelrelease"),
    )?;
    Ok(release.trim().to_owned())
}

/// Says now and then how far it is.
struct Progress {
    started: Instant,
    told: Instant,
    /// Of a tree's first build, which makes everything.
    first: bool,
}

impl Progress {
    fn new(first: bool) -> Self {
        let now = Instant::now();
        Self {
            started: now,
            told: now,
            first,
        }
    }

    fn tell(&mut self, log: &Path) {
        if self.told.elapsed() < TELL {
            return;
        }
        self.told = Instant::now();
        let done = steps(log);
        let time = self.started.elapsed().as_secs();
        let far = far(done, self.first);
        eprintln!("kernel: {far}, {} min {:02} s", time / 60, time % 60);
    }
}

/// How far a build is that has done so many steps.
fn far(done: usize, first: bool) -> String {
    if first {
        let share = (done * 100 / ABOUT_STEPS).min(99);
        format!("{share} % of about {ABOUT_STEPS} steps")
    } else {
        format!("{done} steps")
    }
}

/// What make has done: the lines of its log that are indented.
fn steps(log: &Path) -> usize {
    let text = fs::read(log).unwrap_or_default();
    text.split(|byte| *byte == b'\n')
        .filter(|line| line.starts_with(b"  "))
        .count()
}

/// The last lines that say what went wrong: those from the first error on, else the end.
fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let is_error = |line: &&str| line.contains("error:") || line.contains("Error ");
    let from = lines
        .iter()
        .position(is_error)
        .unwrap_or(lines.len().saturating_sub(LAST_LINES));
    let until = (from + LAST_LINES).min(lines.len());
    lines[from..until].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_shown_and_not_what_came_after_it() {
        let mut log =
            String::from("  CC      a.o\nkernel/exit.c:3:1: error: no\nmake: *** Error 1\n");
        log.push_str(&"  CC      more.o\n".repeat(50));
        let shown = last_lines(&log);
        assert!(shown.starts_with("kernel/exit.c:3:1: error: no"), "{shown}");
        assert_eq!(shown.lines().count(), LAST_LINES);
        assert_eq!(last_lines("a\nb\n"), "a\nb");
    }

    /// A whole build of the lab's configuration takes about 1300 steps.
    #[test]
    fn half_of_the_steps_are_half_of_the_build() {
        assert_eq!(far(650, true), "50 % of about 1300 steps");
        assert_eq!(far(1400, true), "99 % of about 1300 steps");
        assert_eq!(far(1400, false), "1400 steps");
    }

    #[test]
    fn steps_are_the_indented_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        fs::write(&log, "make[1]: x\n  CC      a.o\n  LD      b.o\nwarning\n").unwrap();
        assert_eq!(steps(&log), 2);
        assert_eq!(steps(Path::new("/nonexistent")), 0);
    }
}
