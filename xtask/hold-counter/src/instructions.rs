//! Which machine instructions take the lock, give it back, and call a function.

/// `lock cmpxchg`: queued_write_lock() and queued_write_lock_slowpath() of the kernel's qrwlock,
/// queued_spin_lock() of the queue in it, both ends of a mutex (kernel/locking/mutex.c), and where an rwsem is
/// taken to write (kernel/locking/rwsem.c); or `lock xadd`, at the other ends of an rwsem. On one CPU the
/// kernel patches the lock prefix to one that does nothing. A REX prefix stands before it where the operand has 64
/// bits, or one of the upper eight registers has the address.
pub fn exchanges(bytes: &[u8]) -> bool {
    let bytes = match bytes {
        [0xf0 | 0x3e, rest @ ..] => rest,
        bytes => bytes,
    };
    matches!(
        bytes,
        [0x0f, 0xb1 | 0xc1, ..] | [0x40..=0x4f, 0x0f, 0xb1 | 0xc1, ..]
    )
}

/// `movb $0, …`: queued_write_unlock() of include/asm-generic/qrwlock.h.
pub fn gives_back(bytes: &[u8]) -> bool {
    matches!(bytes, [0xc6, .., 0])
}

/// Whether an instruction at `address` is `call target`.
pub fn calls(address: u64, bytes: &[u8], target: u64) -> bool {
    let &[0xe8, a, b, c, d] = bytes else {
        return false;
    };
    let distance = i64::from(i32::from_le_bytes([a, b, c, d]));
    address.wrapping_add(5).wrapping_add_signed(distance) == target
}
