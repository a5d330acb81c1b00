//! The plugin's arguments.

use std::ops::Range;

/// What they say.
#[derive(Debug)]
pub struct Settings {
    /// The function that takes the lock.
    pub lock: Range<u64>,
    /// The function that it calls where the lock is not free.
    pub slow: Range<u64>,
    /// The function that gives the lock back.
    pub unlock: Range<u64>,
    /// The lock itself.
    pub at: u64,
    /// The function whose call begins the next section.
    pub mark: u64,
    /// The file for the sections.
    pub out: String,
    /// The file for the holds, one by one.
    pub holds: Option<String>,
}

/// Reads `NAME=VALUE`, each of them.
pub fn parse<S: AsRef<str>>(arguments: impl Iterator<Item = S>) -> Result<Settings, String> {
    let (mut lock, mut slow, mut unlock) = (None, None, None);
    let (mut at, mut mark, mut out, mut holds) = (None, None, None, None);
    for argument in arguments {
        let argument = argument.as_ref();
        let Some((name, value)) = argument.split_once('=') else {
            return Err(format!("{argument} is not NAME=VALUE"));
        };
        match name {
            "lock" => lock = Some(range(value)?),
            "slow" => slow = Some(range(value)?),
            "unlock" => unlock = Some(range(value)?),
            "at" => at = Some(number(value)?),
            "mark" => mark = Some(number(value)?),
            "out" => out = Some(value.to_owned()),
            "holds" => holds = Some(value.to_owned()),
            _ => return Err(format!("there is no argument {name}")),
        }
    }
    let needed = (lock, slow, unlock, at, mark, out);
    let (Some(lock), Some(slow), Some(unlock), Some(at), Some(mark), Some(out)) = needed else {
        return Err("lock, slow, unlock, at, mark and out are needed".to_owned());
    };
    Ok(Settings {
        lock,
        slow,
        unlock,
        at,
        mark,
        out,
        holds,
    })
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let (start, end) = text
        .split_once('-')
        .ok_or(format!("{text} is not START-END"))?;
    Ok(number(start)?..number(end)?)
}

fn number(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text.trim_start_matches("0x"), 16)
        .map_err(|_| format!("{text} is not a hexadecimal number"))
}
