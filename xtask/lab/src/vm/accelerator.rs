//! What executes a guest's instructions.

use super::clock::Clock;

/// How a guest's instructions are executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// By the processor.
    Kvm,
    /// By translation.
    Tcg,
}

impl Accelerator {
    /// What `lockprof run` is to be told of the guest's clock, and of the CPUs that emulate it.
    pub fn clock_words(self, clock: Clock, real_cpus: usize) -> Vec<String> {
        match (self, clock) {
            // With more virtual CPUs than real ones, a holder's CPU may be waited for here, too.
            (Self::Kvm, _) => vec![format!("--emulated-by={real_cpus}")],
            (Self::Tcg, Clock::Wall) => vec![
                "--clock=wall".to_owned(),
                format!("--emulated-by={real_cpus}"),
            ],
            (Self::Tcg, Clock::Instructions) => vec!["--clock=instructions".to_owned()],
        }
    }
}
