//! The last line of a recording whose daemon was killed.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
};

use anyhow::{Context as _, Result};

use crate::recording::schema::{Killed, Line};

/// Appends it behind the last whole line: the daemon may have been killed in the middle of one. What is no
/// file (`-o /dev/full`) has no ending.
pub fn append(recording: &Path, killed: Killed) -> Result<()> {
    let mut text = serde_json::to_vec(&Line::Killed(killed))?;
    text.push(b'\n');
    let add = || -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(recording)?;
        if !file.metadata()?.is_file() {
            return Ok(());
        }
        let whole = whole_lines(&file)?;
        file.set_len(whole)?;
        file.write_all_at(&text, whole)
    };
    add().with_context(|| format!("cannot end the recording {}", recording.display()))
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
    use super::*;

    const KILLED: Killed = Killed {
        silent_s: 12,
        stopped: true,
    };

    #[test]
    fn half_a_line_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recording.jsonl");
        let ending = "{\"line\":\"killed\",\"silent_s\":12,\"stopped\":true}\n";
        let torn = format!("{{\"first\":1}}\n{{\"second\":{}", "2".repeat(200_000));
        for (before, kept) in [
            ("{\"first\":1}\n", "{\"first\":1}\n"),
            (torn.as_str(), "{\"first\":1}\n"),
            ("half", ""),
            ("", ""),
        ] {
            std::fs::write(&path, before).unwrap();
            append(&path, KILLED).unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(text, format!("{kept}{ending}"));
        }
    }

    #[test]
    fn a_missing_recording_is_named() {
        let error = append(Path::new("/nowhere/recording.jsonl"), KILLED).unwrap_err();
        assert!(error.to_string().contains("/nowhere/recording.jsonl"));
    }
}
