//! The kernel's per-CPU variables: of which variable, on which CPU, an address is.

use super::kallsyms::Kallsyms;
use super::memory::KernelMemory;

/// Where each CPU has its own copy of the kernel's per-CPU variables.
#[derive(Clone, Debug, Default)]
pub struct PerCpu {
    /// What is added to a variable's address for each CPU: `__per_cpu_offset` (mm/percpu.c, 5.19 to 7.3).
    offsets: Vec<u64>,
    /// The addresses of the variables, before anything is added: from 0 on up to 6.14 on x86-64.
    start: u64,
    end: u64,
}

impl PerCpu {
    /// Reads where they are; of nothing where the kernel's symbols do not tell, or its memory cannot be read.
    #[must_use]
    pub fn read(symbols: &Kallsyms, cpus: usize) -> Self {
        let place = || {
            let offsets = symbols.address_of("__per_cpu_offset")?;
            Some((offsets, symbols.address_of("__per_cpu_end")?))
        };
        let Some((offsets, end)) = place() else {
            return Self::default();
        };
        let Ok(memory) = KernelMemory::open() else {
            return Self::default();
        };
        let offsets = (0..cpus as u64).map(|cpu| memory.read_u64(offsets + 8 * cpu));
        Self {
            offsets: offsets.map_while(|offset| offset).collect(),
            // An address of 0 is taken for one that is hidden.
            start: symbols.address_of("__per_cpu_start").unwrap_or(0),
            end,
        }
    }

    /// The CPU whose copy has this address, and the address of the variable or what is in it.
    #[must_use]
    pub fn variable_at(&self, address: u64) -> Option<(usize, u64)> {
        self.offsets.iter().enumerate().find_map(|(cpu, offset)| {
            let variable = address.wrapping_sub(*offset);
            (*offset != 0 && (self.start..self.end).contains(&variable)).then_some((cpu, variable))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_known_by_its_offset() {
        let per_cpu = PerCpu {
            offsets: vec![0xffff_8880_0000_0000, 0xffff_8880_0020_0000],
            start: 0,
            end: 0x3_5000,
        };
        assert_eq!(
            per_cpu.variable_at(0xffff_8880_0023_1c40),
            Some((1, 0x3_1c40))
        );
        assert_eq!(per_cpu.variable_at(0xffff_8880_0000_0000), Some((0, 0)));
        assert_eq!(per_cpu.variable_at(0xffff_8880_0003_5000), None);
        // From 6.15 on variables have addresses like all others, and the offsets wrap around.
        let later = PerCpu {
            offsets: vec![0x0000_0800_7d00_0000],
            start: 0xffff_ffff_8300_0000,
            end: 0xffff_ffff_8303_5000,
        };
        let address = 0xffff_ffff_8300_1000_u64.wrapping_add(later.offsets[0]);
        assert_eq!(later.variable_at(address), Some((0, 0xffff_ffff_8300_1000)));
        assert_eq!(PerCpu::default().variable_at(0x10), None);
    }

    #[test]
    fn without_symbols_nothing_is_known() {
        let hidden = Kallsyms::parse("0000000000000000 d __per_cpu_offset\n").unwrap();
        assert_eq!(PerCpu::read(&hidden, 2).variable_at(0), None);
    }
}
