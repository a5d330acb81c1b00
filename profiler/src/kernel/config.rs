//! The configuration that the kernel was built with, as far as it can be read without inflating.

use std::collections::BTreeMap;
use std::fs;

use serde::Serialize;

/// The options that say something about lock probes.
const OPTIONS: &[&str] = &[
    "CONFIG_BPF_SYSCALL",
    "CONFIG_DEBUG_INFO_BTF",
    "CONFIG_DEBUG_SPINLOCK",
    "CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS",
    "CONFIG_FUNCTION_TRACER",
    "CONFIG_INLINE_WRITE_LOCK_IRQ",
    "CONFIG_INLINE_WRITE_UNLOCK_IRQ",
    "CONFIG_KALLSYMS_ALL",
    "CONFIG_KPROBE_EVENTS",
    "CONFIG_KPROBES",
    "CONFIG_LOCKDEP",
    "CONFIG_PARAVIRT_SPINLOCKS",
    "CONFIG_PREEMPTION",
    "CONFIG_PREEMPT_DYNAMIC",
    "CONFIG_PREEMPT_RT",
];

/// What is known of the kernel's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConfigFacts {
    /// The file that it is from.
    pub source: Option<String>,
    /// FNV-1a of that file, after the name of its form: `text:` or `gz:`. Equal hashes are equal
    /// configurations; a text and a compressed one cannot be compared.
    pub hash: Option<String>,
    /// The options that matter here, as they stand in the file; empty where it was not readable as
    /// text. An option that is not set is absent.
    pub options: BTreeMap<String, String>,
}

impl ConfigFacts {
    /// Reads the configuration of the kernel of this release.
    ///
    /// /proc/config.gz (CONFIG_IKCONFIG_PROC) is the running kernel's own, but compressed: only its
    /// hash is taken. The distributions' file in /boot is named after the release, and is text.
    #[must_use]
    pub fn of_release(release: &str) -> Self {
        for path in [
            format!("/boot/config-{release}"),
            format!("/lib/modules/{release}/config"),
            format!("/usr/lib/modules/{release}/config"),
        ] {
            if let Ok(text) = fs::read_to_string(&path) {
                return Self::of_text(path, &text);
            }
        }
        let path = "/proc/config.gz";
        match fs::read(path) {
            Ok(bytes) => Self {
                source: Some(path.to_owned()),
                hash: Some(format!("gz:{:016x}", hash(&bytes))),
                options: BTreeMap::new(),
            },
            Err(_) => Self::default(),
        }
    }

    /// The facts of a configuration's text.
    #[must_use]
    pub fn of_text(source: String, text: &str) -> Self {
        let options = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .filter(|(option, _)| OPTIONS.contains(option))
            .map(|(option, value)| (option.to_owned(), value.trim().to_owned()))
            .collect();
        Self {
            source: Some(source),
            hash: Some(format!("text:{:016x}", hash(text.as_bytes()))),
            options,
        }
    }

    /// Whether an option is set; `None` where the configuration is not known.
    #[must_use]
    pub fn is_set(&self, option: &str) -> Option<bool> {
        (!self.options.is_empty())
            .then(|| self.options.get(option).is_some_and(|value| value != "n"))
    }
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_the_text_is_hashed() {
        let text = "# CONFIG_PREEMPT_RT is not set\nCONFIG_PREEMPTION=y\nCONFIG_HZ=250\n";
        let config = ConfigFacts::of_text("/boot/config-x".into(), text);
        assert_eq!(config.is_set("CONFIG_PREEMPTION"), Some(true));
        assert_eq!(config.is_set("CONFIG_PREEMPT_RT"), Some(false));
        assert_eq!(config.options.len(), 1);
        assert_eq!(ConfigFacts::default().is_set("CONFIG_PREEMPTION"), None);
        let other = ConfigFacts::of_text("/boot/config-x".into(), "CONFIG_PREEMPTION=y\n");
        assert_ne!(config.hash, other.hash);
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
