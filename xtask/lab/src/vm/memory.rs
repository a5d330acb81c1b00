//! The guest's memory, which the host shares.
//!
//! A serial port carries some 100 kB a second under emulation, and Debian's kernels have no
//! other channel without modules. So for a file init sends the physical pages that hold it, and
//! the host reads them where they are.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// The size of a page on x86-64.
pub const PAGE: u64 = 4096;
/// Machines with less have all of it in one piece from address 0.
const FULL_LOW: u64 = 0xe000_0000;
/// Machines with more have so much below 4 GiB, and the rest from there on (QEMU, hw/i386/pc).
const LOW: u64 = 0xc000_0000;
const FOUR_GIB: u64 = 1 << 32;

/// Some bytes in the guest's memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The path below /out of the file whose content they are.
    pub name: String,
    /// Where they start in the first page.
    pub offset: u64,
    /// How many they are.
    pub length: u64,
    /// Pages that follow each other: (number of the first, how many).
    pub runs: Vec<(u64, u64)>,
    /// Their [`checksum`]: a page that the kernel moves meanwhile must not go unnoticed.
    pub checksum: u64,
}

/// FNV-1a, 64 bits.
pub fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Adds a page to runs.
pub fn add_page(runs: &mut Vec<(u64, u64)>, page: u64) {
    match runs.last_mut() {
        Some((first, count)) if *first + *count == page => *count += 1,
        _ => runs.push((page, 1)),
    }
}

/// The memory of one guest; it is gone when this is dropped and QEMU has ended.
#[derive(Debug)]
pub(super) struct GuestMemory {
    file: File,
    size: u64,
}

impl GuestMemory {
    /// Memory of this size, all zero, of which the host has used nothing yet.
    pub fn new(mib: u32) -> Result<Self> {
        let size = u64::from(mib) << 20;
        // SAFETY: the name is a string that ends in zero.
        let fd = unsafe { libc::memfd_create(c"lockprof-guest".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error()).context("cannot make memory for a guest");
        }
        // SAFETY: memfd_create() gave this descriptor to us and to nobody else.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        file.set_len(size)
            .context("cannot make memory for a guest")?;
        Ok(Self { file, size })
    }

    /// The path by which QEMU opens it.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!(
            "/proc/{}/fd/{}",
            process::id(),
            self.file.as_raw_fd()
        ))
    }

    /// The bytes at a place.
    pub fn read(&self, place: &Place) -> Result<Vec<u8>> {
        let pages: u64 = place
            .runs
            .iter()
            .map(|(_, count)| *count)
            .fold(0, u64::saturating_add);
        let needed = place.offset.saturating_add(place.length).div_ceil(PAGE);
        if place.offset >= PAGE || pages != needed || pages > self.size / PAGE {
            bail!("the guest's description of {} makes no sense", place.name);
        }
        let mut bytes = Vec::new();
        for (first, count) in &place.runs {
            for page in *first..first.saturating_add(*count) {
                let mut buffer = [0; PAGE as usize];
                self.file
                    .read_exact_at(
                        &mut buffer,
                        file_offset(page.saturating_mul(PAGE), self.size),
                    )
                    .with_context(|| format!("cannot read {} in the guest's memory", place.name))?;
                bytes.extend_from_slice(&buffer);
            }
        }
        let Some(bytes) = bytes.get(place.offset as usize..(place.offset + place.length) as usize)
        else {
            bail!("the guest's description of {} makes no sense", place.name);
        };
        if checksum(bytes) != place.checksum {
            bail!("{} has changed on its way out of the guest", place.name);
        }
        Ok(bytes.to_vec())
    }
}

/// Where a physical address lies in the memory's file.
fn file_offset(address: u64, size: u64) -> u64 {
    if size >= FULL_LOW && address >= FOUR_GIB {
        address - FOUR_GIB + LOW
    } else {
        address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_pages_is_found() {
        let memory = GuestMemory::new(16).unwrap();
        let text = (0..10_000_u32).map(|n| n as u8).collect::<Vec<_>>();
        // 10000 bytes from 100 on: three pages, of which two follow each other.
        memory
            .file
            .write_all_at(&text[..8192 - 100], 7 * PAGE + 100)
            .unwrap();
        memory
            .file
            .write_all_at(&text[8192 - 100..], 3 * PAGE)
            .unwrap();
        let mut runs = Vec::new();
        for page in [7, 8, 3] {
            add_page(&mut runs, page);
        }
        assert_eq!(runs, [(7, 2), (3, 1)]);
        let place = Place {
            name: "x".to_owned(),
            offset: 100,
            length: 10_000,
            runs,
            checksum: checksum(&text),
        };
        assert_eq!(memory.read(&place).unwrap(), text);
        let moved = Place {
            runs: vec![(7, 3)],
            ..place.clone()
        };
        assert!(
            memory
                .read(&moved)
                .unwrap_err()
                .to_string()
                .contains("has changed")
        );
        for runs in [
            vec![(7, 2)],
            vec![(7, u64::MAX)],
            vec![(u64::MAX, 3)],
            vec![(5000, 3)],
        ] {
            assert!(
                memory
                    .read(&Place {
                        runs,
                        ..place.clone()
                    })
                    .is_err()
            );
        }
        let empty = Place {
            checksum: checksum(&[]),
            ..Place::default()
        };
        assert_eq!(memory.read(&empty).unwrap(), b"");
    }

    #[test]
    fn big_machines_have_a_hole_below_4_gib() {
        assert_eq!(file_offset(5 * PAGE, 1 << 30), 5 * PAGE);
        assert_eq!(file_offset(FOUR_GIB + PAGE, 8 << 30), LOW + PAGE);
        assert_eq!(file_offset(LOW - PAGE, 8 << 30), LOW - PAGE);
    }

    #[test]
    fn the_checksum_is_fnv_1a() {
        assert_eq!(checksum(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(checksum(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
