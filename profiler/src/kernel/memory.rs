//! Words of the running kernel's memory.

use std::os::fd::{AsFd as _, OwnedFd};

use super::bpf_syscall::{ProgramKind, load, run};
use super::instruction::instruction;

/// Reads four bytes of the kernel's memory at the address that is its argument, and returns them.
const READS: &[u64] = &[
    // r3 = the argument; r1 = fp - 8; r2 = 4.
    instruction(0x79, 3 | (1 << 4), 0, 0),
    instruction(0xbf, 1 | (10 << 4), 0, 0),
    instruction(0x07, 1, 0, -8),
    instruction(0xb7, 2, 0, 4),
    // bpf_probe_read_kernel, which fills with zeroes what it cannot read.
    instruction(0x85, 0, 0, 113),
    instruction(0x61, 10 << 4, -8, 0),
    instruction(0x95, 0, 0, 0),
];

/// Reads the kernel's memory, by a program of eBPF that is attached to nothing: a kernel need not have /proc/kcore.
#[derive(Debug)]
pub struct KernelMemory(OwnedFd);

impl KernelMemory {
    /// Loads the program.
    ///
    /// # Errors
    /// The kernel lets no program be loaded or read its memory: a sentence.
    pub fn open() -> Result<Self, String> {
        load(ProgramKind::RawTracepoint, READS).map(Self)
    }

    /// Four bytes; 0 where there is nothing to be read. `None` where the program cannot be run.
    #[must_use]
    pub fn read_u32(&self, address: u64) -> Option<u32> {
        run(self.0.as_fd(), &[address]).ok()
    }

    /// Eight bytes, as of [`Self::read_u32`].
    #[must_use]
    pub fn read_u64(&self, address: u64) -> Option<u64> {
        let half = |address| self.read_u32(address).map(u64::from);
        Some(half(address)? | half(address.wrapping_add(4))? << 32)
    }

    /// The text at an address, up to its zero, or its first `most` bytes.
    #[must_use]
    pub fn read_text(&self, address: u64, most: usize) -> Option<String> {
        let mut bytes = Vec::new();
        while bytes.len() < most && !bytes.contains(&0) {
            let word = self.read_u32(address.wrapping_add(bytes.len() as u64))?;
            bytes.extend(word.to_ne_bytes());
        }
        let end = bytes.iter().position(|byte| *byte == 0);
        bytes.truncate(end.unwrap_or(most));
        String::from_utf8(bytes).ok()
    }
}
