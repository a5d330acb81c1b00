//! Where cgroup2 is mounted, by /proc/self/mounts: pure.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::PathBuf,
};

/// The places where cgroup2 is mounted, in the order of mounting: one in a unified hierarchy, one beside those of
/// version 1 in a hybrid one.
pub fn cgroup2(mounts: &[u8]) -> Vec<PathBuf> {
    let lines = mounts.split(|&byte| byte == b'\n');
    let places = lines.filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b' ');
        let place = fields.nth(1)?;
        (fields.next()? == b"cgroup2").then(|| PathBuf::from(unescaped(place)))
    });
    places.filter(|place| place.is_absolute()).collect()
}

/// A field with its octal escapes of spaces, tabs, line ends and backslashes undone (mangle() of fs/seq_file.c).
fn unescaped(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| first == b'\\');
        let escaped = digits.and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() {
            &after[3..]
        } else {
            after
        };
    }
    OsString::from_vec(bytes)
}

/// The path of a cgroup below the mount of its hierarchy, by the path of its folder: `/` of the mount itself.
pub fn below(mount: &std::path::Path, folder: &std::path::Path) -> Option<String> {
    let below = folder.strip_prefix(mount).ok()?;
    Some(format!(
        "/{}",
        String::from_utf8_lossy(below.as_os_str().as_bytes())
    ))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn unified_and_hybrid_hierarchies_are_found() {
        let unified = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        assert_eq!(cgroup2(unified.as_bytes()), [Path::new("/sys/fs/cgroup")]);
        let hybrid = "proc /proc proc rw 0 0\n\
                      cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      none /sys/fs/cgroup/unified cgroup2 rw 0 0\n\
                      x /mnt/a\\040b\\134 cgroup2 rw 0 0\n";
        assert_eq!(
            cgroup2(hybrid.as_bytes()),
            [Path::new("/sys/fs/cgroup/unified"), Path::new("/mnt/a b\\")]
        );
        for nothing in [
            "",
            "\n",
            "cgroup2",
            "cgroup2 / ext4 rw 0 0",
            "x y cgroup2 rw",
        ] {
            assert!(cgroup2(nothing.as_bytes()).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn what_is_no_escape_stays() {
        for (field, plain) in [
            (r"a\b", r"a\b"),
            (r"\04", r"\04"),
            (r"\999", r"\999"),
            ("", ""),
        ] {
            assert_eq!(unescaped(field.as_bytes()), plain);
        }
    }

    #[test]
    fn a_path_begins_at_the_mount() {
        let mount = Path::new("/sys/fs/cgroup");
        for (folder, path) in [
            ("/sys/fs/cgroup", Some("/")),
            ("/sys/fs/cgroup/a/b", Some("/a/b")),
            ("/a/b", None),
        ] {
            assert_eq!(below(mount, Path::new(folder)).as_deref(), path);
        }
    }
}
