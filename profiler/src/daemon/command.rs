//! The user's own command: whether it can be run, and its words as text.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{Access, AtFlags, CWD, accessat};

/// Where execvp(3) of glibc searches without PATH.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Whether a command can be run, before anything is done for it: as execvp(3) will look for it, but for what
/// only execve(2) finds out, such as the interpreter of a script.
///
/// # Errors
/// It cannot, and why.
pub fn check(program: &OsStr) -> Result<()> {
    let path = env::var_os("PATH").unwrap_or_else(|| OsString::from(DEFAULT_PATH));
    find(program, &path).with_context(|| format!("cannot start the load {}", readable(program)))
}

fn find(program: &OsStr, path: &OsStr) -> Result<()> {
    if program.is_empty() {
        bail!("its name is empty");
    }
    if program.as_bytes().contains(&b'/') {
        return is_runnable(Path::new(program)).map_err(Into::into);
    }
    let mut refused = None;
    // An empty folder is the present one.
    for candidate in env::split_paths(path).map(|folder| folder.join(program)) {
        match is_runnable(&candidate) {
            Ok(()) => return Ok(()),
            Err(error) if is_absence(&error) => {}
            Err(error) => refused = refused.or(Some((candidate, error))),
        }
    }
    match refused {
        Some((candidate, error)) => {
            Err(error).with_context(|| format!("in PATH there is only {}", candidate.display()))
        }
        None => bail!("no folder of PATH has it, which is {}", readable(path)),
    }
}

fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

fn is_runnable(path: &Path) -> io::Result<()> {
    if std::fs::metadata(path)?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    // With the rights of now, and not with those of the user who called a set-user-ID program.
    accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)?;
    Ok(())
}

/// A word of a command line as text: bytes that are none stand as `\xff`.
#[must_use]
pub fn readable(word: &OsStr) -> String {
    let mut text = String::new();
    for chunk in word.as_bytes().utf8_chunks() {
        text += chunk.valid();
        text += &chunk.invalid().escape_ascii().to_string();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_command_is_found_as_exec_would() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        for (folder, name, mode) in [
            (&first, "plain", 0o644),
            (&first, "both", 0o644),
            (&second, "both", 0o755),
            (&second, "script", 0o755),
        ] {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join(name), "exit 0\n").unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::create_dir(second.join("folder")).unwrap();
        let path = env::join_paths([&first, &folder.path().join("none"), &second]).unwrap();
        let found = |program: &str| find(OsStr::new(program), &path);
        let absolute = |name: &str| second.join(name).display().to_string();
        for program in ["both", "script", &absolute("script")] {
            found(program).unwrap();
        }
        for (program, why) in [
            ("", "its name is empty"),
            ("none", "no folder of PATH has it, which is /"),
            ("plain", "first/plain: Permission denied"),
            ("folder", "second/folder: is a directory"),
            (&absolute("none"), "No such file or directory"),
            (&absolute("script/x"), "Not a directory"),
            (&absolute("folder"), "is a directory"),
        ] {
            let error = format!("{:#}", found(program).unwrap_err());
            assert!(error.contains(why), "{program}: {error}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_can_be_read() {
        assert_eq!(readable(OsStr::new("na\u{ef}ve")), "na\u{ef}ve");
        assert_eq!(
            readable(OsStr::from_bytes(b"a\xff\xc3b \xe2\x82\xac")),
            "a\\xff\\xc3b \u{20ac}"
        );
    }
}
