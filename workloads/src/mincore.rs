//! Holds of the workers' own mmap_lock for reading. Page faults do not take it where mappings have locks of their own
//! (Linux 6.4 and later).

use std::cell::UnsafeCell;

use crate::load::{Failure, Load, Operation, Takes};

const PAGE: usize = 4096;

/// What is asked about.
#[repr(align(4096))]
struct Page(UnsafeCell<[u8; PAGE]>);

// SAFETY: nobody reads or writes the page's bytes: only its address is used.
unsafe impl Sync for Page {}

static ASKED: Page = Page(UnsafeCell::new([0; PAGE]));

pub(crate) fn load() -> Load {
    Load {
        // sys_mincore() of mm/mincore.c, 6.1 to 7.3, takes it once for as many pages as their answers fill one.
        takes: Some(Takes {
            lock: "mm_struct.mmap_lock",
            exclusive: 0,
            shared: 1,
        }),
        ..Load::of("A page of which is asked whether it is in memory", iterate)
    }
}

fn iterate() -> Result<(), Failure> {
    let mut answer = 0_u8;
    // SAFETY: the page is mapped for as long as the program runs, and there is room for its answer.
    match unsafe { libc::mincore(ASKED.0.get().cast(), PAGE, &raw mut answer) } {
        0 => Ok(()),
        _ => Err(Failure::last(Operation::Mincore)),
    }
}
