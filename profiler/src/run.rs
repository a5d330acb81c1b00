//! `lockprof run` and `lockprof attach`: measure, then report.

mod compare;

pub use compare::compare;

use std::{
    io::{IsTerminal as _, stdout},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use rustix::termios::tcgetwinsize;

use crate::{
    cli::{FormatWord, ReportArguments},
    daemon::{self, Settings},
    export::{Format, Grouping},
    kernel::classify_stack,
    profile_file::read_profile,
    recording::{Folder, is_stdin, schema::Ended},
    report::{self, PictureKind, ReportRequest, Validity, write_or_broken_pipe},
    tell::{is_dumb, tell},
};

/// Exit statuses of the command line's contract.
pub mod exit {
    /// A run is void because of losses.
    pub const VOID: u8 = 3;
    /// Something became worse, where that was asked about.
    pub const REGRESSION: u8 = 4;
}

/// Measures, writes the recording, and shows what it says.
///
/// # Errors
/// As [`daemon::run`]; or the load failed, or the report cannot be written.
pub fn measure(settings: &Settings, with_report: bool, by: Option<Grouping>) -> Result<ExitCode> {
    let outcome = daemon::run(settings)?;
    let profile = read_profile(&outcome.recording, classify_stack)?;
    if with_report {
        let table = table_format(by).exporter().export(&profile)?;
        // A terminal that was closed meanwhile is no reason to write no report.
        let printed = write_or_broken_pipe(&mut stdout().lock(), &table);
        let folder = outcome.recording.parent().unwrap_or(Path::new(""));
        let page = report::write_page(folder, &profile)?;
        report::write_pictures(folder, &profile, PictureKind::Svg)?;
        tell(&format!("the report is {}", page.display()));
        printed.context("cannot print the table")?;
    }
    let until_then = if profile.measured_s > 0.0 {
        "the recording has what was measured until then"
    } else {
        "that was before its measured time, and nothing was measured"
    };
    if let Some(reason) = outcome.over_budget {
        bail!("{reason}; {until_then}");
    }
    if let Some(status) = outcome.load_status.filter(|status| *status != 0)
        && outcome.ended == Ended::LoadEnded
    {
        bail!("the load ended with status {status}; {until_then}");
    }
    Ok(exit_code(Validity::of(&profile)))
}

/// Shows a recording.
///
/// # Errors
/// It cannot be read, or the view cannot be written.
pub fn report(arguments: &ReportArguments) -> Result<ExitCode> {
    let format = match arguments.format {
        FormatWord::Table => table_format(arguments.grouping.chosen()),
        FormatWord::Json => Format::Json,
        FormatWord::Csv => Format::Csv,
        FormatWord::Markdown => Format::Markdown,
        FormatWord::Html => Format::Html,
        FormatWord::Folded => Format::Folded,
        FormatWord::Trace => Format::Trace,
        FormatWord::Svg => match arguments.only {
            Some(picture) => Format::Svg(picture),
            None => return pictures(arguments, PictureKind::Svg),
        },
        FormatWord::Png => match arguments.only {
            Some(picture) => Format::Png(picture),
            None => return pictures(arguments, PictureKind::Png),
        },
    };
    if arguments.output.is_none()
        && matches!(format, Format::Html | Format::Png(_))
        && stdout().is_terminal()
    {
        bail!("this is not for a terminal: name a file with -o");
    }
    let request = ReportRequest {
        recording: arguments.recording.clone(),
        format,
        output: arguments.output.clone(),
    };
    report::report(&request, classify_stack).map(exit_code)
}

/// Draws the pictures of a recording into a folder.
fn pictures(arguments: &ReportArguments, kind: PictureKind) -> Result<ExitCode> {
    let recording = arguments.recording.as_path();
    let beside = || match recording {
        _ if is_stdin(recording) => None,
        _ if recording.is_dir() => Some(recording),
        _ => recording.parent(),
    };
    let Some(directory) = arguments.output.as_deref().or_else(beside) else {
        bail!("pictures are several files: name a folder for them with -o");
    };
    let profile = read_profile(recording, classify_stack)?;
    Folder::make(directory)
        .with_context(|| format!("cannot create the folder {}", directory.display()))?;
    for path in report::write_pictures(directory, &profile, kind)? {
        tell(&format!("drew {}", path.display()));
    }
    Ok(exit_code(Validity::of(&profile)))
}

/// The table, as standard output wants it.
fn table_format(by: Option<Grouping>) -> Format {
    Format::Table {
        by,
        width: terminal_width(),
        color: use_color(),
    }
}

/// The exit status that a report asks for.
fn exit_code(validity: Validity) -> ExitCode {
    match validity {
        Validity::Valid => ExitCode::SUCCESS,
        Validity::Void => ExitCode::from(exit::VOID),
    }
}

/// The width for tables: the terminal's, or 80.
fn terminal_width() -> usize {
    match tcgetwinsize(stdout()) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        _ => 80,
    }
}

/// Whether standard output wants colour (no-color.org).
fn use_color() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stdout().is_terminal() && !no_color && !is_dumb()
}
