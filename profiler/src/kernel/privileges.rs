//! What lockprof does with which capability (capabilities(7)). This is the one table of them: `lockprof doctor` and
//! README print it, and by it the daemon gives up what it can do without.

use std::fmt::Write as _;

pub use rustix::thread::CapabilitySet;
use serde::{Serialize, Serializer};
use workloads::Workload;

use super::release::version;
use crate::recording::schema::Method;

/// How long a daemon keeps a capability that it was started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// Until the programs are loaded and the load runs.
    ToAttach,
    /// The same. Before Linux 5.19 to the end: there `kernel.unprivileged_bpf_disabled` asks it of every call of
    /// bpf(), and since commit c8644cd0efe7 of those that make programs and maps.
    ForOldKernels,
    /// The same. To the end where probes are kprobes, which are perf events: opening one asks for it
    /// (kernel/events/core.c, `perf_kprobe_event_init`), and windows open them again.
    ForKprobes,
    /// The same. To the end where there are windows: a wait that begins in one without probes has no event, and is
    /// known by the stack of its task alone (/proc/PID/stack; fs/proc/base.c, `proc_pid_stack`).
    ForStacks,
    /// As long as there is a load.
    ForALoad,
    /// To the end.
    ToTheEnd,
}

impl Kept {
    /// Until when, in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::ToAttach => "the load runs",
            Self::ForOldKernels => "the load runs; before Linux 5.19 the end",
            Self::ForKprobes => "the load runs; by kprobe the end",
            Self::ForStacks => "the load runs; with windows, and of `lockprof locks`, the end",
            Self::ForALoad => "the load has ended, if there is one",
            Self::ToTheEnd => "the end",
        }
    }

    fn applies(self, measuring: &Measuring<'_>) -> bool {
        match self {
            Self::ToAttach => false,
            Self::ForOldKernels => version(measuring.release).is_none_or(|known| known < (5, 19)),
            Self::ForKprobes => measuring.method == Method::Kprobe,
            Self::ForStacks => measuring.reads_stacks,
            Self::ForALoad => measuring.has_load,
            Self::ToTheEnd => true,
        }
    }
}

/// A capability that lockprof has a use for.
#[derive(Clone, Copy, Debug)]
pub struct Privilege {
    /// Its name.
    pub name: &'static str,
    /// The same as a set.
    pub capability: CapabilitySet,
    /// What is lost without it: a clause.
    pub without: &'static str,
    /// How long the daemon keeps it.
    pub kept: Kept,
}

/// All of them.
pub const PRIVILEGES: [Privilege; 10] = [
    Privilege {
        name: "CAP_BPF",
        capability: CapabilitySet::BPF,
        without: "nothing can be attached, unless there is CAP_SYS_ADMIN",
        kept: Kept::ForOldKernels,
    },
    Privilege {
        name: "CAP_PERFMON",
        capability: CapabilitySet::PERFMON,
        without: "nothing can be attached, unless there is CAP_SYS_ADMIN",
        kept: Kept::ForKprobes,
    },
    Privilege {
        name: "CAP_SYSLOG",
        capability: CapabilitySet::SYSLOG,
        without: "functions have no names and sites are unknown, unless kernel.kptr_restrict is 0 and \
                  kernel.perf_event_paranoid at most 1; the lock's address is learned by fentry or kprobe, \
                  and otherwise not known",
        kept: Kept::ToAttach,
    },
    Privilege {
        name: "CAP_SYS_ADMIN",
        capability: CapabilitySet::SYS_ADMIN,
        without: "other BPF programs are not seen, nor how long those of lockprof run, nor waits that began without an \
                  event, nor where the owner of a lock sleeps; nor, unless the kernel's log tells, how the kernel preempts, and then a clock is read inside \
                  each hold",
        kept: Kept::ForStacks,
    },
    Privilege {
        name: "CAP_SYS_NICE",
        capability: CapabilitySet::SYS_NICE,
        without: "lockprof has no priority over its load: on a busy machine it reads late",
        kept: Kept::ToAttach,
    },
    Privilege {
        name: "CAP_KILL",
        capability: CapabilitySet::KILL,
        without: "a load that has become another user's is not ended",
        kept: Kept::ForALoad,
    },
    Privilege {
        name: "CAP_SYS_PTRACE",
        capability: CapabilitySet::SYS_PTRACE,
        without: "orphans of a load of root's are not ended, and root's hanging tasks not found",
        kept: Kept::ToTheEnd,
    },
    Privilege {
        name: "CAP_CHOWN",
        capability: CapabilitySet::CHOWN,
        without: "root cannot give what it writes to who called sudo",
        kept: Kept::ToTheEnd,
    },
    Privilege {
        name: "CAP_DAC_OVERRIDE",
        capability: CapabilitySet::DAC_OVERRIDE,
        without: "root cannot write into folders of other users",
        kept: Kept::ToTheEnd,
    },
    Privilege {
        name: "CAP_DAC_READ_SEARCH",
        capability: CapabilitySet::DAC_READ_SEARCH,
        without: "cgroups are looked for among all folders, and found late or not at all",
        kept: Kept::ToTheEnd,
    },
];

/// What `doctor` has a use for.
pub const TO_LOOK: CapabilitySet = CapabilitySet::BPF
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::SYSLOG)
    .union(CapabilitySet::SYS_ADMIN);

/// What `report` and `compare` have a use for: to write as root for somebody else.
pub const TO_WRITE: CapabilitySet = CapabilitySet::CHOWN.union(CapabilitySet::DAC_OVERRIDE);

/// What the guard has a use for: a load of root's has all capabilities, and the kernel shows the environment of such
/// a process, by which it is known, only to who has as many or this one (kernel/ptrace.c, `__ptrace_may_access`).
pub const TO_END_A_LOAD: CapabilitySet = CapabilitySet::KILL.union(CapabilitySet::SYS_PTRACE);

/// What a bundled load has a use for: where the second hierarchy begins nobody may make a cgroup (its folder is
/// dr-xr-xr-x) but who may write everywhere. All others need nothing.
#[must_use]
pub const fn to_work(load: Workload) -> CapabilitySet {
    match load {
        Workload::Cgroup | Workload::Mkcgroup => CapabilitySet::DAC_OVERRIDE,
        _ => CapabilitySet::empty(),
    }
}

/// What lockprof has any use for.
#[must_use]
pub fn of_use() -> CapabilitySet {
    PRIVILEGES.iter().map(|one| one.capability).collect()
}

/// What a daemon does once its programs are loaded and its load runs.
#[derive(Clone, Copy, Debug)]
pub struct Measuring<'a> {
    /// By which probes.
    pub method: Method,
    /// The kernel's release.
    pub release: &'a str,
    /// Whether it has started a load, which it has to end.
    pub has_load: bool,
    /// Whether it reads call stacks from /proc until its end: with windows, or of all locks.
    pub reads_stacks: bool,
}

/// What it has a use for.
#[must_use]
pub fn to_measure(measuring: &Measuring<'_>) -> CapabilitySet {
    PRIVILEGES
        .iter()
        .filter(|one| one.kept.applies(measuring))
        .map(|one| one.capability)
        .collect()
}

/// Whether tracing programs may be loaded and attached. Before Linux 5.8 CAP_SYS_ADMIN was asked for, and it still
/// does (include/linux/capability.h, `bpf_capable` and `perfmon_capable`).
#[must_use]
pub const fn can_trace(held: CapabilitySet) -> bool {
    held.contains(CapabilitySet::SYS_ADMIN)
        || held.contains(CapabilitySet::BPF.union(CapabilitySet::PERFMON))
}

/// The table with who asks in it, for JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HeldPrivilege {
    /// The capability's name.
    pub capability: &'static str,
    /// Whether who asks has it; `None`: not known.
    pub held: Option<bool>,
    /// What is lost without it.
    pub without: &'static str,
    /// How long a daemon keeps it.
    pub kept: Kept,
}

/// The table with who asks in it.
pub fn with_held(held: Option<CapabilitySet>) -> impl Iterator<Item = HeldPrivilege> {
    PRIVILEGES.iter().map(move |one| HeldPrivilege {
        capability: one.name,
        held: held.map(|held| held.contains(one.capability)),
        without: one.without,
        kept: one.kept,
    })
}

/// The table in Markdown, as README has it.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from("| capability | without it | kept until |\n|---|---|---|\n");
    for one in &PRIVILEGES {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            one.name,
            one.without,
            one.kept.words()
        );
    }
    text
}

/// A set as an object with a truth value for each capability of the table: `{"bpf": true, …}`.
pub(super) fn serialize<S: Serializer>(
    held: &Option<CapabilitySet>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let Some(held) = held else {
        return serializer.serialize_none();
    };
    serializer.collect_map(PRIVILEGES.iter().map(|one| {
        let name = one.name.trim_start_matches("CAP_").to_ascii_lowercase();
        (name, held.contains(one.capability))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO_THE_END: CapabilitySet = TO_WRITE
        .union(CapabilitySet::DAC_READ_SEARCH)
        .union(CapabilitySet::SYS_PTRACE);

    #[test]
    fn what_is_kept_depends_on_what_is_done() {
        let none = CapabilitySet::empty();
        for (method, release, has_load, besides) in [
            (Method::Fentry, "6.12.107+deb13-cloud-amd64", false, none),
            (Method::Wait, "6.18.44", false, none),
            (Method::Off, "6.18.44", true, TO_END_A_LOAD),
            (
                Method::Kprobe,
                "6.1.0-56-cloud-amd64",
                false,
                CapabilitySet::PERFMON,
            ),
            (
                Method::Kprobe,
                "5.14.0-611.el9",
                true,
                CapabilitySet::PERFMON | CapabilitySet::BPF | TO_END_A_LOAD,
            ),
            (Method::Fentry, "no release", false, CapabilitySet::BPF),
        ] {
            let measuring = Measuring {
                method,
                release,
                has_load,
                reads_stacks: false,
            };
            assert_eq!(
                to_measure(&measuring),
                TO_THE_END | besides,
                "{measuring:?}"
            );
            let windows = Measuring {
                reads_stacks: true,
                ..measuring
            };
            let more = besides | CapabilitySet::SYS_ADMIN;
            assert_eq!(to_measure(&windows), TO_THE_END | more, "{windows:?}");
        }
    }

    #[test]
    fn every_privilege_is_what_its_name_says() {
        for one in &PRIVILEGES {
            let name = one.name.trim_start_matches("CAP_");
            assert_eq!(CapabilitySet::from_name(name), Some(one.capability));
        }
        assert!(of_use().contains(TO_LOOK | TO_WRITE));
    }

    #[test]
    fn one_capability_stands_in_for_two() {
        for (held, traces) in [
            (CapabilitySet::empty(), false),
            (CapabilitySet::BPF | CapabilitySet::SYSLOG, false),
            (CapabilitySet::PERFMON, false),
            (CapabilitySet::BPF | CapabilitySet::PERFMON, true),
            (CapabilitySet::SYS_ADMIN, true),
        ] {
            assert_eq!(can_trace(held), traces, "{held:?}");
        }
    }

    #[test]
    fn readme_has_the_table() {
        let readme = include_str!("../../../README.md");
        assert!(
            readme.contains(&markdown()),
            "README.md is without this table:\n{}",
            markdown()
        );
    }
}
