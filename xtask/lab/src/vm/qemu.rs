//! QEMU's command line, and a child that never outlives us.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};

use super::accelerator::Accelerator;
use super::clock::Clock;
use crate::process;

/// The program.
pub const QEMU: &str = "qemu-system-x86_64";

/// What stands on every guest's kernel command line.
///
/// `tsc=reliable` keeps the kernel from distrusting the emulated clock and falling back to a slow
/// one; with `panic=-1` and `-no-reboot` a panic ends QEMU at once.
const KERNEL_ARGUMENTS: &str = "console=ttyS0 tsc=reliable panic=-1 oops=panic";

/// What the command line is made from.
#[derive(Clone, Debug)]
pub(super) struct Machine<'a> {
    /// A bzImage.
    pub kernel: &'a Path,
    /// The initramfs.
    pub initrd: &'a Path,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// The file that is its memory.
    pub memory: &'a Path,
    /// What a guest's nanosecond is.
    pub clock: Clock,
    /// How its instructions are executed.
    pub accelerator: Accelerator,
    /// More arguments for the kernel.
    pub append: &'a [String],
    /// More properties of its CPUs, `NAME=VALUE,…`.
    pub cpu_properties: Option<&'a str>,
    /// A plugin of QEMU's and its arguments, `FILE,NAME=VALUE,…`.
    pub plugin: Option<&'a str>,
    /// The file that the guest's first serial port writes to.
    pub console: &'a Path,
    /// The file that the guest's second serial port writes to.
    pub results: &'a Path,
}

impl Machine<'_> {
    /// QEMU's arguments.
    ///
    /// What the serial ports send goes to files, which are read as they grow: QEMU writes byte by
    /// byte, and a socket or a pipe would wake its reader for each of them.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = Vec::new();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|&word| word.to_owned()));
        add(&[
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
            "-display",
            "none",
        ]);
        // With the hypervisor bit a guest spins in virt_spin_lock(), which emits no contention event; with cx16,
        // Debian's 6.12 and 7.2 crash under emulation with several CPUs.
        let model = match self.accelerator {
            Accelerator::Kvm => "host,-hypervisor",
            Accelerator::Tcg => "qemu64,-cx16,-hypervisor",
        };
        let more = self.cpu_properties.map(|more| format!(",{more}"));
        add(&["-cpu", &format!("{model}{}", more.unwrap_or_default())]);
        match (self.accelerator, self.clock) {
            (Accelerator::Kvm, _) => add(&["-accel", "kvm"]),
            (Accelerator::Tcg, Clock::Wall) => add(&["-accel", "tcg,thread=multi"]),
            // One instruction is 2^0 ns, and an idle guest's clock jumps to its next timer.
            (Accelerator::Tcg, Clock::Instructions) => {
                add(&[
                    "-accel",
                    "tcg,thread=single",
                    "-icount",
                    "shift=0,sleep=off",
                ]);
            }
        }
        add(&["-smp", &self.cpus.to_string()]);
        // Shared, so that files can be read where the guest has them.
        let path = escape(self.memory);
        let backend = format!(
            "memory-backend-file,id=ram,share=on,size={}M,mem-path={path}",
            self.memory_mib
        );
        add(&[
            "-m",
            &self.memory_mib.to_string(),
            "-object",
            &backend,
            "-machine",
            "pc,memory-backend=ram",
        ]);
        for (name, file) in [("console", self.console), ("results", self.results)] {
            add(&["-chardev", &format!("file,id={name},path={}", escape(file))]);
            add(&["-serial", &format!("chardev:{name}")]);
        }
        add(&["-kernel", &self.kernel.display().to_string()]);
        add(&["-initrd", &self.initrd.display().to_string()]);
        if let Some(plugin) = self.plugin {
            add(&["-plugin", plugin]);
        }
        let append = std::iter::once(KERNEL_ARGUMENTS)
            .chain(self.append.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(" ");
        add(&["-append", &append]);
        arguments
    }
}

/// A path as a value in one of QEMU's comma-separated options.
pub fn escape(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// A running QEMU. Dropping it kills it; and if we die without that, the kernel does.
#[derive(Debug)]
pub(super) struct Qemu(Child);

impl Qemu {
    /// Starts a machine; what QEMU itself says goes to the file `log`.
    pub fn start(machine: &Machine<'_>, log: &Path) -> Result<Self> {
        let log_file =
            fs::File::create(log).with_context(|| format!("cannot make {}", log.display()))?;
        let mut command = Command::new(QEMU);
        command
            .args(machine.arguments())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log_file)
            // Out of the terminal's process group: Ctrl-C comes to us, and we end it.
            .process_group(0);
        process::die_with_us(&mut command, libc::SIGKILL)
            .spawn()
            .map(Self)
            .with_context(|| format!("cannot start {QEMU}: `cargo xtask setup` installs it"))
    }

    /// QEMU's status, once it has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.0.try_wait().context("cannot wait for QEMU")
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // Both fail only where QEMU has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(clock: Clock, accelerator: Accelerator) -> String {
        Machine {
            kernel: Path::new("/k"),
            initrd: Path::new("/i"),
            cpus: 1,
            memory_mib: 512,
            memory: Path::new("/proc/1/fd/9"),
            clock,
            accelerator,
            append: &["nokaslr".to_owned()],
            cpu_properties: None,
            plugin: None,
            console: Path::new("/tmp/a,b/console"),
            results: Path::new("/tmp/a,b/results"),
        }
        .arguments()
        .join(" ")
    }

    #[test]
    fn an_emulated_guest_has_neither_cx16_nor_the_hypervisor_bit() {
        for clock in [Clock::Wall, Clock::Instructions] {
            let line = arguments(clock, Accelerator::Tcg);
            assert!(
                line.contains("-cpu qemu64,-cx16,-hypervisor -accel tcg,"),
                "{line}"
            );
            assert!(line.contains("tsc=reliable"), "{line}");
            assert!(line.contains("oops=panic nokaslr"), "{line}");
            assert_eq!(line.contains("-icount"), clock == Clock::Instructions);
        }
        let line = arguments(Clock::Wall, Accelerator::Kvm);
        assert!(line.contains("-cpu host,-hypervisor -accel kvm"), "{line}");
    }

    #[test]
    fn the_serial_ports_come_in_the_order_that_init_expects() {
        let line = arguments(Clock::Wall, Accelerator::Tcg);
        let at = |text| line.find(text).unwrap();
        assert!(at("-serial chardev:console") < at("-serial chardev:results"));
        assert!(line.contains("id=results,path=/tmp/a,,b/results"), "{line}");
    }
}
