//! Which machine instructions take the lock for writing and give it back.

/// `lock cmpxchg`: queued_write_lock() of include/asm-generic/qrwlock.h. On one CPU the kernel
/// patches the lock prefix to one that does nothing.
pub fn takes(bytes: &[u8]) -> bool {
    matches!(bytes, [0xf0 | 0x3e, 0x0f, 0xb1, ..] | [0x0f, 0xb1, ..])
}

/// `movb $0, …`: queued_write_unlock() of the same file.
pub fn gives_back(bytes: &[u8]) -> bool {
    matches!(bytes, [0xc6, .., 0])
}
