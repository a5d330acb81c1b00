//! A writer of `newc` cpio archives, the format of an initramfs
//! (Documentation/driver-api/early-userspace/buffer-format.rst in the kernel's tree).

use std::collections::BTreeSet;

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const CHARACTER: u32 = 0o020_000;

/// An archive that grows in memory. Everything in it belongs to root and has no date, so that the
/// same content gives the same bytes.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    inode: u32,
    directories: BTreeSet<String>,
}

impl Archive {
    /// An empty archive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a directory and those above it; one that is there already is left alone.
    pub fn directory(&mut self, path: &str) {
        let path = relative(path);
        let ends = path
            .match_indices('/')
            .map(|(at, _)| at)
            .chain([path.len()])
            .collect::<Vec<_>>();
        for end in ends {
            let directory = &path[..end];
            if !directory.is_empty() && self.directories.insert(directory.to_owned()) {
                self.entry(directory, DIRECTORY | 0o755, (0, 0), &[]);
            }
        }
    }

    /// Adds a file with these permission bits.
    pub fn file(&mut self, path: &str, permissions: u32, content: &[u8]) {
        self.parent(path);
        self.entry(
            relative(path),
            REGULAR | (permissions & 0o7777),
            (0, 0),
            content,
        );
    }

    /// Adds a character device.
    pub fn character_device(&mut self, path: &str, major: u32, minor: u32) {
        self.parent(path);
        self.entry(relative(path), CHARACTER | 0o600, (major, minor), &[]);
    }

    /// Closes the archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.inode = 0;
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn parent(&mut self, path: &str) {
        if let Some((parent, _)) = relative(path).rsplit_once('/') {
            self.directory(parent);
        }
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        // Different inode numbers, or the kernel takes files for hard links to each other.
        let inode = self.inode;
        self.inode += 1;
        let links = 1 + u32::from(mode & DIRECTORY == DIRECTORY);
        // The format's sizes are 32 bits; nothing near 4 GiB fits into a guest's memory anyway.
        let size = content.len() as u32;
        let fields = [
            inode,
            mode,
            0,
            0,
            links,
            0,
            size,
            0,
            0,
            device.0,
            device.1,
            name.len() as u32 + 1,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

fn relative(path: &str) -> &str {
    path.trim_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader of the format, written from its description.
    fn entries(mut bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let all = bytes.len();
        let mut found = Vec::new();
        loop {
            assert_eq!(&bytes[..6], b"070701");
            let field = |n: usize| {
                let text = std::str::from_utf8(&bytes[6 + 8 * n..14 + 8 * n]).unwrap();
                u32::from_str_radix(text, 16).unwrap()
            };
            let (mode, size, name_size) = (field(1), field(6) as usize, field(11) as usize);
            let name = std::str::from_utf8(&bytes[110..110 + name_size - 1]).unwrap();
            assert_eq!(bytes[110 + name_size - 1], 0);
            let at = all - bytes.len();
            let content_at = (at + 110 + name_size).next_multiple_of(4) - at;
            let content = bytes[content_at..content_at + size].to_vec();
            if name == "TRAILER!!!" {
                return found;
            }
            found.push((name.to_owned(), mode, content));
            let end = (at + content_at + size).next_multiple_of(4) - at;
            bytes = &bytes[end..];
        }
    }

    #[test]
    fn what_goes_in_comes_out() {
        let mut archive = Archive::new();
        archive.directory("/proc");
        archive.directory("/sys/fs/cgroup");
        archive.directory("/sys/fs");
        archive.file("/bin/tool", 0o755, b"12345");
        archive.file("/bin/empty", 0o644, b"");
        archive.character_device("/dev/console", 5, 1);
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        let found = entries(&bytes);
        let expected: [(&str, u32, &[u8]); 9] = [
            ("proc", 0o040_755, b""),
            ("sys", 0o040_755, b""),
            ("sys/fs", 0o040_755, b""),
            ("sys/fs/cgroup", 0o040_755, b""),
            ("bin", 0o040_755, b""),
            ("bin/tool", 0o100_755, b"12345"),
            ("bin/empty", 0o100_644, b""),
            ("dev", 0o040_755, b""),
            ("dev/console", 0o020_600, b""),
        ];
        let expected = expected
            .map(|(name, mode, content)| (name.to_owned(), mode, content.to_vec()))
            .to_vec();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_header_is_that_of_the_format() {
        let mut archive = Archive::new();
        archive.file("ab", 0o644, b"xyz");
        let bytes = archive.finish();
        let expected = "070701\
             00000000000081A4000000000000000000000001\
             0000000000000003000000000000000000000000\
             000000000000000300000000ab\0\0\0\0xyz\x0007070100000000";
        assert_eq!(
            std::str::from_utf8(&bytes[..expected.len()]).unwrap(),
            expected
        );
    }

    #[test]
    fn the_same_content_gives_the_same_bytes() {
        let make = || {
            let mut archive = Archive::new();
            archive.file("/a/b", 0o755, b"content");
            archive.finish()
        };
        assert_eq!(make(), make());
    }
}
