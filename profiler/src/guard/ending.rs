//! The last line of a recording whose daemon was killed.

use std::{fs::File, io, os::unix::fs::FileExt as _};

use crate::recording::schema::{Killed, Line};

/// Appends it behind the last whole line: the daemon may have been killed in the middle of one.
pub fn append(recording: &File, killed: Killed) -> io::Result<()> {
    let mut text = serde_json::to_vec(&Line::Killed(killed))?;
    text.push(b'\n');
    let whole = whole_lines(recording)?;
    recording.set_len(whole)?;
    recording.write_all_at(&text, whole)
}

/// The length of a file up to the end of its last whole line.
fn whole_lines(file: &File) -> io::Result<u64> {
    const STEP: usize = 1 << 16;
    let mut end = file.metadata()?.len();
    let mut block = vec![0; STEP];
    while end > 0 {
        let start = end.saturating_sub(STEP as u64);
        let read = &mut block[..(end - start) as usize];
        file.read_exact_at(read, start)?;
        if let Some(last) = read.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + last as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _, Write as _};

    use super::*;

    const KILLED: Killed = Killed {
        silent_s: 12,
        stopped: true,
    };

    #[test]
    fn half_a_line_is_taken_back() {
        let ending = "{\"line\":\"killed\",\"silent_s\":12,\"stopped\":true}\n";
        let torn = format!("{{\"first\":1}}\n{{\"second\":{}", "2".repeat(200_000));
        for (before, kept) in [
            ("{\"first\":1}\n", "{\"first\":1}\n"),
            (torn.as_str(), "{\"first\":1}\n"),
            ("half", ""),
            ("", ""),
        ] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(before.as_bytes()).unwrap();
            append(&file, KILLED).unwrap();
            let mut text = String::new();
            file.rewind().unwrap();
            file.read_to_string(&mut text).unwrap();
            assert_eq!(text, format!("{kept}{ending}"));
        }
    }
}
