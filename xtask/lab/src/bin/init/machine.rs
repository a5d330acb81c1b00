//! The guest around the steps: file systems, limits, random numbers.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lab::vm::protocol::OUT_DIR;

/// Mounts what a user of a kernel expects, and makes the links in /dev.
pub fn mount_all() -> Result<()> {
    // (type, place, needed): what a kernel may lack is not needed here; who wants it will say so.
    let mounts = [
        ("devtmpfs", "/dev", true),
        ("proc", "/proc", true),
        ("sysfs", "/sys", true),
        ("tmpfs", "/tmp", true),
        ("tmpfs", "/run", true),
        ("tmpfs", OUT_DIR, true),
        ("debugfs", "/sys/kernel/debug", false),
        ("tracefs", "/sys/kernel/tracing", false),
        ("bpf", "/sys/fs/bpf", false),
        ("cgroup2", "/sys/fs/cgroup", false),
    ];
    for (kind, place, needed) in mounts {
        let (c_kind, c_place) = (CString::new(kind)?, CString::new(place)?);
        // SAFETY: three valid strings, no flags, and no data.
        let result = unsafe {
            libc::mount(
                c_kind.as_ptr(),
                c_place.as_ptr(),
                c_kind.as_ptr(),
                0,
                std::ptr::null(),
            )
        };
        if result != 0 && needed {
            let error = io::Error::last_os_error();
            bail!("cannot mount {kind} on {place}: {error}");
        }
    }
    // devtmpfs leaves these links to init.
    for (place, target) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
    ] {
        symlink(target, place).with_context(|| format!("cannot make {place}"))?;
    }
    Ok(())
}

/// Gives the kernel the randomness that it waits for, which takes it seconds under emulation. It
/// is no secret: nothing in a guest is, and boots of the same seed start alike.
pub fn seed_random_numbers(seed: u64) -> Result<()> {
    /// `_IOW('R', 0x03, int [2])` of linux/random.h, which the libc crate does not have.
    const RNDADDENTROPY: libc::Ioctl = 0x4008_5203;
    #[repr(C)]
    struct PoolInfo {
        entropy_bits: i32,
        size: i32,
        bytes: [u8; 64],
    }
    let mut bytes = [0x5a; 64];
    bytes[..8].copy_from_slice(&seed.to_ne_bytes());
    let info = PoolInfo {
        entropy_bits: 512,
        size: 64,
        bytes,
    };
    let random = File::open("/dev/random").context("cannot open /dev/random")?;
    // SAFETY: RNDADDENTROPY reads a struct rand_pool_info, which this is, with `size` bytes in it.
    if unsafe { libc::ioctl(random.as_raw_fd(), RNDADDENTROPY, &raw const info) } != 0 {
        bail!("cannot seed /dev/random: {}", io::Error::last_os_error());
    }
    Ok(())
}

/// Lets the kernel rewrite its own text in peace.
///
/// Once randomness is there, a worker turns a branch of get_random_u32() and others into a jump
/// (drivers/char/random.c, crng_set_ready). QEMU before 8.1 reads a page's bytes for a translation without
/// locking the page against writes (accel/tcg/translate-all.c, tb_gen_code, 7.2), so that a CPU that comes by
/// in these moments may keep the breakpoint that stands there meanwhile, and die of it later. As long as
/// init sleeps nobody comes by; the rewriting takes some interrupts to each CPU.
pub fn let_the_kernel_settle() {
    let cpus = thread::available_parallelism().map_or(1, usize::from);
    thread::sleep(Duration::from_millis(20 * cpus.min(25) as u64));
}

/// Lifts the limits that a load of many tasks would meet.
pub fn raise_limits() -> Result<()> {
    let unlimited = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    let files = libc::rlimit {
        rlim_cur: 1 << 16,
        rlim_max: 1 << 16,
    };
    for (which, limit, name) in [
        (libc::RLIMIT_MEMLOCK, unlimited, "locked memory"),
        (libc::RLIMIT_NPROC, unlimited, "processes"),
        (libc::RLIMIT_NOFILE, files, "open files"),
    ] {
        // SAFETY: the pointer is to a live rlimit.
        if unsafe { libc::setrlimit(which, &raw const limit) } != 0 {
            bail!(
                "cannot raise the limit of {name}: {}",
                io::Error::last_os_error()
            );
        }
    }
    Ok(())
}
