//! Where owners of locks slept when others came to wait.

use core::mem::size_of;

/// Of a CPU's waits that find the lock's owner asleep every so many has its call stack walked: a prime, which no
/// pattern of the load has as its period. They are counted, and in no length.
pub const OWNER_SAMPLE_EVERY: u32 = 61;
/// Places for call stacks of owners on each CPU. The daemon empties them ten times a second; while all are taken,
/// none is walked, which bounds what walks cost.
pub const OWNER_PLACES: u32 = 32;
/// Frames after which an owner's call stack is cut.
pub const OWNER_FRAMES: usize = 12;

/// The call stack of a sleeping owner.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct OwnerStack {
    /// The lock's address; 0 in a free place. The program writes it last, and the daemon frees the place.
    pub lock: u64,
    /// The owner's pid, and in the upper half its process.
    pub owner_ids: u64,
    /// The tracepoint's LCB_F_ flags.
    pub flags: u32,
    /// As in [`TaskSlot::owner_state`](crate::TaskSlot::owner_state).
    pub owner_state: u32,
    /// `task_struct.__state`.
    pub task_state: u32,
    /// Frames of the stack.
    pub frames: u32,
    /// The owner's name.
    pub comm: [u8; crate::COMM_BYTES],
    /// Return addresses, the innermost first.
    pub stack: [u64; OWNER_FRAMES],
}

impl OwnerStack {
    /// A free place.
    pub const FREE: Self = Self {
        lock: 0,
        owner_ids: 0,
        flags: 0,
        owner_state: 0,
        task_state: 0,
        frames: 0,
        comm: [0; crate::COMM_BYTES],
        stack: [0; OWNER_FRAMES],
    };
}

const _: () = assert!(size_of::<OwnerStack>() == 48 + 8 * OWNER_FRAMES);
