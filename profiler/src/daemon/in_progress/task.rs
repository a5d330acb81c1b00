//! What /proc tells of a task that sleeps, and for which kind of lock: pure.

use lockprof_abi::{LCB_F_MUTEX, LCB_F_PERCPU, LCB_F_READ, LCB_F_RT, LCB_F_WRITE};

use crate::proc::StatLine;

/// What is used of /proc/PID/task/TID/stat (proc_pid_stat(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The thread's name.
    pub comm: String,
    /// Its state: `D` sleeps, and no signal wakes it.
    pub state: char,
    /// When it started, in ticks since the boot: with the number of the thread it tells one from a later one.
    pub started: u64,
    /// The CPU that it runs on, or ran on last.
    pub cpu: u32,
}

impl Stat {
    /// Reads the line.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let stat = StatLine::parse(line)?;
        Some(Self {
            comm: String::from_utf8_lossy(stat.comm).into_owned(),
            state: stat.state()?,
            started: stat.field(22)?,
            cpu: stat.field(39)?,
        })
    }
}

/// How often a task was switched out, by /proc/PID/task/TID/status: as long as the number stays the same, it
/// has not run since it fell asleep.
pub fn switches(status: &str) -> Option<u64> {
    let count = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    };
    let voluntary = count("voluntary_ctxt_switches:")?;
    Some(voluntary + count("nonvoluntary_ctxt_switches:")?)
}

/// The frames of /proc/PID/task/TID/stack, the innermost first, as `symbol+0xoffset` or `symbol
/// [module]+0xoffset`. The file has `[<0>] symbol+0xoffset/0xsize [module]`.
pub fn frames(stack: &str) -> Vec<String> {
    let frames = stack.lines().filter_map(|line| {
        let frame = line.trim().strip_prefix("[<")?.split_once(">] ")?.1;
        let (place, rest) = frame.split_once('/')?;
        let Some((_, module)) = rest.split_once(' ') else {
            return Some(place.to_owned());
        };
        let (symbol, offset) = place.split_once('+')?;
        Some(format!("{symbol} {module}+{offset}"))
    });
    frames.collect()
}

/// For what a task sleeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SleptFor {
    /// The kind of lock, as the LCB_F_ flags of the tracepoint.
    pub flags: u32,
    /// Who asked for it: a frame.
    pub caller: Option<String>,
}

/// For which kind of lock a task sleeps, by its call stack; `None` where it is for none.
///
/// The kernel leaves out of a stack what lies in its scheduler's text (`in_sched_functions` in
/// stack_trace_save_tsk(), kernel/stacktrace.c, 6.1 to 7.2): mutexes and semaphores among it, but not
/// percpu_rwsem_wait(). `called` tells which function the caller has called, where that can be known.
pub fn slept_for(
    frames: &[String],
    called: impl FnOnce(&str) -> Option<String>,
) -> Option<SleptFor> {
    let lock_frames = frames.iter().map_while(|frame| lock_function(frame));
    let (count, last) = lock_frames.fold((0, None), |(count, _), flags| (count + 1, Some(flags)));
    let caller = frames.get(count).cloned();
    let flags = match last {
        Some(flags) => flags,
        None => lock_function(&called(caller.as_deref()?)?)?,
    };
    Some(SleptFor { flags, caller })
}

/// The kind of lock that a function sleeps for, as LCB_F_ flags; `None` of one that is no lock's
/// (kernel/locking/mutex.c, rwsem.c, percpu-rwsem.c, semaphore.c, rtmutex_api.c and spinlock_rt.c, 6.1 to 7.2).
fn lock_function(frame: &str) -> Option<u32> {
    const KINDS: &[(&str, u32)] = &[
        ("mutex_lock", LCB_F_MUTEX),
        ("ww_mutex_lock", LCB_F_MUTEX),
        ("rwsem_down_read_slowpath", LCB_F_READ),
        ("rwsem_down_write_slowpath", LCB_F_WRITE),
        ("down_read", LCB_F_READ),
        ("down_write", LCB_F_WRITE),
        ("percpu_rwsem_wait", LCB_F_PERCPU),
        ("percpu_down_", LCB_F_PERCPU),
        ("rt_mutex_lock", LCB_F_RT),
        ("rt_mutex_slowlock", LCB_F_RT),
        ("rtlock_slowlock", LCB_F_RT),
        ("rt_spin_lock", LCB_F_RT),
        ("rt_read_lock", LCB_F_RT | LCB_F_READ),
        ("rt_write_lock", LCB_F_RT | LCB_F_WRITE),
        ("rwbase_read_lock", LCB_F_RT | LCB_F_READ),
        ("rwbase_write_lock", LCB_F_RT | LCB_F_WRITE),
        // Semaphores.
        ("down_common", 0),
        ("down_killable", 0),
        ("down_interruptible", 0),
        ("down_timeout", 0),
    ];
    let symbol = frame.split(['+', '.', ' ']).next()?;
    let bare = symbol.trim_start_matches('_');
    if bare == "down" {
        return Some(0);
    }
    let mut kinds = KINDS.iter();
    let found = kinds.find(|(start, _)| bare.starts_with(start));
    found.map(|&(_, flags)| flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_the_rest_of_the_line() {
        let rest = "D 1 2 3 0 -1 4194304 5 6 7 8 9 10 11 12 20 0 1 0 4711 13 14 15 0 0 0 0 0 0 0 0 0 0 0 0 17 3 0";
        for comm in ["touch", "a) R (b", "", "\u{fffd}"] {
            let stat = Stat::parse(format!("4242 ({comm}) {rest}\n").as_bytes()).unwrap();
            assert_eq!(stat.comm, comm);
            assert_eq!((stat.state, stat.started, stat.cpu), ('D', 4711, 3));
        }
        for cut in ["", "1 (touch", "1 (touch) D 1", "1 )touch( D"] {
            assert_eq!(Stat::parse(cut.as_bytes()), None, "{cut}");
        }
    }

    #[test]
    fn both_kinds_of_switches_count() {
        let status = "Name:\ttouch\nvoluntary_ctxt_switches:\t2\nnonvoluntary_ctxt_switches:\t40\n";
        assert_eq!(switches(status), Some(42));
        assert_eq!(switches("voluntary_ctxt_switches:\t2\n"), None);
        assert_eq!(switches(""), None);
    }

    #[test]
    fn frames_keep_their_module() {
        let stack = "[<0>] percpu_rwsem_wait+0x15f/0x1d0\n[<0>] ext4_x+0x1/0x2 [ext4]\nodd\n";
        assert_eq!(
            frames(stack),
            ["percpu_rwsem_wait+0x15f", "ext4_x [ext4]+0x1"]
        );
        assert_eq!(frames(""), [""; 0]);
    }

    fn of(frames: &[&str], called: Option<&str>) -> Option<(u32, String)> {
        let frames: Vec<String> = frames.iter().map(|&frame| frame.to_owned()).collect();
        let slept = slept_for(&frames, |_| called.map(str::to_owned))?;
        Some((slept.flags, slept.caller.unwrap_or_default()))
    }

    #[test]
    fn a_stack_tells_the_kind_of_lock_and_who_asked() {
        let found = |flags, caller: &str| Some((flags, caller.to_owned()));
        for (frames, called, expected) in [
            // As /proc shows them, on 6.18.
            (
                &[
                    "percpu_rwsem_wait+0x15f",
                    "mnt_want_write+0x96",
                    "path_openat+0x4cf",
                ][..],
                None,
                found(LCB_F_PERCPU, "mnt_want_write+0x96"),
            ),
            (
                &["fdget_pos+0x82", "ksys_write+0x28"][..],
                Some("mutex_lock"),
                found(LCB_F_MUTEX, "fdget_pos+0x82"),
            ),
            // It sleeps, but for no lock; or nobody knows for what.
            (&["fdget_pos+0x82"][..], Some("wait_for_completion"), None),
            (&["fdget_pos+0x82"][..], None, None),
            // Where the scheduler's text is not left out.
            (
                &[
                    "__mutex_lock.constprop.0+0x1",
                    "mutex_lock+0x2",
                    "pipe_write+0x3",
                ][..],
                None,
                found(LCB_F_MUTEX, "pipe_write+0x3"),
            ),
            (
                &[
                    "rwsem_down_write_slowpath+0x1",
                    "down_write_killable+0x2",
                    "vm_mmap_pgoff+0x3",
                ][..],
                None,
                found(LCB_F_WRITE, "vm_mmap_pgoff+0x3"),
            ),
            (
                &["foo+0x1"][..],
                Some("down_read_killable"),
                found(LCB_F_READ, "foo+0x1"),
            ),
            (&["foo+0x1"][..], Some("down"), found(0, "foo+0x1")),
            (&["foo+0x1"][..], Some("__down_common"), found(0, "foo+0x1")),
            (&["foo+0x1"][..], Some("downgrade_write"), None),
            (
                &["rt_spin_lock+0x1", "foo+0x1"][..],
                None,
                found(LCB_F_RT, "foo+0x1"),
            ),
            (
                &["percpu_rwsem_wait+0x1"][..],
                None,
                found(LCB_F_PERCPU, ""),
            ),
            (&[][..], Some("mutex_lock"), None),
        ] {
            assert_eq!(of(frames, called), expected, "{frames:?} {called:?}");
        }
    }
}
