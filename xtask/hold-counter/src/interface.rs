//! The part of include/qemu/qemu-plugin.h that is used here.

use std::ffi::{c_int, c_uint, c_void};

/// `qemu_info_t`, which is not looked at.
#[repr(C)]
pub struct Info {
    opaque: [u8; 0],
}

/// `struct qemu_plugin_tb`.
#[repr(C)]
pub struct Translation {
    opaque: [u8; 0],
}

/// `struct qemu_plugin_insn`.
#[repr(C)]
pub struct Instruction {
    opaque: [u8; 0],
}

/// `QEMU_PLUGIN_CB_NO_REGS`.
pub const NO_REGISTERS: c_int = 0;
/// `QEMU_PLUGIN_MEM_R`: what reads and writes in one is among it.
pub const READS: c_int = 1;
/// `QEMU_PLUGIN_MEM_W`.
pub const WRITES: c_int = 2;

unsafe extern "C" {
    pub fn qemu_plugin_register_vcpu_tb_trans_cb(
        id: u64,
        callback: extern "C" fn(u64, *mut Translation),
    );
    pub fn qemu_plugin_register_atexit_cb(
        id: u64,
        callback: extern "C" fn(u64, *mut c_void),
        data: *mut c_void,
    );
    pub fn qemu_plugin_register_vcpu_tb_exec_cb(
        block: *mut Translation,
        callback: extern "C" fn(c_uint, *mut c_void),
        flags: c_int,
        data: *mut c_void,
    );
    pub fn qemu_plugin_register_vcpu_mem_cb(
        instruction: *mut Instruction,
        callback: extern "C" fn(c_uint, u32, u64, *mut c_void),
        flags: c_int,
        accesses: c_int,
        data: *mut c_void,
    );
    pub fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut Instruction,
        callback: extern "C" fn(c_uint, *mut c_void),
        flags: c_int,
        data: *mut c_void,
    );
    pub fn qemu_plugin_tb_n_insns(block: *const Translation) -> usize;
    pub fn qemu_plugin_tb_get_insn(block: *const Translation, index: usize) -> *mut Instruction;
    pub fn qemu_plugin_insn_vaddr(instruction: *const Instruction) -> u64;
    pub fn qemu_plugin_insn_data(instruction: *const Instruction) -> *const u8;
    pub fn qemu_plugin_insn_size(instruction: *const Instruction) -> usize;
}
