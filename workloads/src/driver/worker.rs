//! The workers' side: from the fork to the last iteration.

use std::ffi::{CString, c_void};
use std::num::NonZeroU64;
use std::ptr;
use std::sync::atomic::Ordering;

use super::clock;
use super::shared::{Phase, SharedArea, Slot};
use super::signals::SignalSets;
use crate::affinity;
use crate::load::{Failure, Load, Operation, Session};

/// What a worker process needs to know; made before the fork and inherited by it.
pub(crate) struct Job<'run> {
    pub(crate) area: &'run SharedArea,
    pub(crate) load: &'run Load,
    /// The last process may have fewer.
    pub(crate) workers_per_process: usize,
    /// How many measured iterations each worker does, if their number is fixed.
    pub(crate) iterations: Option<NonZeroU64>,
    /// The CPU of each worker, if they are pinned.
    pub(crate) cpus: Option<&'run [usize]>,
    pub(crate) signals: &'run SignalSets,
    /// The workload's name, which the worker takes for its own: profilers show it.
    pub(crate) name: &'run CString,
    pub(crate) main_process: libc::pid_t,
}

/// Exit status of a worker that has noted its failure in its slot.
const FAILED: i32 = 1;

/// The whole life of a process that is one worker.
///
/// It is `extern "C"` so that no panic can unwind into the main process's code, of which this
/// process has a copy.
pub(crate) extern "C" fn be_worker_process(job: &Job<'_>, index: usize) -> ! {
    let Some(slot) = job.area.slots().get(index) else {
        exit(FAILED);
    };
    if let Err(failure) = prepare_process(job) {
        job.area.fail(slot, failure);
        exit(FAILED);
    }
    exit(work(job, index, slot))
}

/// The whole life of a process whose threads are workers, from this one on. Its first thread is none
/// of them, as in will-it-scale.
pub(crate) extern "C" fn be_thread_host(job: &Job<'_>, first: usize) -> ! {
    let all = job.area.slots();
    let workers = first..all.len().min(first + job.workers_per_process);
    let Some(slots) = all.get(workers.clone()) else {
        exit(FAILED);
    };
    if let Err(failure) = prepare_process(job) {
        if let Some(slot) = slots.first() {
            job.area.fail(slot, failure);
        }
        exit(FAILED);
    }
    let places: Vec<Place<'_, '_>> = workers.map(|index| Place { job, index }).collect();
    let mut threads = Vec::with_capacity(slots.len());
    for (place, slot) in places.iter().zip(slots) {
        let mut thread: libc::pthread_t = 0;
        let argument = ptr::from_ref(place).cast_mut().cast();
        // SAFETY: `thread` is valid for a write, null attributes mean the default ones, and the
        // argument is what be_worker_thread expects: it outlives the thread, which is joined below.
        let error =
            unsafe { libc::pthread_create(&mut thread, ptr::null(), be_worker_thread, argument) };
        if error != 0 {
            let failure = Failure {
                operation: Operation::PthreadCreate,
                errno: error,
            };
            job.area.fail(slot, failure);
            break;
        }
        threads.push(thread);
    }
    for thread in threads {
        // SAFETY: pthread_create made this thread, and nobody else joins or detaches it.
        unsafe { libc::pthread_join(thread, ptr::null_mut()) };
    }
    let failed = slots.iter().any(|slot| slot.failure().is_some());
    exit(if failed { FAILED } else { 0 })
}

/// What a worker thread needs to know.
struct Place<'process, 'run> {
    job: &'process Job<'run>,
    index: usize,
}

extern "C" fn be_worker_thread(argument: *mut c_void) -> *mut c_void {
    // SAFETY: be_thread_host passes a Place that outlives this thread and that nobody writes.
    let place: &Place<'_, '_> = unsafe { &*argument.cast() };
    if let Some(slot) = place.job.area.slots().get(place.index) {
        work(place.job, place.index, slot);
    }
    ptr::null_mut()
}

fn prepare_process(job: &Job<'_>) -> Result<(), Failure> {
    // SAFETY: these prctl operations touch no memory but the name, which is NUL-terminated.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::prctl(libc::PR_SET_NAME, job.name.as_ptr());
    }
    // The main process may have died before the death signal was asked for.
    // SAFETY: getppid touches no memory.
    if unsafe { libc::getppid() } != job.main_process {
        exit(FAILED);
    }
    job.signals.set_workers_mask();
    match job.load.session {
        Session::Inherited => Ok(()),
        // SAFETY: setsid touches no memory of the caller.
        Session::Own => check(unsafe { libc::setsid() }, Operation::Setsid),
        // SAFETY: setpgid touches no memory of the caller.
        Session::OwnGroup => check(unsafe { libc::setpgid(0, 0) }, Operation::Setpgid),
    }
}

fn check(result: i32, operation: Operation) -> Result<(), Failure> {
    if result == -1 {
        Err(Failure::last(operation))
    } else {
        Ok(())
    }
}

/// Works until told to stop; the result is the worker's exit status.
fn work(job: &Job<'_>, index: usize, slot: &Slot) -> i32 {
    let result = pin(job, index).and_then(|()| {
        job.area.wait_for_release();
        iterate(job, slot)
    });
    slot.finished_at_ns
        .store(clock::now_ns(), Ordering::Release);
    match result {
        Ok(()) => 0,
        Err(failure) => {
            job.area.fail(slot, failure);
            FAILED
        }
    }
}

fn pin(job: &Job<'_>, index: usize) -> Result<(), Failure> {
    let Some(cpu) = job.cpus.and_then(|cpus| cpus.get(index)) else {
        return Ok(());
    };
    affinity::pin_to(*cpu).map_err(|_| Failure::last(Operation::Pin))
}

/// The loop that is measured: the load, one load of the phase and one store of the counter.
fn iterate(job: &Job<'_>, slot: &Slot) -> Result<(), Failure> {
    let once = job.load.iterate;
    let mut done = 0;
    while job.area.is_in(Phase::WarmUp) {
        once()?;
        done += 1;
        slot.iterations.store(done, Ordering::Relaxed);
    }
    slot.warm_up_iterations.store(done, Ordering::Relaxed);
    let last = job
        .iterations
        .map_or(u64::MAX, |iterations| done.saturating_add(iterations.get()));
    while done < last && job.area.is_in(Phase::Measurement) {
        once()?;
        done += 1;
        slot.iterations.store(done, Ordering::Relaxed);
    }
    Ok(())
}

/// Ends a process that shares its buffers and its exit handlers with the main process.
fn exit(status: i32) -> ! {
    // SAFETY: _exit ends the process and runs nothing.
    unsafe { libc::_exit(status) }
}
