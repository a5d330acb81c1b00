//! The script that a user would write by hand: holds and waits of the same lock.

use super::observer::{LOCK, Observer, UNLOCK};

/// What the script prints two seconds after everything was attached.
const READY: &str = "attached";
/// Where a guest has the script.
const PLACE: &str = "/tmp/hold_and_wait.bt";

/// How bpftrace hooks functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// fentry and fexit.
    Kfunc,
    /// kprobe and kretprobe.
    Kprobe,
}

impl Form {
    /// bpftrace's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kfunc => "kfunc",
            Self::Kprobe => "kprobe",
        }
    }
}

/// A lock, and the functions that take it and give it back.
#[derive(Clone, Copy, Debug)]
pub struct Traced {
    /// Its symbol.
    pub symbol: &'static str,
    /// What takes it.
    pub lock: &'static str,
    /// What gives it back.
    pub unlock: &'static str,
}

/// The lock that all began with.
const TASKLIST_LOCK: Traced = Traced {
    symbol: "tasklist_lock",
    lock: LOCK,
    unlock: UNLOCK,
};

/// bpftrace with the script about tasklist_lock.
pub fn observer(form: Form) -> Observer {
    observer_of(form, TASKLIST_LOCK)
}

/// The same about another lock.
pub fn observer_of(form: Form, traced: Traced) -> Observer {
    Observer::program(
        &format!("bpftrace-{}", form.name()),
        &format!("bpftrace script by {}, holds and waits", form.name()),
        &["bpftrace", "-B", "line", PLACE],
        READY,
    )
    .with_file(PLACE, &script(form, traced))
}

/// The script: a time stamp for each task at the request and at the acquisition, and a histogram of
/// each difference.
fn script(form: Form, traced: Traced) -> String {
    let Traced {
        symbol,
        lock: takes,
        unlock: gives_back,
    } = traced;
    let (entry, exit, lock) = match form {
        Form::Kfunc => ("kfunc", "kretfunc", "(uint64)args->lock"),
        Form::Kprobe => ("kprobe", "kretprobe", "arg0"),
    };
    format!(
        r#"{entry}:{takes} /{lock} == kaddr("{symbol}")/ {{
  @requested[tid] = nsecs;
}}
{exit}:{takes} /@requested[tid]/ {{
  $now = nsecs;
  @wait_ns = hist($now - @requested[tid]);
  delete(@requested[tid]);
  @acquired[tid] = $now;
}}
{entry}:{gives_back} /@acquired[tid]/ {{
  @hold_ns = hist(nsecs - @acquired[tid]);
  delete(@acquired[tid]);
}}
interval:s:2 /!@said/ {{
  @said = 1;
  printf("{READY}\n");
}}
END {{
  clear(@requested);
  clear(@acquired);
  clear(@said);
}}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_hook_the_same_three_places() {
        for (form, entry, exit) in [
            (Form::Kfunc, "kfunc:", "kretfunc:"),
            (Form::Kprobe, "kprobe:", "kretprobe:"),
        ] {
            let script = script(form, TASKLIST_LOCK);
            assert_eq!(
                script.matches(&format!("\n{entry}_raw")).count() + 1,
                2,
                "{script}"
            );
            assert!(script.contains(&format!("{exit}{LOCK}")), "{script}");
            assert!(script.contains(&format!("{entry}{UNLOCK}")), "{script}");
        }
    }
}
