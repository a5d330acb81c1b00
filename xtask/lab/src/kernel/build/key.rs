//! What a kernel was built from, as one word.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A SHA-256 over parts and their lengths, so that no two lists of parts have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// That of some parts.
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Result<Self> {
        let mut bytes = Vec::new();
        for part in parts {
            bytes.extend((part.len() as u64).to_le_bytes());
            bytes.extend(part);
        }
        let mut command = Command::new("sha256sum");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = crate::process::spawn(&mut command)?;
        if let Some(mut input) = child.stdin.take() {
            input
                .write_all(&bytes)
                .context("cannot pass anything to sha256sum")?;
        }
        let output = child
            .wait_with_output()
            .context("cannot wait for sha256sum")?;
        let text = String::from_utf8_lossy(&output.stdout);
        match text.split_whitespace().next() {
            Some(sum) if output.status.success() && sum.len() == 64 => Ok(Self(sum.to_owned())),
            _ => bail!("sha256sum gave no sum: {}", output.status),
        }
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// All of it, to be a part of another one.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Enough of it for the name of a folder.
    pub fn short(&self) -> &str {
        self.0.get(..16).unwrap_or(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_and_its_bounds_matter() {
        let key = |parts: &[&str]| Key::of(parts.iter().map(|part| part.as_bytes())).unwrap();
        assert_eq!(key(&["a", "b"]), key(&["a", "b"]));
        let others = [
            &["ab"][..],
            &["a"],
            &["b", "a"],
            &["a", "b", ""],
            &["a", "c"],
        ];
        for other in others {
            assert_ne!(key(&["a", "b"]), key(other), "{other:?}");
        }
        assert_eq!(key(&[]).short().len(), 16);
    }
}
