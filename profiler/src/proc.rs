//! What every reader of /proc needs: the numbered entries of a folder, and a task's line of /proc/PID/stat.

use std::{fs, str::FromStr};

/// The entries of a folder that are numbers.
pub fn numbers(folder: &str) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// How often the machine has switched tasks since its boot, by /proc/stat (proc_stat(5)).
pub fn switches() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let mut lines = stat.lines();
    lines
        .find_map(|line| line.strip_prefix("ctxt "))?
        .trim()
        .parse()
        .ok()
}

/// A line of /proc/PID/stat or /proc/PID/task/TID/stat (proc_pid_stat(5)).
#[derive(Clone, Copy, Debug)]
pub struct StatLine<'a> {
    /// The task's name, which may have any bytes in it.
    pub comm: &'a [u8],
    /// What stands behind it, from the third field on.
    rest: &'a str,
}

impl<'a> StatLine<'a> {
    /// Takes a line apart. The name stands in parentheses, and may have some of its own: the last one ends it.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let open = line.iter().position(|&byte| byte == b'(')?;
        let close = line.iter().rposition(|&byte| byte == b')')?;
        Some(Self {
            comm: line.get(open + 1..close)?,
            rest: std::str::from_utf8(line.get(close + 1..)?).ok()?,
        })
    }

    /// Its state, the third field: `D` sleeps, and no signal wakes it; `Z` has ended.
    #[must_use]
    pub fn state(&self) -> Option<char> {
        self.rest.trim_start().chars().next()
    }

    /// A field by its number in the manual page, from 3 on.
    #[must_use]
    pub fn field<T: FromStr>(&self, number: usize) -> Option<T> {
        let field = self
            .rest
            .split_ascii_whitespace()
            .nth(number.checked_sub(3)?);
        field?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_the_rest_of_the_line() {
        for comm in ["touch", "a) R (b", "", "\u{fffd}", "(", ") Z 9"] {
            let line = format!("4242 ({comm}) T 7 12\n");
            let stat = StatLine::parse(line.as_bytes()).unwrap();
            assert_eq!(stat.comm, comm.as_bytes());
            assert_eq!((stat.state(), stat.field(4)), (Some('T'), Some(7)));
            assert_eq!(stat.field::<u32>(6), None);
            assert_eq!(stat.field::<u32>(2), None);
        }
        for cut in ["", "1 (touch", "1 )touch( D"] {
            assert!(StatLine::parse(cut.as_bytes()).is_none(), "{cut}");
        }
        let nothing = StatLine::parse(b"1 (touch)").unwrap();
        assert_eq!((nothing.state(), nothing.field::<u32>(4)), (None, None));
    }
}
