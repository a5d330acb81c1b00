//! The observer outside of the guest: a plugin of QEMU's that counts the instructions inside holds.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use lab::process;
use lab::vm::qemu::{QEMU, escape};

use crate::cargo;
use crate::checkout;
use crate::toolchain::Environment;

/// QEMU from this version on has another plugin interface.
const TOO_NEW: u32 = 9;

/// Holds that the counter also looks at together: those of sixty lives, at three each.
pub const TOGETHER: u32 = 180;

/// What the counter saw between two marks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Section {
    /// Holds that nobody contended.
    pub holds: u64,
    /// Of one of them.
    pub one: Counted,
    /// Of [`TOGETHER`] of them in a row.
    pub many: Counted,
    /// Contended holds.
    pub contended: Contended,
}

/// Holds that were had in the slow path; medians, in a CPU's own instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Contended {
    /// How many.
    pub holds: u64,
    /// Inside holds.
    pub held: f64,
    /// From the slow path's first instruction, which goes on to call contention_begin, to the one by which
    /// the waiter joins the queue.
    pub to_the_queue: f64,
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
    Ok(Ok(checkout::target()?.join("release/libhold_counter.so")))
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

/// The same with a file for the holds, one by one.
pub fn with_holds(argument: &str, holds: &Path) -> String {
    format!("{argument},holds={}", escape(holds))
}

/// One hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountedHold {
    /// Its section, of all that the plugin saw.
    pub section: usize,
    /// The instruction that called the lock's function.
    pub caller: u64,
    /// Instructions inside.
    pub held: u64,
    /// Whether it was contended.
    pub contended: bool,
}

/// Reads the file of holds.
pub fn read_holds(path: &Path) -> Result<Vec<CountedHold>> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("the hold counter has left no {}", path.display()))?;
    let holds = text.lines().map(parse_hold).collect::<Option<Vec<_>>>();
    holds.context("not a hold of the hold counter")
}

fn parse_hold(line: &str) -> Option<CountedHold> {
    let words: Vec<&str> = line.split(' ').collect();
    let [section, _cpu, caller, held, to_the_queue] = words[..] else {
        return None;
    };
    Some(CountedHold {
        section: section.parse().ok()?,
        caller: u64::from_str_radix(caller.strip_prefix("0x")?, 16).ok()?,
        held: held.parse().ok()?,
        contended: to_the_queue != "-",
    })
}

/// Reads what the plugin has written: the last `count` sections, which are those of a script. A boot
/// has calls of the function that marks sections before the script's own.
pub fn read(out: &Path, count: usize) -> Result<Vec<Section>> {
    let sections = read_all(out)?;
    match sections.len().checked_sub(count) {
        Some(before) => Ok(sections[before..].to_vec()),
        None => bail!(
            "the hold counter saw {} sections of {count}",
            sections.len()
        ),
    }
}

/// Every section since the boot.
pub fn read_all(out: &Path) -> Result<Vec<Section>> {
    let text = fs::read_to_string(out)
        .with_context(|| format!("the hold counter has left no {}", out.display()))?;
    parse(&text)
}

fn parse(text: &str) -> Result<Vec<Section>> {
    let mut sections = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let numbers = line
            .split(' ')
            .map(str::parse::<u64>)
            .collect::<Result<Vec<_>, _>>();
        match numbers.as_deref() {
            Ok(
                &[
                    number,
                    holds,
                    held,
                    period,
                    held_many,
                    period_many,
                    contended,
                    held_contended,
                    to_the_queue,
                ],
            ) if number == index as u64 => {
                sections.push(Section {
                    holds,
                    one: Counted::new(held, period),
                    many: Counted::new(held_many, period_many),
                    contended: Contended {
                        holds: contended,
                        held: held_contended as f64,
                        to_the_queue: to_the_queue as f64,
                    },
                });
            }
            _ => bail!("not a section of the hold counter: {line}"),
        }
    }
    Ok(sections)
}

// The plugin itself cannot be linked into a test: its functions are QEMU's.
#[cfg(test)]
#[path = "../../hold-counter/src/arguments.rs"]
mod arguments;
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
            contended: Contended {
                holds: 2,
                held: 25.0,
                to_the_queue: 15.0,
            },
        };
        assert_eq!(parse("0 3 20 300 60 900 2 25 15\n").unwrap(), [section]);
        assert!(parse("1 3 20 300 60 900 2 25 15\n").is_err());
        assert!(parse("0 3 20 300 60 900\n").is_err());
    }

    #[test]
    fn holds_are_read_one_by_one() {
        let hold = parse_hold("12 1 0xffffffff81000007 60 22").unwrap();
        assert_eq!((hold.section, hold.held), (12, 60));
        assert_eq!((hold.caller, hold.contended), (0xffff_ffff_8100_0007, true));
        assert!(!parse_hold("0 0 0x7 30 -").unwrap().contended);
        assert_eq!(parse_hold("0 0 7 30 -"), None);
        assert_eq!(parse_hold("0 0 0x7 30"), None);
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

    /// An uncontended hold.
    fn hold(cpu: &mut sections::Cpu, section: usize, acquired: u64, released: u64) {
        cpu.asked(7);
        cpu.acquired(section, acquired);
        cpu.released(section, released);
    }

    #[test]
    fn the_plugin_counts_holds_between_marks() {
        let mut cpu = sections::Cpu::new();
        // Before the first mark, and a hold that a mark falls into, count for nothing.
        hold(&mut cpu, 0, 1, 5);
        cpu.acquired(0, 7);
        cpu.released(1, 9);
        for (acquired, released) in [(10, 15), (20, 27), (40, 43)] {
            hold(&mut cpu, 1, acquired, released);
        }
        // The lower medians of 5, 7, 3 and of 12, 16; too few for 180 in a row.
        let summary = sections::summary(&[&cpu], 2);
        assert_eq!(summary, "0 3 5 12 0 0 0 0 0\n1 0 0 0 0 0 0 0 0\n");
        for number in 0..200 {
            hold(&mut cpu, 2, 1000 * number, 1000 * number + 10);
        }
        let lines = sections::summary(&[&cpu], 2);
        let last = lines.lines().next_back().unwrap();
        assert_eq!(last, "1 200 10 1000 1800 180000 0 0 0");
        assert_eq!(parse(&lines).unwrap()[1].many, Counted::new(1800, 180_000));
    }

    #[test]
    fn the_plugin_tells_contended_holds_from_others() {
        let (mut first, mut second) = (sections::Cpu::new(), sections::Cpu::new());
        hold(&mut first, 1, 100, 130);
        // It does not get the lock at once, nor as soon as it has the queue.
        second.asked(8);
        second.acquired(1, 50);
        second.began(53);
        second.queued(75);
        second.acquired(1, 90);
        second.queued(95);
        second.acquired(1, 400);
        second.released(1, 460);
        // A wait for another lock of this kind is none for this one.
        second.asked(9);
        second.began(500);
        hold(&mut second, 1, 600, 620);
        let cpus = [&first, &second];
        // The lower medians of 30 and 20, one period of the second CPU; 400 to 460, and 53 to 75.
        assert_eq!(sections::summary(&cpus, 1), "0 2 20 160 0 0 1 60 22\n");
        assert_eq!(
            sections::each_hold(&cpus, 1),
            "0 0 0xffffffff00000007 30 -\n0 1 0xffffffff00000008 60 22\n\
             0 1 0xffffffff00000007 20 -\n"
        );
    }

    #[test]
    fn the_plugin_knows_the_locks_instructions() {
        // lock cmpxchg %edx,(%rdi), the same with %r12; on one CPU ds cmpxchg or none; lock xadd %rax,(%rdi); movb $0,(%rdi).
        for bytes in [
            &[0xf0, 0x0f, 0xb1, 0x17][..],
            &[0xf0, 0x41, 0x0f, 0xb1, 0x14, 0x24],
            &[0x3e, 0x0f, 0xb1, 0x17],
            &[0x0f, 0xb1, 0x17],
            &[0xf0, 0x48, 0x0f, 0xc1, 0x07],
        ] {
            assert!(instructions::exchanges(bytes), "{bytes:x?}");
        }
        assert!(instructions::gives_back(&[0xc6, 0x07, 0x00]));
        // mov, cmpxchg8b, movb $1.
        assert!(
            !instructions::exchanges(&[0x89, 0x17])
                && !instructions::exchanges(&[0x0f, 0xc7, 0x0f])
        );
        assert!(!instructions::gives_back(&[0xc6, 0x07, 0x01]));
        // Backwards by 16, from the end of the call.
        let call = [0xe8, 0xf0, 0xff, 0xff, 0xff];
        assert!(instructions::calls(0x1000, &call, 0xff5));
        assert!(!instructions::calls(0x1000, &call, 0x1005));
        assert!(!instructions::calls(
            0x1000,
            &[0xe9, 0xf0, 0xff, 0xff, 0xff],
            0xff5
        ));
    }

    #[test]
    fn the_plugin_needs_every_function_and_the_lock() {
        let all = "lock=a1-a9,slow=0xb1-0xb9,unlock=c1-c9,at=d0,mark=e0,out=/o";
        let settings = arguments::parse(all.split(',')).unwrap();
        assert_eq!((settings.slow, settings.at), (0xb1..0xb9, 0xd0));
        assert_eq!((settings.lock, settings.unlock), (0xa1..0xa9, 0xc1..0xc9));
        assert_eq!((settings.mark, settings.out.as_str()), (0xe0, "/o"));
        assert_eq!(settings.holds, None);
        for missing in all.split(',') {
            let others = all.split(',').filter(|argument| *argument != missing);
            assert!(arguments::parse(others).is_err(), "{missing}");
        }
        assert!(arguments::parse([all, "what=1"].into_iter()).is_err());
    }
}
