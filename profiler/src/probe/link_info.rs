//! How often the kernel had no room to follow a kretprobe's function.

use std::{fs, os::fd::RawFd};

/// `BPF_OBJ_GET_INFO_BY_FD` (include/uapi/linux/bpf.h).
const GET_INFO_BY_FD: libc::c_int = 15;
/// `BPF_LINK_TYPE_PERF_EVENT`.
const PERF_EVENT: u32 = 7;
/// `BPF_PERF_EVENT_KPROBE` and `BPF_PERF_EVENT_KRETPROBE`.
const KPROBE_EVENTS: [u32; 2] = [3, 4];

/// The head of `struct bpf_link_info` for a perf event that is a kprobe (v6.7, commit 3acf8ace6823).
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct KprobeLinkInfo {
    link_type: u32,
    link_id: u32,
    program_id: u32,
    reserved: u32,
    event_type: u32,
    reserved_event: u32,
    function_name: u64,
    function_name_length: u32,
    offset: u32,
    address: u64,
    missed: u64,
    cookie: u64,
}

/// The argument of `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
struct InfoByFd {
    fd: u32,
    length: u32,
    info: u64,
}

/// How often the kernel did not follow the kprobe or kretprobe by which a program is attached, from
/// the link that this process owns. `None` where this kernel does not tell.
#[must_use]
pub fn kprobe_missed(program_id: u32) -> Option<u64> {
    fs::read_dir("/proc/self/fd")
        .ok()?
        .flatten()
        .filter(|entry| {
            fs::read_link(entry.path())
                .is_ok_and(|target| target.to_string_lossy().contains("bpf_link"))
        })
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .find_map(|fd| missed_of_link(fd, program_id))
}

fn missed_of_link(fd: RawFd, program_id: u32) -> Option<u64> {
    let mut info = KprobeLinkInfo::default();
    let mut request = InfoByFd {
        fd: u32::try_from(fd).ok()?,
        length: u32::try_from(size_of::<KprobeLinkInfo>()).ok()?,
        info: &raw mut info as u64,
    };
    // SAFETY: the kernel writes at most `length` bytes to `info`, which outlives the call.
    let failed = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            GET_INFO_BY_FD,
            &raw mut request,
            size_of::<InfoByFd>(),
        )
    };
    // A kernel before 6.7 fills less of the structure, and says so.
    let whole = request.length as usize >= std::mem::offset_of!(KprobeLinkInfo, cookie);
    (failed == 0
        && whole
        && info.link_type == PERF_EVENT
        && info.program_id == program_id
        && KPROBE_EVENTS.contains(&info.event_type))
    .then_some(info.missed)
}
