//! The order of the boots: pure.

use lab::vm::Clock;

/// One boot's turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Which kernel, by its place on the command line.
    pub kernel: usize,
    /// Which of its boots, from 0.
    pub round: u32,
}

/// Rounds in which each kernel has its turn once, each round in a random order: what drifts with time
/// meets all kernels alike.
#[must_use]
pub fn rounds(kernels: usize, boots: u32, seed: u64) -> Vec<Turn> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..boots)
        .flat_map(|round| {
            let mut order: Vec<usize> = (0..kernels).collect();
            random.shuffle(&mut order);
            order.into_iter().map(move |kernel| Turn { kernel, round })
        })
        .collect()
}

/// The name of a clock in folders and reports.
#[must_use]
pub const fn clock_name(clock: Clock) -> &'static str {
    match clock {
        Clock::Wall => "wall",
        Clock::Instructions => "instructions",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_has_every_kernel_and_a_seed_gives_one_order() {
        for (kernels, boots) in [(2, 5), (3, 4), (4, 1)] {
            let order = rounds(kernels, boots, 7);
            assert_eq!(order, rounds(kernels, boots, 7));
            for (round, turns) in order.chunks(kernels).enumerate() {
                let mut seen: Vec<usize> = turns.iter().map(|turn| turn.kernel).collect();
                seen.sort_unstable();
                assert_eq!(seen, (0..kernels).collect::<Vec<_>>());
                assert!(turns.iter().all(|turn| turn.round as usize == round));
            }
        }
        // Which kernel comes first is not always the same.
        let firsts: Vec<usize> = rounds(2, 40, 1)
            .chunks(2)
            .map(|turns| turns[0].kernel)
            .collect();
        assert!(firsts.contains(&0) && firsts.contains(&1));
        assert_ne!(rounds(2, 40, 1), rounds(2, 40, 2));
    }
}
