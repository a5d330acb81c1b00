//! lockprof on the kernel that runs the tests: the contention tracepoints alone, which need only that
//! root may load eBPF programs.

#[cfg(test)]
mod commands;
#[cfg(test)]
mod every_lock;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod folders;
#[cfg(test)]
mod hang;
#[cfg(test)]
mod measuring;
#[cfg(test)]
mod output;
#[cfg(test)]
mod rates;
#[cfg(test)]
mod script;
#[cfg(test)]
mod signals;
#[cfg(test)]
mod terminal;
