//! Which CPU each worker runs on.

use std::fs;
use std::io;

/// More CPUs than any kernel can be configured for.
const CPUS_MAX: usize = 1 << 16;

/// Gives each worker a CPU of its own, or none to any when the CPUs do not suffice.
///
/// As in will-it-scale, a core gets a second worker only when every core has one: so the CPUs come
/// in rounds, the first of each core, then the second of each core, and so on.
pub(crate) fn plan(
    tasks: usize,
    allowed_cpus: &[usize],
    core_of: impl Fn(usize) -> usize,
) -> Option<Vec<usize>> {
    if tasks > allowed_cpus.len() {
        return None;
    }
    let cores: Vec<usize> = allowed_cpus.iter().map(|cpu| core_of(*cpu)).collect();
    let mut rounds: Vec<(usize, usize)> = Vec::with_capacity(cores.len());
    for (index, cpu) in allowed_cpus.iter().enumerate() {
        let earlier = cores.iter().take(index);
        let round = earlier
            .filter(|core| cores.get(index) == Some(*core))
            .count();
        rounds.push((round, *cpu));
    }
    rounds.sort_by_key(|(round, _cpu)| *round);
    Some(rounds.into_iter().take(tasks).map(|(_, cpu)| cpu).collect())
}

/// Names a core by the first of its CPUs; without sysfs each CPU is a core.
pub(crate) fn core_of(cpu: usize) -> usize {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    fs::read_to_string(path)
        .ok()
        .and_then(|list| {
            let first = list.split([',', '-']).next()?;
            first.trim().parse().ok()
        })
        .unwrap_or(cpu)
}

/// The CPUs that this process may use.
pub(crate) fn allowed_cpus() -> io::Result<Vec<usize>> {
    // A kernel for more CPUs than the mask has bits for answers EINVAL.
    let mut cpus = 1024;
    loop {
        let mut mask = vec![0_u64; cpus / 64];
        let size = size_of_val(mask.as_slice());
        // SAFETY: the mask is valid for writes of `size` bytes, and the kernel takes it for an
        // array of words, whatever its length.
        if unsafe { libc::sched_getaffinity(0, size, mask.as_mut_ptr().cast()) } == 0 {
            return Ok(cpus_in(&mask));
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINVAL) || cpus >= CPUS_MAX {
            return Err(error);
        }
        cpus *= 2;
    }
}

fn cpus_in(mask: &[u64]) -> Vec<usize> {
    (0..mask.len() * 64)
        .filter(|cpu| {
            mask.get(cpu / 64)
                .is_some_and(|word| word >> (cpu % 64) & 1 == 1)
        })
        .collect()
}

/// Pins the calling thread; the tasks that it creates inherit that.
pub(crate) fn pin_to(cpu: usize) -> io::Result<()> {
    let mut mask = vec![0_u64; cpu / 64 + 1];
    if let Some(word) = mask.last_mut() {
        *word = 1 << (cpu % 64);
    }
    // SAFETY: the mask is valid for reads of that many bytes; the kernel takes those that are
    // missing for zero.
    let result =
        unsafe { libc::sched_setaffinity(0, size_of_val(mask.as_slice()), mask.as_ptr().cast()) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each_its_own(cpu: usize) -> usize {
        cpu
    }

    #[test]
    fn plan_takes_allowed_cpus_only() {
        assert_eq!(plan(2, &[3, 5, 7], each_its_own), Some(vec![3, 5]));
        assert_eq!(plan(3, &[3, 5, 7], each_its_own), Some(vec![3, 5, 7]));
    }

    #[test]
    fn plan_pins_nobody_when_cpus_are_scarce() {
        assert_eq!(plan(4, &[3, 5, 7], each_its_own), None);
    }

    #[test]
    fn plan_fills_cores_before_siblings() {
        let neighbours = |cpu| cpu & !1;
        assert_eq!(
            plan(4, &[0, 1, 2, 3], neighbours),
            Some(vec![0, 2, 1, 3]),
            "siblings are neighbours"
        );
        let halves = |cpu| cpu % 2;
        assert_eq!(
            plan(3, &[0, 1, 2, 3], halves),
            Some(vec![0, 1, 2]),
            "siblings are half the machine apart"
        );
    }

    #[test]
    fn masks_have_any_length() {
        assert_eq!(cpus_in(&[0b101, 0, 1]), [0, 2, 128]);
    }

    #[test]
    fn a_pinned_thread_has_one_cpu() {
        let cpus = allowed_cpus().unwrap();
        let last = *cpus.last().unwrap();
        std::thread::spawn(move || {
            pin_to(last).unwrap();
            assert_eq!(allowed_cpus().unwrap(), [last]);
        })
        .join()
        .unwrap();
    }
}
