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
    /// The name of the lock among the parameters of either.
    pub parameter: &'static str,
}

/// The lock that all began with.
const TASKLIST_LOCK: Traced = Traced {
    symbol: "tasklist_lock",
    lock: LOCK,
    unlock: UNLOCK,
    parameter: "lock",
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

/// The same by fentry and fexit where a condition holds at the request, on the command line.
pub fn observer_where(condition: &str, takes: &str, gives_back: &str) -> Observer {
    let kfunc = Form::Kfunc;
    Observer::program(
        &format!("bpftrace-{}", kfunc.name()),
        &format!("bpftrace script by {}, holds and waits", kfunc.name()),
        &[
            "bpftrace",
            "-B",
            "line",
            "-e",
            &script_where(kfunc, condition, takes, gives_back),
        ],
        READY,
    )
}

fn script(form: Form, traced: Traced) -> String {
    let lock = match form {
        Form::Kfunc => format!("(uint64)args->{}", traced.parameter),
        Form::Kprobe => "arg0".to_owned(),
    };
    let condition = format!("{lock} == kaddr(\"{}\")", traced.symbol);
    script_where(form, &condition, traced.lock, traced.unlock)
}

/// The script: a time stamp for each task at the request and at the acquisition, and a histogram of
/// each difference.
fn script_where(form: Form, condition: &str, takes: &str, gives_back: &str) -> String {
    let (entry, exit) = match form {
        Form::Kfunc => ("kfunc", "kretfunc"),
        Form::Kprobe => ("kprobe", "kretprobe"),
    };
    format!(
        r#"{entry}:{takes} /{condition}/ {{
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
