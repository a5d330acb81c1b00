//! What makes probes blind that are attached: switches of the administrator's, and others who have redirected the
//! function.

use std::fs;

use serde::Serialize;

use super::one_line::line_of;
use super::sites::{LOCK_FUNCTION, UNLOCK_FUNCTION};
use crate::recording::schema::Method;

const FTRACE: &str = "/proc/sys/kernel/ftrace_enabled";
/// kernel/kprobes.c, `debugfs_kprobe_init()`.
const KPROBES: &str = "/sys/kernel/debug/kprobes/enabled";
/// A folder for each live patch, in which each function that it replaces has one (Documentation/ABI/testing/
/// sysfs-kernel-livepatch): PATCH/OBJECT/FUNCTION,POSITION.
const LIVE_PATCHES: &str = "/sys/kernel/livepatch";
/// The functions that ftrace calls somebody for, each with letters that tell how; where tracefs is mounted.
const FUNCTIONS: [&str; 2] = [
    "/sys/kernel/tracing/enabled_functions",
    "/sys/kernel/debug/tracing/enabled_functions",
];

/// What stands in the way of probes, or may; `None` where the kernel does not tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Obstructions {
    /// kernel.ftrace_enabled: 0 has no function call a tracing program, nor a kprobe at its entry.
    pub ftrace_enabled: Option<bool>,
    /// Whether kprobes are armed.
    pub kprobes_enabled: Option<bool>,
    /// Live patches that are in force and replace the functions of a hold.
    pub live_patches: Vec<String>,
    /// The functions of a hold that somebody leads elsewhere (the letter I, FTRACE_OPS_FL_IPMODIFY).
    pub detours: Vec<String>,
}

impl Obstructions {
    /// Reads what the kernel shows.
    #[must_use]
    pub fn read() -> Self {
        let is_on = |path: &str| line_of(path).map(|value| value != "0");
        let functions = FUNCTIONS
            .iter()
            .find_map(|path| fs::read_to_string(path).ok());
        Self {
            ftrace_enabled: is_on(FTRACE),
            kprobes_enabled: is_on(KPROBES),
            live_patches: live_patches(),
            detours: functions.as_deref().map(detours).unwrap_or_default(),
        }
    }

    /// Why probes of this kind that are attached see nothing: a part of a sentence.
    #[must_use]
    pub fn cause(&self, method: Method) -> Option<String> {
        if self.ftrace_enabled == Some(false) {
            return Some(
                "kernel.ftrace_enabled is 0, so that the kernel calls no probe of a function (`sysctl \
                 kernel.ftrace_enabled=1` lets it)"
                    .to_owned(),
            );
        }
        if method == Method::Kprobe && self.kprobes_enabled == Some(false) {
            return Some(format!("kprobes are disarmed ({KPROBES} is 0)"));
        }
        if let Some(patch) = self.live_patches.first() {
            return Some(format!("the live patch {patch} replaces the function"));
        }
        let function = self.detours.first()?;
        Some(format!(
            "somebody leads {function} elsewhere (see {})",
            FUNCTIONS[0]
        ))
    }
}

/// The functions of a hold.
fn is_of_hold(function: &str) -> bool {
    [LOCK_FUNCTION, UNLOCK_FUNCTION].contains(&function)
}

fn live_patches() -> Vec<String> {
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    };
    let replaces = |patch: &String| {
        let folder = format!("{LIVE_PATCHES}/{patch}");
        let is_in_force = line_of(&format!("{folder}/enabled")).as_deref() == Some("1");
        is_in_force
            && names(&folder).iter().any(|object| {
                let functions = names(&format!("{folder}/{object}"));
                functions
                    .iter()
                    .filter_map(|name| name.split(',').next())
                    .any(is_of_hold)
            })
    };
    names(LIVE_PATCHES).into_iter().filter(replaces).collect()
}

/// The functions of a hold that the list says to be led elsewhere: `FUNCTION (USERS) LETTERS` (`t_show()` of
/// kernel/trace/ftrace.c, 6.1 to 7.2).
fn detours(list: &str) -> Vec<String> {
    let of_line = |line: &str| {
        let (function, rest) = line.split_once(' ')?;
        let (_users, letters) = rest.split_once(')')?;
        let mut letters = letters
            .split_whitespace()
            .take_while(|word| word.len() == 1);
        (is_of_hold(function) && letters.any(|letter| letter == "I")).then(|| function.to_owned())
    };
    list.lines().filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_one_of_that_kind_of_probe() {
        let all_well = Obstructions {
            ftrace_enabled: Some(true),
            kprobes_enabled: Some(true),
            ..Obstructions::default()
        };
        let off = Obstructions {
            ftrace_enabled: Some(false),
            ..all_well.clone()
        };
        let disarmed = Obstructions {
            kprobes_enabled: Some(false),
            ..all_well.clone()
        };
        let patched = Obstructions {
            live_patches: vec!["fix_1".into()],
            ..all_well.clone()
        };
        for (obstructions, method, cause) in [
            (&all_well, Method::Fentry, None),
            (&Obstructions::default(), Method::Kprobe, None),
            (&off, Method::Fentry, Some("kernel.ftrace_enabled is 0")),
            (&off, Method::Kprobe, Some("kernel.ftrace_enabled is 0")),
            (&disarmed, Method::Fentry, None),
            (&disarmed, Method::Kprobe, Some("kprobes are disarmed")),
            (&patched, Method::Fentry, Some("the live patch fix_1")),
        ] {
            let found = obstructions.cause(method);
            assert_eq!(found.is_some(), cause.is_some(), "{obstructions:?}");
            assert!(
                found
                    .unwrap_or_default()
                    .starts_with(cause.unwrap_or_default())
            );
        }
    }

    #[test]
    fn a_detour_is_known_by_its_letter() {
        let list = "\
            __fentry_test (1) R I     \ttramp: 0xffffffffc0400000 (klp_ftrace_handler+0x0/0x1b0)\n\
            _raw_write_lock_irq (1) R   D   \tdirect-->bpf_trampoline_1+0x0/0x9d\n\
            _raw_write_unlock_irq (2) R I M \ttramp: 0xffffffffc0402000\n";
        assert_eq!(detours(list), ["_raw_write_unlock_irq"]);
    }
}
