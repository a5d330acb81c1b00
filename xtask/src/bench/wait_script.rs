//! A bpftrace script over the two contention tracepoints, on the machine itself: waits of locks whose waiters
//! spin, without stacks.

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use lab::process;
use serde_json::Value;

use super::peers::Peers;
use super::results::{SeenWaits, Waits};

/// What it prints when everything is attached.
const READY: &str = "attached";

/// A wait is that of a CPU for a lock: spinning (LCB_F_SPIN, 1), and no mutex (LCB_F_MUTEX, 32), whose
/// waiter spins before it sleeps. Keyed by both, for the lock inside of a rwlock is waited for meanwhile.
const SCRIPT: &str = r#"
rawtracepoint:contention_begin {
  if ((arg1 & 33) == 1) {
    @since[cpu, arg0] = nsecs;
  }
}
rawtracepoint:contention_end {
  $since = @since[cpu, arg0];
  if ($since != 0) {
    $waited = nsecs - $since;
    @count[arg0] = count();
    @waited[arg0] = sum($waited);
    @all_count = count();
    @all_waited = sum($waited);
    delete(@since[cpu, arg0]);
  }
}
interval:s:1 {
  if (@said == 0) {
    @said = 1;
    printf("attached\n");
  }
}
END {
  clear(@since);
  clear(@said);
}
"#;

/// Runs a command where tracefs is mounted, which bpftrace looks for, without mounting it for others.
const WITH_TRACEFS: &str = "mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs \
    /sys/kernel/tracing; exec \"$@\"";
/// Functions by which bpftrace knows that a raw tracepoint is there; its own list of them is one that not
/// every kernel lets be read.
const TRACEABLE: &str = "__probestub_contention_begin\n__probestub_contention_end\n\
    __traceiter_contention_begin\n__traceiter_contention_end\n";

/// bpftrace, while it runs.
pub struct ScriptRun {
    _traceable: tempfile::NamedTempFile,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl ScriptRun {
    /// Starts it, and returns when everything is attached.
    pub fn start(peers: &Peers) -> Result<Self> {
        Self::start_with(peers, SCRIPT)
    }

    /// The same with another script that says when it is attached.
    pub fn start_with(peers: &Peers, script: &str) -> Result<Self> {
        let mut traceable = tempfile::NamedTempFile::new().context("cannot make a file")?;
        traceable
            .write_all(TRACEABLE.as_bytes())
            .context("cannot write a file")?;
        let bpftrace = peers.bpftrace.command_here()?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", WITH_TRACEFS, "sh"]);
        command
            .arg(bpftrace.get_program())
            .args(bpftrace.get_args());
        command.arg("--traceable-functions").arg(traceable.path());
        command.args(["-B", "line", "-f", "json", "-e", script]);
        process::die_with_us(&mut command, libc::SIGINT);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start bpftrace")?;
        let output = child.stdout.take().context("bpftrace has no output")?;
        let mut lines = BufReader::new(output).lines();
        for line in lines.by_ref() {
            if line
                .context("cannot read what bpftrace prints")?
                .contains(READY)
            {
                return Ok(Self {
                    _traceable: traceable,
                    child,
                    lines,
                });
            }
        }
        let mut said = String::new();
        if let Some(mut errors) = child.stderr.take() {
            let _ = errors.read_to_string(&mut said);
        }
        child.wait().context("cannot wait for bpftrace")?;
        bail!("bpftrace ended at once: {}", said.trim_end())
    }

    /// Ends it; what it prints then.
    pub fn end(self) -> Result<String> {
        let Self {
            _traceable,
            mut child,
            lines,
        } = self;
        let pid = libc::pid_t::try_from(child.id()).context("a process number")?;
        // SAFETY: kill() has no preconditions, and the child has not been waited for.
        unsafe { libc::kill(pid, libc::SIGINT) };
        let lines = lines.collect::<Result<Vec<_>, _>>();
        let status = child.wait().context("cannot wait for bpftrace")?;
        if !status.success() {
            bail!("bpftrace ended with {status}");
        }
        Ok(lines
            .context("cannot read what bpftrace prints")?
            .join("\n"))
    }
}

/// Waits a second, by the maps that the script leaves.
pub fn seen(printed: &str, target: u64, seconds: f64) -> Result<SeenWaits> {
    let of = |name: &str, key: Option<u64>| -> Result<f64> {
        let maps = printed.lines().filter_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            line["data"].get(name).cloned()
        });
        let mut maps = maps;
        let map = maps
            .next()
            .with_context(|| format!("bpftrace left no {name}"))?;
        let value = match key {
            None => map.as_f64(),
            Some(key) => {
                let keys = [
                    key.to_string(),
                    (key as i64).to_string(),
                    format!("{key:#x}"),
                ];
                // A lock that nobody waited for is not in it.
                let found = keys.iter().find_map(|key| map.get(key)).map(Value::as_f64);
                found.unwrap_or(Some(0.0))
            }
        };
        Ok(value.with_context(|| format!("{name} is no number"))? / seconds)
    };
    Ok(SeenWaits {
        target: Waits {
            count: of("@count", Some(target))?,
            waited_ns: of("@waited", Some(target))?,
        },
        all: Waits {
            count: of("@all_count", None)?,
            waited_ns: of("@all_waited", None)?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maps_are_read() {
        let printed = r#"{"type": "map", "data": {"@all_count": 12}}
{"type": "map", "data": {"@all_waited": 900}}
{"type": "map", "data": {"@count": {"-2097123200": 1, "18446744071612432512": 4}}}
{"type": "map", "data": {"@waited": {"18446744071612432512": 400}}}
"#;
        let found = seen(printed, 0xffff_ffff_8300_8080, 2.0).unwrap();
        assert_eq!((found.target.count, found.target.waited_ns), (2.0, 200.0));
        assert_eq!((found.all.count, found.all.waited_ns), (6.0, 450.0));
        assert_eq!(seen(printed, 7, 2.0).unwrap().target.count, 0.0);
        assert!(seen("", 7, 2.0).is_err());
    }
}
