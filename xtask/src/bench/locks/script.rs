//! The script that a user would write by hand to see what the machine waits for: every lock, however it is
//! waited for.

use crate::bench::observer::Observer;

/// What it prints when everything has been attached for a while.
pub const READY: &str = "attached";
/// Where a guest has it.
const PLACE: &str = "/tmp/every_lock.bt";

/// Its name by lock, in the results.
pub const BPFTRACE_LOCK: &str = "bpftrace-lock";
/// And by all that it can tell.
pub const BPFTRACE_ALL: &str = "bpftrace-task-stack";

/// What the script keeps waits apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The lock's address.
    Lock,
    /// The waiting task and its call stack as well.
    TaskAndStack,
}

impl By {
    /// bpftrace with the script, in a guest.
    pub fn observer(self) -> Observer {
        let (name, what) = match self {
            Self::Lock => (BPFTRACE_LOCK, "bpftrace script by lock"),
            Self::TaskAndStack => (
                BPFTRACE_ALL,
                "bpftrace script by lock, waiting task and call stack",
            ),
        };
        Observer::program(name, what, &["bpftrace", "-B", "line", PLACE], READY)
            .with_file(PLACE, &self.script())
    }

    /// The script. A wait is that of a task for a lock: the inner lock of a rwlock is waited for meanwhile.
    pub fn script(self) -> String {
        let key = match self {
            Self::Lock => "arg0",
            Self::TaskAndStack => "arg0, tid, kstack",
        };
        format!(
            r#"rawtracepoint:contention_begin {{
  @since[tid, arg0] = nsecs;
}}
rawtracepoint:contention_end {{
  $since = @since[tid, arg0];
  if ($since != 0) {{
    @waited[{key}] = stats(nsecs - $since);
    delete(@since[tid, arg0]);
  }}
}}
interval:s:1 {{
  if (@said == 0) {{
    @said = 1;
    printf("{READY}\n");
  }}
}}
END {{
  clear(@since);
  clear(@said);
}}
"#
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_differ_in_their_key_alone() {
        let [lock, all] = [By::Lock, By::TaskAndStack].map(By::script);
        assert!(lock.contains("@waited[arg0] ="), "{lock}");
        assert_eq!(lock.replace("[arg0]", "[arg0, tid, kstack]"), all);
    }
}
