//! What is made from recordings: from made-up ones, and from those in `tests/data`.

#[cfg(test)]
mod absence;
#[cfg(test)]
mod all_locks;
#[cfg(test)]
mod anatomy;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod callers;
#[cfg(test)]
mod contradictions;
#[cfg(test)]
mod controls;
#[cfg(test)]
mod effect;
#[cfg(test)]
mod effect_words;
#[cfg(test)]
mod elsewhere;
#[cfg(test)]
mod ended;
#[cfg(test)]
mod every_lock;
#[cfg(test)]
mod every_lock_longest;
#[cfg(test)]
mod every_lock_page;
#[cfg(test)]
mod every_lock_pictures;
#[cfg(test)]
mod files;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod large;
#[cfg(test)]
mod longest_waits;
#[cfg(test)]
mod mutex;
#[cfg(test)]
mod overflow;
#[cfg(test)]
mod page;
#[cfg(test)]
mod pictures;
#[cfg(test)]
mod profile;
#[cfg(test)]
mod reader;
#[cfg(test)]
mod scaled;
#[cfg(test)]
mod table;
#[cfg(test)]
mod verdict;
#[cfg(test)]
mod views;
#[cfg(test)]
mod windowed;
#[cfg(test)]
mod windows;
#[cfg(test)]
mod writer;
