//! Pieces of BENCHMARKS.md that all its sections have.

use std::fmt::Write as _;

use super::results::NotMeasured;

/// Bytes in MiB.
pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

/// The list of what was not measured, if there is any.
pub fn not_measured(text: &mut String, NotMeasured(list): &NotMeasured) {
    if list.is_empty() {
        return;
    }
    text.push_str("\nNot measured:\n\n");
    for (what, why) in list {
        let _ = writeln!(text, "- {what}: {why}.");
    }
}

/// With what a part was measured.
pub fn measured_with(text: &mut String, with: &[(String, String)]) {
    let list = with.iter().map(|(name, value)| format!("{name}: {value}"));
    let _ = write!(
        text,
        "\nMeasured with {}.\n",
        list.collect::<Vec<_>>().join("; ")
    );
}

/// A table; numbers' columns are not aligned, for the reader's renderer does it.
pub fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head = head.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>();
    let mut text = line(&head);
    text.push_str(&line(&vec!["---".to_owned(); head.len()]));
    for row in rows {
        let row = row
            .iter()
            .map(|cell| cell.replace('|', "\\|"))
            .collect::<Vec<_>>();
        text.push_str(&line(&row));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_cannot_break_their_table() {
        let rows = [vec!["a|b".to_owned(), "c".to_owned()]];
        assert_eq!(
            table(&["x", "y"], rows.into_iter()),
            "| x | y |\n| --- | --- |\n| a\\|b | c |\n"
        );
    }
}
