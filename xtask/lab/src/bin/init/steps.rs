//! The steps of a script, and their processes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lab::vm::protocol::{GuestScript, Kind, Step, StepEnd};
use rustix::thread::CapabilitySet;

use crate::output::Port;
use crate::user;

/// The cgroup of a step that is starved.
const STARVED: &str = "/sys/fs/cgroup/starved";

/// Runs all steps, and waits for those in the background after the last one.
pub fn run(port: &mut Port, script: &GuestScript) -> Result<()> {
    let mut running: BTreeMap<u16, Running> = BTreeMap::new();
    for (index, step) in script.steps.iter().enumerate() {
        let index = u16::try_from(index).context("too many steps")?;
        if step.await_step.is_none() {
            sleep(port, &mut running, Duration::from_millis(step.delay_ms))?;
        }
        if let Some((earlier, signal)) = step.signal_step
            && let Some(other) = u16::try_from(earlier).ok().and_then(|e| running.get(&e))
        {
            other.signal(signal);
        }
        if let Some(other) = step
            .starve_step
            .and_then(|earlier| running.get(&u16::try_from(earlier).ok()?))
        {
            other.starve()?;
        }
        if let Some(earlier) = step.await_step {
            let earlier = u16::try_from(earlier).context("too many steps")?;
            while running.contains_key(&earlier) {
                wait_for_news(port, &mut running, None)?;
            }
            sleep(port, &mut running, Duration::from_millis(step.delay_ms))?;
        }
        for path in &step.folders {
            fs::create_dir_all(path).with_context(|| format!("cannot make {path}"))?;
        }
        for (path, content) in &step.writes {
            fs::write(path, content).with_context(|| format!("cannot write {path}"))?;
        }
        if step.argv.is_empty() {
            continue;
        }
        port.send(Kind::StatBefore, index, &read_stat()?)?;
        match Running::start(step) {
            Ok(started) => {
                running.insert(index, started);
            }
            Err(error) => bail!("cannot start {:?}: {error}", step.argv),
        }
        while running.get(&index).is_some_and(Running::holds_up_the_next) {
            wait_for_news(port, &mut running, None)?;
        }
    }
    while !running.is_empty() {
        wait_for_news(port, &mut running, None)?;
    }
    Ok(())
}

/// A step's process, its pipes and what is planned for it.
struct Running {
    child: Child,
    exit: OwnedFd,
    stdout: Option<File>,
    stderr: Option<File>,
    started: Instant,
    background: bool,
    ready: Option<String>,
    tail: Vec<u8>,
}

impl Running {
    fn start(step: &Step) -> io::Result<Self> {
        let (program, arguments) = step.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let started = Instant::now();
        let mut command = Command::new(program);
        if let Some(mask) = step.unprivileged {
            let capabilities = CapabilitySet::from_bits_retain(mask);
            // SAFETY: between fork and exec only system calls are made, and no memory is allocated.
            unsafe { command.pre_exec(move || user::become_nobody(capabilities)) };
        }
        let mut child = command
            .args(arguments)
            .env_clear()
            .envs([("PATH", "/bin"), ("HOME", "/"), ("TERM", "dumb")])
            .envs(&step.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        // SAFETY: the call takes two integers; it gives a descriptor or -1.
        let exit = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
        if exit < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: pidfd_open() gave this descriptor to us and to nobody else.
        let exit = unsafe { OwnedFd::from_raw_fd(exit as i32) };
        Ok(Self {
            stdout: child.stdout.take().map(|pipe| OwnedFd::from(pipe).into()),
            stderr: child.stderr.take().map(|pipe| OwnedFd::from(pipe).into()),
            child,
            exit,
            started,
            background: step.background,
            ready: step.ready.clone(),
            tail: Vec::new(),
        })
    }

    fn holds_up_the_next(&self) -> bool {
        !self.background || self.ready.is_some()
    }

    fn signal(&self, signal: i32) {
        // SAFETY: takes integers only; the process is not reaped yet, so the id is still its own.
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }

    /// Keeps the process from the CPUs, in a way that its state does not tell (Documentation/admin-guide/cgroup-v2.rst:
    /// a frozen process can be killed).
    fn starve(&self) -> Result<()> {
        fs::create_dir(STARVED).with_context(|| format!("cannot make {STARVED}"))?;
        for (file, content) in [
            ("cgroup.procs", self.child.id().to_string()),
            ("cgroup.freeze", "1".to_owned()),
        ] {
            let path = format!("{STARVED}/{file}");
            fs::write(&path, content).with_context(|| format!("cannot write {path}"))?;
        }
        Ok(())
    }

    /// Looks for the text that says that a background step is ready, across reads.
    fn look_for_ready(&mut self, bytes: &[u8]) {
        let Some(ready) = &self.ready else { return };
        self.tail.extend_from_slice(bytes);
        if self
            .tail
            .windows(ready.len())
            .any(|window| window == ready.as_bytes())
        {
            self.ready = None;
        } else {
            let keep = self.tail.len().saturating_sub(ready.len());
            self.tail.drain(..keep);
        }
    }
}

/// Sleeps until a step prints or ends, or until `until` is due, and passes on what it finds.
fn wait_for_news(
    port: &mut Port,
    running: &mut BTreeMap<u16, Running>,
    until: Option<Instant>,
) -> Result<()> {
    let timeout = until.map_or(-1, |at| {
        let left = at.saturating_duration_since(Instant::now());
        i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
    });
    let mut polled = Vec::new();
    for one in running.values() {
        let pipes =
            [&one.stdout, &one.stderr].map(|pipe| pipe.as_ref().map_or(-1, AsRawFd::as_raw_fd));
        // poll() skips negative descriptors.
        for fd in [pipes[0], pipes[1], one.exit.as_raw_fd()] {
            polled.push(libc::pollfd {
                fd,
                events: libc::POLLIN,
                revents: 0,
            });
        }
    }
    // SAFETY: pointer and length are those of one live vector.
    unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout) };

    let mut ended = Vec::new();
    for ((index, one), events) in running.iter_mut().zip(polled.chunks(3)) {
        if events[0].revents != 0
            && let Some(bytes) = read_some(&mut one.stdout)
        {
            one.look_for_ready(&bytes);
            port.send(Kind::Stdout, *index, &bytes)?;
        }
        if events[1].revents != 0
            && let Some(bytes) = read_some(&mut one.stderr)
        {
            one.look_for_ready(&bytes);
            port.send(Kind::Stderr, *index, &bytes)?;
        }
        // The end of the process is its step's end, once its pipes have nothing more: a
        // grandchild that keeps a pipe open does not count.
        if events[2].revents != 0 && events[0].revents == 0 && events[1].revents == 0 {
            ended.push(*index);
        }
    }
    for index in ended {
        let Some(mut one) = running.remove(&index) else {
            continue;
        };
        let status = one.child.wait().context("cannot reap a step")?;
        let end = StepEnd {
            code: status.code(),
            signal: status.signal(),
            seconds: one.started.elapsed().as_secs_f64(),
        };
        port.send(Kind::StatAfter, index, &read_stat()?)?;
        port.send(Kind::Ended, index, &serde_json::to_vec(&end)?)?;
    }
    Ok(())
}

fn sleep(port: &mut Port, running: &mut BTreeMap<u16, Running>, length: Duration) -> Result<()> {
    let until = Instant::now() + length;
    while Instant::now() < until {
        wait_for_news(port, running, Some(until))?;
    }
    Ok(())
}

/// Reads what a pipe has; closes it at its end.
fn read_some(pipe: &mut Option<File>) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 1 << 16];
    match pipe.as_mut()?.read(&mut buffer) {
        Ok(length) if length > 0 => {
            buffer.truncate(length);
            Some(buffer)
        }
        _ => {
            *pipe = None;
            None
        }
    }
}

fn read_stat() -> Result<Vec<u8>> {
    fs::read("/proc/stat").context("cannot read /proc/stat")
}
