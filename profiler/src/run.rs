//! `lockprof run` and `lockprof attach`: measure, then report.

mod compare;

pub use compare::compare;

use std::{
    io::{IsTerminal as _, stdout},
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    cli::{FormatWord, ReportArguments},
    daemon::{self, Settings},
    export::Format,
    kernel::classify_stack,
    recording::{directory_for_caller, schema::Ended},
    report::{self, PictureKind, ReportRequest, Validity, write_or_broken_pipe},
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
pub fn measure(settings: &Settings, with_report: bool) -> Result<ExitCode> {
    let directory = settings.recording.parent().unwrap_or(Path::new("."));
    let outcome = daemon::run(settings)?;
    let profile = report::read_profile(&settings.recording, classify_stack)?;
    if with_report {
        let table = table_format().exporter().export(&profile)?;
        write_or_broken_pipe(&mut stdout().lock(), &table).context("cannot print the table")?;
        let page = report::write_page(directory, &profile)?;
        report::write_pictures(directory, &profile, PictureKind::Svg)?;
        eprintln!("lockprof: the report is {}", page.display());
    }
    if let Some(reason) = outcome.over_budget {
        bail!("{reason}; the recording has what was measured until then");
    }
    if let Some(status) = outcome.load_status.filter(|status| *status != 0)
        && outcome.ended == Ended::LoadEnded
    {
        bail!(
            "the load ended with status {status}; the recording has what was measured until then"
        );
    }
    Ok(exit_code(Validity::of(&profile)))
}

/// Shows a recording.
///
/// # Errors
/// It cannot be read, or the view cannot be written.
pub fn report(arguments: &ReportArguments) -> Result<ExitCode> {
    let format = match arguments.format {
        FormatWord::Table => table_format(),
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
    let profile = report::read_profile(&arguments.recording, classify_stack)?;
    let beside = if arguments.recording.is_dir() {
        arguments.recording.as_path()
    } else {
        arguments.recording.parent().unwrap_or(Path::new("."))
    };
    let directory = arguments.output.as_deref().unwrap_or(beside);
    directory_for_caller(directory)
        .with_context(|| format!("cannot create the folder {}", directory.display()))?;
    for path in report::write_pictures(directory, &profile, kind)? {
        eprintln!("lockprof: drew {}", path.display());
    }
    Ok(exit_code(Validity::of(&profile)))
}

/// The table, as standard output wants it.
fn table_format() -> Format {
    Format::Table {
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
    // SAFETY: all-zero is a valid winsize.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is valid for writing.
    let failed = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    if failed == 0 && size.ws_col > 0 {
        size.ws_col.into()
    } else {
        80
    }
}

/// Whether standard output wants colour (no-color.org).
fn use_color() -> bool {
    stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// CPUs that this process may use.
#[must_use]
pub fn online_cpus() -> u32 {
    thread::available_parallelism().map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX))
}

/// A folder named after the present time, which does not exist yet.
///
/// # Errors
/// The clock cannot be read.
pub fn output_directory() -> Result<PathBuf> {
    // SAFETY: time has no precondition when it is given no pointer.
    let now = unsafe { libc::time(std::ptr::null_mut()) };
    // SAFETY: all-zero is a valid tm.
    let mut local: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both structures are valid.
    if unsafe { libc::localtime_r(&raw const now, &raw mut local) }.is_null() {
        bail!("cannot tell the local time to name the output's folder; name one with -o");
    }
    let name = format!(
        "lockprof-{:04}{:02}{:02}-{:02}{:02}{:02}",
        local.tm_year + 1900,
        local.tm_mon + 1,
        local.tm_mday,
        local.tm_hour,
        local.tm_min,
        local.tm_sec
    );
    Ok((1..)
        .map(|attempt| match attempt {
            1 => PathBuf::from(&name),
            _ => PathBuf::from(format!("{name}-{attempt}")),
        })
        .find(|path| !path.exists())
        .unwrap_or_else(|| PathBuf::from(&name)))
}
