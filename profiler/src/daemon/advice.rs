//! What to do where a kernel allows less than was asked for: only what can be done from where the user is.

use std::{env, error::Error as StdError, ffi::OsString, io};

use anyhow::{Error, anyhow};

use crate::recording::{WriteError, schema::Tier};

/// What this kernel allows, and where the same would be exact. `run_words` is what the user typed behind
/// `lockprof run`; none where there was no load, which a throw-away machine would not have either.
pub(super) fn of_less(tier: Tier, run_words: Option<&[OsString]>, in_checkout: bool) -> String {
    let what = match tier {
        Tier::WaitOnly => ": waits are measured, holds are not",
        _ => "",
    };
    let mut text = format!(
        "this kernel allows only the {} tier{what}; the report says why",
        tier.name()
    );
    let words = run_words.filter(|_| in_checkout).and_then(typed);
    if let Some(words) = words {
        text += &format!(". For the exact tier, in a VM: cargo xtask run --vm -- {words}");
    }
    text
}

/// An error with what to do about it, where the kernel's words do not say.
pub(super) fn with(error: Error) -> Error {
    let number = |cause: &(dyn StdError + 'static)| match cause.downcast_ref::<WriteError>() {
        Some(WriteError::Io { cause, .. }) => cause.raw_os_error(),
        _ => cause.downcast_ref::<io::Error>()?.raw_os_error(),
    };
    match error.chain().find_map(number) {
        Some(libc::EMFILE) => anyhow!(
            "{error:#}: this process may have no more files open at a time; `ulimit -n 1024` in the shell before it is \
             enough"
        ),
        Some(libc::ENFILE) => anyhow!(
            "{error:#}: the machine may have no more files open at a time; sysctl fs.file-max raises that"
        ),
        _ => error,
    }
}

/// The words as a shell takes them; none of what it could not hand on.
fn typed(words: &[OsString]) -> Option<String> {
    let words: Option<Vec<&str>> = words.iter().map(|word| word.to_str()).collect();
    shlex::try_join(words?).ok()
}

/// Whether `cargo xtask` works here: an installed lockprof comes without it, and so does a guest's.
pub(super) fn in_checkout() -> bool {
    let is_checkout = |folder: &std::path::Path| {
        ["xtask", "profiler-ebpf"]
            .iter()
            .all(|member| folder.join(member).join("Cargo.toml").is_file())
    };
    env::current_dir().is_ok_and(|here| here.ancestors().any(is_checkout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_done_is_advised() {
        let alone = "this kernel allows only the wait-only tier: waits are measured, holds are not; \
                     the report says why";
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let make = words(&["-d", "5", "--", "sh", "-c", "make -j8"]);
        for (run_words, in_checkout, advice) in [
            // Of `attach` a VM has nothing to measure; without the checkout there is no VM.
            (None, true, ""),
            (Some(&make[..]), false, ""),
            (
                Some(&make[..]),
                true,
                ". For the exact tier, in a VM: cargo xtask run --vm -- -d 5 -- sh -c 'make -j8'",
            ),
        ] {
            assert_eq!(
                of_less(Tier::WaitOnly, run_words, in_checkout),
                format!("{alone}{advice}")
            );
        }
    }

    #[test]
    fn words_that_are_no_text_are_not_guessed() {
        use std::os::unix::ffi::OsStringExt as _;
        let words = [OsString::from("--"), OsString::from_vec(vec![0xff])];
        assert_eq!(typed(&words), None);
    }
}
