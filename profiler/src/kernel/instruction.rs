//! Instructions of eBPF, for programs that are a few of them (struct bpf_insn of include/uapi/linux/bpf.h).

/// An instruction as the word that the kernel reads: code, registers, offset, immediate.
pub(super) const fn instruction(code: u8, registers: u8, offset: i16, immediate: i32) -> u64 {
    let offset = offset.to_ne_bytes();
    let immediate = immediate.to_ne_bytes();
    u64::from_ne_bytes([
        code,
        registers,
        offset[0],
        offset[1],
        immediate[0],
        immediate[1],
        immediate[2],
        immediate[3],
    ])
}
