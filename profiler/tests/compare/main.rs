//! Comparisons of recordings: of real boots of one kernel with and without a patch
//! (`tests/data/boots`), whose answers are known, and of boots of one kernel, which have none.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod boots;
#[cfg(test)]
mod chance;
#[cfg(test)]
mod command;
#[cfg(test)]
mod comparable;
#[cfg(test)]
mod every_lock;
#[cfg(test)]
#[path = "../report/fixture.rs"]
mod fixture;
#[cfg(test)]
mod lock_runs;
#[cfg(test)]
mod measured;
#[cfg(test)]
mod mutex;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod sentences;
#[cfg(test)]
mod views;
