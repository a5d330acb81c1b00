//! Reading the machine: uname, /proc and /sys. Everything that cannot be read is `None`.

use std::ffi::CStr;
use std::fs;

use super::capabilities::{Machine, Settings, Uname, User};
use super::cpu::{CpuFacts, Hypervisor, hypervisor};
use super::one_line::line_of;
use super::preemption::PreemptionMode;

/// The kernel's name, by uname(2).
pub(super) fn uname() -> Uname {
    let names = rustix::system::uname();
    let text = |name: &CStr| name.to_string_lossy().into_owned();
    Uname {
        release: text(names.release()),
        version: text(names.version()),
        machine: text(names.machine()),
    }
}

/// Who asks.
pub(super) fn user() -> User {
    let euid = rustix::process::geteuid().as_raw();
    let capabilities = rustix::thread::capabilities(None)
        .ok()
        .map(|sets| sets.effective);
    User { euid, capabilities }
}

/// The machine, and its CPU as far as spin locks depend on it; `pv_spin_locks` comes from the
/// kernel's symbols.
pub(super) fn machine(pv_spin_locks: Option<bool>) -> (Machine, CpuFacts) {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").ok();
    let field = |name| cpuinfo.as_deref().and_then(|text| cpu_field(text, name));
    let cpu_model = field("model name").map(str::to_owned);
    let hypervisor = hypervisor();
    let cpus_possible = line_of("/sys/devices/system/cpu/possible").and_then(|list| count(&list));
    let machine = Machine {
        cpus_online: line_of("/sys/devices/system/cpu/online").and_then(|list| count(&list)),
        cpus_possible,
        clock_source: line_of("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        emulated: emulated(cpu_model.as_deref(), &hypervisor),
        cpu_model,
        boot_id: line_of("/proc/sys/kernel/random/boot_id"),
        preemption_mode: PreemptionMode::read(),
    };
    let cpus_online = machine.cpus_online;
    let cpu = CpuFacts {
        cpus_online,
        x86: cfg!(target_arch = "x86_64"),
        hypervisor_flag: field("flags")
            .map(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor")),
        hypervisor,
        pv_spin_locks,
        nopvspin: line_of("/proc/cmdline")
            .is_some_and(|line| line.split_whitespace().any(|word| word == "nopvspin")),
        one_cpu: cpus_possible == Some(1),
    };
    (machine, cpu)
}

/// What the administrator set.
pub(super) fn settings() -> Settings {
    let number = |name: &str| {
        line_of(&format!("/proc/sys/kernel/{name}")).and_then(|text| text.parse().ok())
    };
    Settings {
        kptr_restrict: number("kptr_restrict"),
        perf_event_paranoid: number("perf_event_paranoid"),
        unprivileged_bpf_disabled: number("unprivileged_bpf_disabled"),
        bpf_stats_enabled: number("bpf_stats_enabled"),
        lockdown: line_of("/sys/kernel/security/lockdown").and_then(|modes| chosen(&modes)),
    }
}

/// The first CPU that is online, for events that need one.
pub(super) fn first_cpu_online() -> i32 {
    line_of("/sys/devices/system/cpu/online")
        .and_then(|list| list.split(['-', ',']).next()?.parse().ok())
        .unwrap_or(0)
}

/// The first value of a field of /proc/cpuinfo.
fn cpu_field<'a>(cpuinfo: &'a str, name: &str) -> Option<&'a str> {
    cpuinfo
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(field, _)| field.trim() == name)
        .map(|(_, value)| value.trim())
}

/// How many numbers a list such as `0-3,8` has.
fn count(list: &str) -> Option<u32> {
    let mut total = 0_u32;
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        total = total.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(total)
}

/// The mode in brackets: `none [integrity] confidentiality`
/// (security/lockdown/lockdown.c, lockdown_read()).
fn chosen(modes: &str) -> Option<String> {
    let (_, rest) = modes.split_once('[')?;
    let (mode, _) = rest.split_once(']')?;
    Some(mode.to_owned())
}

/// Whether the CPU is QEMU's translation: `QEMU Virtual CPU` is its own model (target/i386/cpu.c),
/// and TCG signs itself `TCGTCGTCGTCG`.
fn emulated(cpu_model: Option<&str>, hypervisor: &Hypervisor) -> bool {
    let signed =
        matches!(hypervisor, Hypervisor::Other { signature } if signature.starts_with("TCG"));
    let kvm = matches!(hypervisor, Hypervisor::Kvm { .. });
    signed || (!kvm && cpu_model.is_some_and(|model| model.starts_with("QEMU Virtual CPU")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus_are_counted() {
        assert_eq!(count("0"), Some(1));
        assert_eq!(count("0-3,8\n"), Some(5));
        assert_eq!(count("3-0"), None);
        assert_eq!(count(""), None);
        assert_eq!(count("0-4294967295"), None);
    }

    #[test]
    fn fields_of_proc_are_read() {
        let cpuinfo = "processor\t: 0\nmodel name\t: A CPU\nflags\t\t: fpu hypervisor\n";
        assert_eq!(cpu_field(cpuinfo, "model name"), Some("A CPU"));
        assert_eq!(cpu_field(cpuinfo, "flags"), Some("fpu hypervisor"));
        assert_eq!(
            chosen("none [integrity] confidentiality"),
            Some("integrity".to_owned())
        );
        assert_eq!(chosen("none"), None);
    }

    #[test]
    fn emulation_is_known_by_signature_or_model() {
        let tcg = Hypervisor::Other {
            signature: "TCGTCGTCGTCG".into(),
        };
        let kvm = Hypervisor::Kvm {
            pv_unhalt: true,
            realtime: false,
        };
        assert!(emulated(Some("AMD EPYC"), &tcg));
        assert!(emulated(
            Some("QEMU Virtual CPU version 2.5+"),
            &Hypervisor::None
        ));
        assert!(!emulated(Some("QEMU Virtual CPU version 2.5+"), &kvm));
        assert!(!emulated(Some("AMD EPYC"), &Hypervisor::None));
        assert!(!emulated(None, &Hypervisor::None));
    }
}
