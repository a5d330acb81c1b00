//! Runs the `workloads` program and checks what it does against what the system saw.

// `cfg(test)` is always true here. It tells clippy that helpers outside `#[test]` functions are
// tests too, and may unwrap.
#[cfg(test)]
mod exactness;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod output;
#[cfg(test)]
mod run;
#[cfg(test)]
mod stopping;
#[cfg(test)]
mod strace;
#[cfg(test)]
mod system_calls;
