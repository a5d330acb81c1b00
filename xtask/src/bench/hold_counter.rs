//! The observer outside of the guest: a plugin of QEMU's that counts the instructions inside holds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cargo;
use crate::paths;
use crate::process;
use crate::toolchain::Environment;
use crate::vm::qemu::{QEMU, escape};

/// QEMU from this version on has another plugin interface.
const TOO_NEW: u32 = 9;

/// Holds that the counter also looks at together: those of sixty lives, at three each.
pub const TOGETHER: u32 = 180;

/// What the counter saw between two marks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Section {
    /// Holds.
    pub holds: u64,
    /// Of a hold.
    pub one: Counted,
    /// Of [`TOGETHER`] holds in a row.
    pub many: Counted,
}

/// Medians, in instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counted {
    /// Inside holds.
    pub held: f64,
    /// From one release to the next.
    pub period: f64,
}

impl Counted {
    fn new(held: u64, period: u64) -> Self {
        Self {
            held: held as f64,
            period: period as f64,
        }
    }

    /// The share of one in so many.
    #[must_use]
    pub fn divided(self, by: u32) -> Self {
        Self {
            held: self.held / f64::from(by),
            period: self.period / f64::from(by),
        }
    }
}

/// Builds the plugin. `Err` in the result says why there is none.
pub fn build(environment: &Environment) -> Result<Result<PathBuf, String>> {
    let version = process::output(Command::new(QEMU).arg("--version"))?;
    if let Err(why) = can_load(&version, &process::output(Command::new(QEMU).arg("-help"))?) {
        return Ok(Err(why));
    }
    let mut command = cargo::cargo_with(environment)?;
    command.args([
        "build",
        "--quiet",
        "--release",
        "--locked",
        "--package",
        "hold-counter",
    ]);
    process::run(&mut command)?;
    Ok(Ok(paths::target()?.join("release/libhold_counter.so")))
}

/// Whether a QEMU can load the plugin, by what it says of itself.
fn can_load(version: &str, help: &str) -> Result<(), String> {
    if !help.lines().any(|line| line.starts_with("-plugin")) {
        return Err("this QEMU is built without plugins".to_owned());
    }
    let number = version.split("version ").nth(1).unwrap_or_default();
    let major = number
        .split('.')
        .next()
        .and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major < TOO_NEW => Ok(()),
        _ => Err(format!(
            "this QEMU's plugins have another interface than that of 8: {}",
            number.trim()
        )),
    }
}

/// The value of QEMU's `-plugin`.
pub fn argument(plugin: &Path, functions: &str, out: &Path) -> String {
    format!("{},{functions},out={}", escape(plugin), escape(out))
}

/// Reads what the plugin has written: the last `count` sections, which are those of a script. A boot
/// has calls of the function that marks sections before the script's own.
pub fn read(out: &Path, count: usize) -> Result<Vec<Section>> {
    let text = fs::read_to_string(out)
        .with_context(|| format!("the hold counter has left no {}", out.display()))?;
    let sections = parse(&text)?;
    match sections.len().checked_sub(count) {
        Some(before) => Ok(sections[before..].to_vec()),
        None => bail!(
            "the hold counter saw {} sections of {count}",
            sections.len()
        ),
    }
}

fn parse(text: &str) -> Result<Vec<Section>> {
    let mut sections = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let numbers = line
            .split(' ')
            .map(str::parse::<u64>)
            .collect::<Result<Vec<_>, _>>();
        match numbers.as_deref() {
            Ok(&[number, holds, held, period, held_many, period_many])
                if number == index as u64 =>
            {
                sections.push(Section {
                    holds,
                    one: Counted::new(held, period),
                    many: Counted::new(held_many, period_many),
                });
            }
            _ => bail!("not a section of the hold counter: {line}"),
        }
    }
    Ok(sections)
}

// The plugin itself cannot be linked into a test: its functions are QEMU's.
#[cfg(test)]
#[path = "../../hold-counter/src/instructions.rs"]
mod instructions;
#[cfg(test)]
#[path = "../../hold-counter/src/sections.rs"]
mod sections;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_read_in_order() {
        let section = Section {
            holds: 3,
            one: Counted::new(20, 300),
            many: Counted::new(60, 900),
        };
        assert_eq!(parse("0 3 20 300 60 900\n").unwrap(), [section]);
        assert!(parse("1 3 20 300 60 900\n").is_err());
        assert!(parse("0 3 20 300\n").is_err());
    }

    #[test]
    fn only_some_qemus_can_load_it() {
        let version = |number| format!("QEMU emulator version {number} (Debian)\nCopyright");
        let help = "-trace x\n-plugin [file=]<file>\n";
        assert_eq!(can_load(&version("7.2.22"), help), Ok(()));
        assert!(can_load(&version("10.0.2"), help).is_err());
        assert!(can_load(&version("7.2.22"), "-trace x\n").is_err());
        assert!(can_load("", help).is_err());
    }

    #[test]
    fn the_plugin_counts_holds_between_marks() {
        let mut sections = sections::Sections::new();
        // Before the first mark, and a hold that a mark falls into, count for nothing.
        sections.acquired(1);
        sections.released(5);
        sections.acquired(7);
        sections.mark();
        sections.released(9);
        for (acquired, released) in [(10, 15), (20, 27), (40, 43)] {
            sections.acquired(acquired);
            sections.released(released);
        }
        sections.mark();
        // The lower medians of 5, 7, 3 and of 12, 16; too few for 180 in a row.
        assert_eq!(sections.lines(), "0 3 5 12 0 0\n1 0 0 0 0 0\n");
        for hold in 0..200 {
            sections.acquired(1000 * hold);
            sections.released(1000 * hold + 10);
        }
        let lines = sections.lines();
        let last = lines.lines().next_back().unwrap();
        assert_eq!(last, "1 200 10 1000 1800 180000");
        assert_eq!(parse(&lines).unwrap()[1].many, Counted::new(1800, 180_000));
    }

    #[test]
    fn the_plugin_knows_the_locks_instructions() {
        // lock cmpxchg %edx,(%rdi); on one CPU ds cmpxchg or none; movb $0,(%rdi).
        for bytes in [
            &[0xf0, 0x0f, 0xb1, 0x17][..],
            &[0x3e, 0x0f, 0xb1, 0x17],
            &[0x0f, 0xb1, 0x17],
        ] {
            assert!(instructions::takes(bytes), "{bytes:x?}");
        }
        assert!(instructions::gives_back(&[0xc6, 0x07, 0x00]));
        // mov, cmpxchg8b, movb $1.
        assert!(!instructions::takes(&[0x89, 0x17]) && !instructions::takes(&[0x0f, 0xc7, 0x0f]));
        assert!(!instructions::gives_back(&[0xc6, 0x07, 0x01]));
    }
}
