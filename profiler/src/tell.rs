//! What is said on standard error, and to what kind of terminal.

use std::{
    borrow::Cow,
    env,
    io::{Write as _, stderr},
};

use crate::text::printable;

/// Says something; in one piece, for the load may write there too. Whoever was to read it may have gone away
/// (`lockprof attach 2>&1 | head`, a closed terminal), which is no reason to end what is measured; `eprintln!` would
/// panic.
pub fn tell(message: &str) {
    let _reader_gone = stderr().write_all(format!("{}\n", as_told(message)).as_bytes());
}

/// What is told, without what a terminal would obey: paths and names in it are from outside. It may have several lines.
#[must_use]
pub fn as_told(message: &str) -> String {
    let lines: Vec<Cow<'_, str>> = message.lines().map(printable).collect();
    format!("lockprof: {}", lines.join("\n"))
}

/// Whether the terminal says of itself that it shows what it is sent as it is: no colours, and no line that is written over.
#[must_use]
pub fn is_dumb() -> bool {
    env::var_os("TERM").is_some_and(|terminal| terminal == "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_obeyed_by_no_terminal() {
        assert_eq!(
            as_told("drew /tmp/a\u{1b}]0;x\u{7}.svg\nand\rmore"),
            "lockprof: drew /tmp/a\u{fffd}]0;x\u{fffd}.svg\nand\u{fffd}more"
        );
        assert_eq!(as_told("two\nlines"), "lockprof: two\nlines");
    }
}
