//! The few bpf(2) and perf_event_open(2) calls that trials need, by hand: aya loads whole objects,
//! and a trial must not depend on one.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

/// Commands of bpf(2) (`enum bpf_cmd`, include/uapi/linux/bpf.h, 6.12).
const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_MAP_LOOKUP_ELEM: libc::c_long = 1;
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_PROG_TEST_RUN: libc::c_long = 10;
const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;
const BPF_OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const BPF_RAW_TRACEPOINT_OPEN: libc::c_long = 17;
const BPF_LINK_GET_FD_BY_ID: libc::c_long = 30;
const BPF_LINK_GET_NEXT_ID: libc::c_long = 31;

/// `PERF_EVENT_IOC_SET_BPF`: `_IOW('$', 8, __u32)` (include/uapi/linux/perf_event.h), the same on
/// x86, arm64, riscv and s390 (asm-generic/ioctl.h).
const PERF_EVENT_IOC_SET_BPF: u64 = 0x4004_2408;
/// `PERF_FLAG_FD_CLOEXEC`.
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;

/// Types of programs (`enum bpf_prog_type`) and where they attach (`enum bpf_attach_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProgramKind {
    /// BPF_PROG_TYPE_KPROBE.
    Kprobe,
    /// BPF_PROG_TYPE_RAW_TRACEPOINT.
    RawTracepoint,
    /// BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, on the function with this BTF id.
    Fentry(u32),
    /// BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT.
    Fexit(u32),
    /// BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, on the tracepoint whose type has this BTF id.
    BtfTracepoint(u32),
}

impl ProgramKind {
    /// Type, attach type, BTF id.
    const fn numbers(self) -> (u32, u32, u32) {
        match self {
            Self::Kprobe => (2, 0, 0),
            Self::RawTracepoint => (17, 0, 0),
            Self::Fentry(function) => (26, 24, function),
            Self::Fexit(function) => (26, 25, function),
            Self::BtfTracepoint(tracepoint) => (26, 23, tracepoint),
        }
    }
}

/// The beginning of `union bpf_attr` for BPF_PROG_LOAD, as of Linux 5.8; later kernels take it too.
#[repr(C)]
#[derive(Default)]
struct LoadAttr {
    prog_type: u32,
    insn_count: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    ifindex: u32,
    expected_attach_type: u32,
    btf_fd: u32,
    func_info_size: u32,
    func_info: u64,
    func_info_count: u32,
    line_info_size: u32,
    line_info: u64,
    line_info_count: u32,
    attach_btf_id: u32,
    attach_prog_fd: u32,
    padding: u32,
}

/// `union bpf_attr` for BPF_RAW_TRACEPOINT_OPEN.
#[repr(C)]
struct RawTracepointAttr {
    name: u64,
    program: u32,
    padding: u32,
}

/// The beginning of `union bpf_attr` for BPF_MAP_CREATE.
#[repr(C)]
struct MapAttr {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
}

/// `union bpf_attr` for the commands that deal in elements of maps.
#[repr(C)]
struct ElementAttr {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// `union bpf_attr` for BPF_PROG_TEST_RUN, as of Linux 5.10.
#[repr(C)]
#[derive(Default)]
struct TestRunAttr {
    program: u32,
    answer: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_size_in: u32,
    context_size_out: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    cpu: u32,
}

/// `union bpf_attr` for the commands that deal in ids.
#[repr(C)]
struct IdAttr {
    id: u32,
    next_id: u32,
    flags: u32,
}

/// `union bpf_attr` for BPF_OBJ_GET_INFO_BY_FD.
#[repr(C)]
struct InfoAttr {
    fd: u32,
    length: u32,
    info: u64,
}

/// `struct perf_event_attr` of PERF_ATTR_SIZE_VER1.
#[repr(C)]
struct PerfAttr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_type: u32,
    config1: u64,
    config2: u64,
}

const _: () = {
    assert!(size_of::<LoadAttr>() == 120);
    assert!(size_of::<TestRunAttr>() == 72);
    assert!(size_of::<PerfAttr>() == 72);
    assert!(core::mem::offset_of!(LoadAttr, attach_btf_id) == 108);
    assert!(core::mem::offset_of!(PerfAttr, config1) == 56);
};

/// Plain data that bpf(2) takes: `repr(C)` without implicit padding.
trait Attr {}
impl Attr for LoadAttr {}
impl Attr for RawTracepointAttr {}
impl Attr for MapAttr {}
impl Attr for ElementAttr {}
impl Attr for TestRunAttr {}
impl Attr for IdAttr {}
impl Attr for InfoAttr {}

fn bpf<T: Attr>(command: libc::c_long, attr: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: `attr` is `repr(C)` and at least as long as the kernel is told; it reads and writes
    // nothing beyond it. The addresses inside point into buffers that the callers keep alive, and
    // the lengths beside them are those buffers'.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attr),
            size_of::<T>(),
        )
    };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(answer)
}

fn bpf_fd<T: Attr>(command: libc::c_long, attr: &mut T) -> io::Result<OwnedFd> {
    let answer = bpf(command, attr)?;
    let fd = i32::try_from(answer).map_err(io::Error::other)?;
    // SAFETY: the command made this descriptor, and nothing else owns it. BPF's descriptors are
    // closed on exec (kernel/bpf/syscall.c).
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A pointer as bpf(2) wants it.
fn address<T>(value: *const T) -> u64 {
    value.expose_provenance() as u64
}

/// The same for a buffer that the kernel writes.
fn address_mut<T>(value: *mut T) -> u64 {
    value.expose_provenance() as u64
}

/// A word in an array (BPF_MAP_TYPE_ARRAY), for a program to count in.
#[derive(Debug)]
pub(super) struct Counter(OwnedFd);

impl Counter {
    /// A counter at 0.
    pub(super) fn new() -> io::Result<Self> {
        bpf_fd(
            BPF_MAP_CREATE,
            &mut MapAttr {
                map_type: 2,
                key_size: 4,
                value_size: 8,
                max_entries: 1,
                flags: 0,
            },
        )
        .map(Self)
    }

    /// Its descriptor, for instructions.
    pub(super) fn fd(&self) -> i32 {
        self.0.as_raw_fd()
    }

    /// What it has been counted to.
    pub(super) fn read(&self) -> io::Result<u64> {
        let key = 0_u32;
        let mut value = 0_u64;
        let mut attr = ElementAttr {
            map: self.0.as_raw_fd().cast_unsigned(),
            padding: 0,
            key: address(&raw const key),
            value: address_mut(&raw mut value),
            flags: 0,
        };
        bpf(BPF_MAP_LOOKUP_ELEM, &mut attr)?;
        Ok(value)
    }
}

/// Loads a program. An error is the kernel's, and the last line of the verifier's log.
pub(super) fn load(kind: ProgramKind, instructions: &[u64]) -> Result<OwnedFd, String> {
    let (prog_type, expected_attach_type, attach_btf_id) = kind.numbers();
    let mut log = vec![0_u8; 1 << 14];
    let license = c"Dual MIT/GPL";
    let mut name = [0_u8; 16];
    name[..14].copy_from_slice(b"lockprof_trial");
    let mut attr = LoadAttr {
        prog_type,
        insn_count: u32::try_from(instructions.len()).unwrap_or(u32::MAX),
        insns: address(instructions.as_ptr()),
        license: address(license.as_ptr()),
        name,
        expected_attach_type,
        attach_btf_id,
        ..LoadAttr::default()
    };
    let first = match bpf_fd(BPF_PROG_LOAD, &mut attr) {
        Ok(program) => return Ok(program),
        Err(error) => error,
    };
    attr.log_level = 1;
    attr.log_size = u32::try_from(log.len()).unwrap_or(0);
    attr.log_buffer = address_mut(log.as_mut_ptr());
    if let Ok(program) = bpf_fd(BPF_PROG_LOAD, &mut attr) {
        return Ok(program);
    }
    let length = log.iter().position(|byte| *byte == 0).unwrap_or(0);
    let log = String::from_utf8_lossy(&log[..length]);
    let said = log
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with("processed "));
    Err(match said {
        Some(line) => format!("{first}; the verifier said: {line}"),
        None => first.to_string(),
    })
}

/// Attaches a raw tracepoint program to a tracepoint, or, without a name, a tracing program to the
/// function that it was loaded for. Dropping the answer detaches it.
pub(super) fn open_raw_tracepoint(
    name: Option<&str>,
    program: BorrowedFd<'_>,
) -> io::Result<OwnedFd> {
    let name = name
        .map(CString::new)
        .transpose()
        .map_err(io::Error::other)?;
    let mut attr = RawTracepointAttr {
        name: name.as_ref().map_or(0, |name| address(name.as_ptr())),
        program: program.as_raw_fd().cast_unsigned(),
        padding: 0,
    };
    bpf_fd(BPF_RAW_TRACEPOINT_OPEN, &mut attr)
}

/// Runs a raw tracepoint's program here and now, with these arguments; what it returned.
pub(super) fn run(program: BorrowedFd<'_>, context: &[u64]) -> io::Result<u32> {
    let mut attr = TestRunAttr {
        program: program.as_raw_fd().cast_unsigned(),
        context_size_in: size_of_val(context) as u32,
        context_in: address(context.as_ptr()),
        ..TestRunAttr::default()
    };
    bpf(BPF_PROG_TEST_RUN, &mut attr)?;
    Ok(attr.answer)
}

/// Opens a disabled event of the kprobe PMU (kernel/events/core.c, v4.17). Dropping the answer
/// removes the kprobe.
pub(super) fn open_kprobe(
    pmu: u32,
    function: &str,
    on_return: bool,
    cpu: i32,
) -> io::Result<OwnedFd> {
    let function = CString::new(function).map_err(io::Error::other)?;
    let attr = PerfAttr {
        kind: pmu,
        size: size_of::<PerfAttr>() as u32,
        config: u64::from(on_return),
        sample_period: 0,
        sample_type: 0,
        read_format: 0,
        // `disabled`, the lowest bit.
        flags: 1,
        wakeup_events: 0,
        breakpoint_type: 0,
        config1: address(function.as_ptr()),
        config2: 0,
    };
    // SAFETY: `attr` is a perf_event_attr of the size that it says, read only, and the name that it
    // points to ends with a zero and outlives the call.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            std::ptr::from_ref(&attr),
            -1 as libc::pid_t,
            cpu,
            -1_i32,
            PERF_FLAG_FD_CLOEXEC,
        )
    };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = i32::try_from(answer).map_err(io::Error::other)?;
    // SAFETY: the call made this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Gives a kprobe event its program.
pub(super) fn set_program(event: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: this ioctl takes a descriptor by value and touches no memory of ours. The request's
    // type differs between C libraries, hence the inferred cast.
    let answer = unsafe {
        libc::ioctl(
            event.as_raw_fd(),
            PERF_EVENT_IOC_SET_BPF as _,
            program.as_raw_fd(),
        )
    };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The id of the link after this one; `None` after the last (BPF_LINK_GET_NEXT_ID, v5.8).
pub(super) fn next_link(after: u32) -> io::Result<Option<u32>> {
    let mut attr = IdAttr {
        id: after,
        next_id: 0,
        flags: 0,
    };
    match bpf(BPF_LINK_GET_NEXT_ID, &mut attr) {
        Ok(_) => Ok(Some(attr.next_id)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A descriptor of the link with this id.
pub(super) fn link_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attr = IdAttr {
        id,
        next_id: 0,
        flags: 0,
    };
    bpf_fd(BPF_LINK_GET_FD_BY_ID, &mut attr)
}

/// A descriptor of the program with this id.
pub(super) fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attr = IdAttr {
        id,
        next_id: 0,
        flags: 0,
    };
    bpf_fd(BPF_PROG_GET_FD_BY_ID, &mut attr)
}

/// What the kernel tells of a link or a program: `info` is `struct bpf_link_info` or `struct
/// bpf_prog_info` as words, with the addresses and lengths of the caller's own buffers in it.
pub(super) fn info(object: BorrowedFd<'_>, info: &mut [u64]) -> io::Result<()> {
    let mut attr = InfoAttr {
        fd: object.as_raw_fd().cast_unsigned(),
        length: u32::try_from(size_of_val(info)).map_err(io::Error::other)?,
        info: address_mut(info.as_mut_ptr()),
    };
    bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr).map(|_| ())
}

/// The address of a buffer for names in [`info`].
pub(super) fn buffer_address(buffer: &mut [u8]) -> u64 {
    address_mut(buffer.as_mut_ptr())
}
