//! The table of `lockprof doctor`.

use std::fmt::Write as _;

use super::{ProbePoint, is_hoped_for, offered, probe_points};
use crate::kernel::{
    AttachPlan, Capabilities, Finding, PlannedLock, PreemptionMode, Request, Role, SpinWaits,
    TRACEPOINT_BEGAN, TRACEPOINT_ENDED, Trial, Unlock, privileges,
};
use crate::known_locks::DEFAULT_LOCK;
use crate::recording::schema::{Arrangement, Deferral, Detail, Method, Tier};

/// The table is at most this wide.
const WIDTH: usize = 80;
/// The width of the column of labels.
const LABEL: usize = 14;

/// The table.
#[must_use]
pub fn render_table(capabilities: &Capabilities, plan: &AttachPlan) -> String {
    let mut table = Table::default();
    let uname = &capabilities.uname;
    table.row(
        "kernel",
        &format!("{} {}, {}", uname.release, uname.machine, uname.version),
    );
    let tier = if is_hoped_for(capabilities, plan) {
        format!(
            "unknown; at best {}, by {}",
            plan.tier.name(),
            by_text(plan)
        )
    } else {
        tier_text(plan)
    };
    table.row("tier", &tier);
    table.list("why", &plan.reasons);
    table.row("lock", &lock_text(&plan.lock));
    table.finding(
        "write unlock",
        &capabilities.unlock(),
        |unlock| match unlock {
            Unlock::OutOfLine => "a function, so the end of a hold can be probed",
            Unlock::Inlined => "inlined",
            Unlock::BothInlined => "inlined, and the lock too",
            Unlock::Realtime => "another lock, which sleeps",
            Unlock::Unknown => "unknown",
        },
    );
    table.row("preemption", &preemption_text(capabilities));
    table.row("BTF", &btf_text(capabilities));
    table.row("symbols", &symbols_text(capabilities));
    table.finding(
        "deferral",
        &capabilities.deferral(),
        |deferral| match deferral {
            Deferral::Merged => "merged (as in Linux 6.15)",
            Deferral::Posted => "as first posted",
            Deferral::Unknown => "unknown until it is observed",
        },
    );
    table.row(
        "",
        "After a run, `lockprof report` says whether free_pid was seen inside a hold.",
    );
    table.finding(
        "spin waits",
        &capabilities.spin_waits(),
        |spin| match spin {
            SpinWaits::Visible => "visible, as a lower bound (the first waiter emits no event)",
            SpinWaits::Invisible => "invisible (those of the rwlock itself are visible)",
            SpinWaits::InvisibleToTwo => "invisible (those of the rwlock itself are visible)",
            SpinWaits::Unknown => "it is not known whether they are visible",
        },
    );
    table.row("lock owners", &owners_text(capabilities));
    if let Some(cause) = capabilities.obstructions.cause(Method::Kprobe) {
        table.row("in the way", &cause);
    }
    table.row("lockdown", &lockdown_text(capabilities));
    table.row("privileges", &privileges_text(capabilities));
    table.row("settings", &settings_text(capabilities));
    table.row("machine", &machine_text(capabilities));
    table.row("other BPF", &others_text(capabilities));
    table.text.push('\n');
    table.points(&probe_points(capabilities));
    table.text.push('\n');
    table.privileges(capabilities);
    table.text
}

/// How `lockprof locks` finds where the owner of a lock sleeps.
fn owners_text(capabilities: &Capabilities) -> String {
    match capabilities.trials.owner_stacks.obstacle() {
        None => {
            "where they sleep is found by a program, of short waits too: tried with a small one"
                .to_owned()
        }
        Some(why) if matches!(capabilities.trials.owner_stacks, Trial::Untried { .. }) => {
            format!("whether a program may find where they sleep is not known: {why}")
        }
        Some(why) => format!("where they sleep is found by looks into /proc alone: {why}"),
    }
}

/// Where tasks may be switched, and what of lockprof is inside a hold because of it.
fn preemption_text(capabilities: &Capabilities) -> String {
    let mode = capabilities
        .machine
        .preemption_mode
        .map_or("unknown", PreemptionMode::name);
    let request = Request {
        detail: Detail::Holds,
        ..Request::default()
    };
    match offered(capabilities, &request).arrangement {
        Some(Arrangement::Exit) => {
            format!("{mode}: with --detail holds, no program runs inside a hold")
        }
        Some(Arrangement::Robust | Arrangement::Inside) => {
            format!("{mode}: with --detail holds, a clock is read inside each hold, at its end")
        }
        None => mode.to_owned(),
    }
}

#[derive(Default)]
struct Table {
    text: String,
}

impl Table {
    /// A label, and a text that is wrapped beside it.
    fn row(&mut self, label: &str, text: &str) {
        self.wrapped(label, "", text);
    }

    fn list(&mut self, label: &str, items: &[String]) {
        for (index, item) in items.iter().enumerate() {
            self.wrapped(if index == 0 { label } else { "" }, "- ", item);
        }
    }

    fn finding<T: Copy>(
        &mut self,
        label: &str,
        finding: &Finding<T>,
        words: fn(T) -> &'static str,
    ) {
        self.row(label, &format!("{}: {}", words(finding.value), finding.how));
    }

    fn wrapped(&mut self, label: &str, bullet: &str, text: &str) {
        let indent = " ".repeat(bullet.chars().count());
        let width = WIDTH - LABEL - indent.len();
        for (index, line) in wrap(text, width).into_iter().enumerate() {
            let (label, lead) = if index == 0 {
                (label, bullet)
            } else {
                ("", indent.as_str())
            };
            self.line(&format!("{label:LABEL$}{lead}{line}"));
        }
    }

    fn points(&mut self, points: &[ProbePoint]) {
        self.line(&format!(
            "{:29}{:8}{:8}{:8}{}",
            "probe point", "fentry", "kprobe", "raw_tp", "how it is known"
        ));
        let word = |applies: bool, usable| match (applies, usable) {
            (false, _) => "-",
            (true, Some(true)) => "yes",
            (true, Some(false)) => "no",
            (true, None) => "?",
        };
        for point in points {
            let tracepoint = [TRACEPOINT_BEGAN, TRACEPOINT_ENDED].contains(&point.target.as_str());
            let columns = format!(
                "{:29}{:8}{:8}{:8}",
                point.target,
                word(!tracepoint, point.fentry),
                word(!tracepoint, point.kprobe),
                word(tracepoint, point.raw_tracepoint),
            );
            self.beside(&columns, &point.how);
        }
    }

    fn privileges(&mut self, capabilities: &Capabilities) {
        self.line(&format!("{:20}{:6}{}", "capability", "held", "without it"));
        for one in privileges::with_held(capabilities.user.capabilities) {
            let held = one.held.map_or("?", |held| if held { "yes" } else { "no" });
            self.beside(&format!("{:20}{held:6}", one.capability), one.without);
        }
    }

    /// Columns, and a text that is wrapped beside them.
    fn beside(&mut self, columns: &str, text: &str) {
        for (index, part) in wrap(text, WIDTH - columns.len()).iter().enumerate() {
            let lead = if index == 0 { columns } else { "" };
            self.line(&format!("{lead:width$}{part}", width = columns.len()));
        }
    }

    fn line(&mut self, line: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{}", line.trim_end());
    }
}

/// Lines of at most `width` characters, broken at white space; a longer word has a line of its own.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

fn tier_text(plan: &AttachPlan) -> String {
    let sees_waits = plan
        .attachable()
        .any(|probe| probe.role == Role::Contention);
    let tier = match plan.tier {
        Tier::Exact if !sees_waits => "exact: holds, and no waits",
        Tier::Exact => "exact: lock and unlock can be probed",
        Tier::Bounded => "bounded: holds lie between two bounds",
        Tier::WaitOnly => "wait-only: waits, and no holds",
        Tier::Unsupported | Tier::Off => {
            return "unsupported: nothing can be measured".to_owned();
        }
    };
    format!("{tier}, by {}", by_text(plan))
}

const fn by_text(plan: &AttachPlan) -> &'static str {
    match plan.method {
        Method::Fentry => "fentry and fexit",
        Method::Kprobe => "kprobe and kretprobe",
        Method::Wait | Method::Off => "the contention tracepoints",
    }
}

fn lock_text(lock: &PlannedLock) -> String {
    match lock.address {
        Some(address) => format!("{} at {address:#x}: {}", lock.name, lock.how),
        None => format!(
            "{}, whose address is not known yet: {}",
            lock.name, lock.how
        ),
    }
}

fn btf_text(capabilities: &Capabilities) -> String {
    match &capabilities.btf.error {
        Some(error) => format!("none: {error}"),
        None => "/sys/kernel/btf/vmlinux".to_owned(),
    }
}

fn symbols_text(capabilities: &Capabilities) -> String {
    let symbols = &capabilities.symbols;
    if let Some(error) = &symbols.error {
        return format!("none: {error}");
    }
    let objects = match &symbols.image {
        Some(image) => format!("functions; objects of {image}"),
        None if symbols.objects => "functions and objects (CONFIG_KALLSYMS_ALL)".to_owned(),
        None => "functions only (no CONFIG_KALLSYMS_ALL, no System.map)".to_owned(),
    };
    let addresses = if symbols.hidden { "hidden" } else { "shown" };
    format!("{objects}, addresses {addresses}")
}

fn lockdown_text(capabilities: &Capabilities) -> String {
    match capabilities.settings.lockdown.as_deref() {
        Some(mode) => mode.to_owned(),
        None => {
            "unknown: no /sys/kernel/security/lockdown (not built in, or securityfs not mounted)"
                .to_owned()
        }
    }
}

fn privileges_text(capabilities: &Capabilities) -> String {
    let user = &capabilities.user;
    let held = match user.capabilities {
        None => "capabilities unknown",
        Some(held) if held.contains(privileges::of_use()) => "every capability of use here",
        Some(held) if held.intersects(privileges::of_use()) => "capabilities as below",
        Some(_) => "no capability of use here",
    };
    format!("euid {}, {held}", user.euid)
}

fn settings_text(capabilities: &Capabilities) -> String {
    let settings = &capabilities.settings;
    [
        ("kptr_restrict", settings.kptr_restrict),
        ("perf_event_paranoid", settings.perf_event_paranoid),
        (
            "unprivileged_bpf_disabled",
            settings.unprivileged_bpf_disabled,
        ),
        ("bpf_stats_enabled", settings.bpf_stats_enabled),
    ]
    .iter()
    .map(|(name, value)| match value {
        Some(value) => format!("{name}={value}"),
        None => format!("{name} unknown"),
    })
    .collect::<Vec<_>>()
    .join(", ")
}

fn machine_text(capabilities: &Capabilities) -> String {
    let machine = &capabilities.machine;
    let number =
        |count: Option<u32>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
    let mut text = format!(
        "{} of {} CPUs online, {}, clock source {}",
        number(machine.cpus_online),
        number(machine.cpus_possible),
        machine.cpu_model.as_deref().unwrap_or("unknown CPU"),
        machine.clock_source.as_deref().unwrap_or("unknown"),
    );
    if machine.emulated {
        text.push_str("; the CPU is emulated: its times are not a hardware's");
    }
    text
}

fn others_text(capabilities: &Capabilities) -> String {
    let others = &capabilities.others;
    if let Some(error) = &others.error {
        return format!("unknown: {error}");
    }
    let mut parts: Vec<String> = others
        .programs
        .iter()
        .map(|(kind, names)| format!("{} of type {kind} ({})", names.len(), names.join(", ")))
        .collect();
    if parts.is_empty() {
        return format!(
            "no other BPF program for tracing is loaded, so none shares a hook of {DEFAULT_LOCK}'s"
        );
    }
    parts.extend(others.shared.iter().map(|shared| {
        format!(
            "{} is on {} too, by {}",
            shared.program, shared.target, shared.kind
        )
    }));
    if others.shared.is_empty() {
        parts.push("none is known to share a hook".to_owned());
    }
    if others.unknown_targets > 0 {
        parts.push(format!(
            "of {} links the kernel does not tell the target",
            others.unknown_targets
        ));
    }
    parts.join("; ")
}
