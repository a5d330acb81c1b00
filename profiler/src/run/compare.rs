//! `lockprof compare`: what recordings of different kernels say beside each other.

use std::{
    io::stdout,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};

use super::{exit, use_color};
use crate::{
    cli::{CompareArguments, CompareFormat},
    compare::{
        Comparison, DEFAULT_LIMIT, Finding, cannot_judge, read::read_sides, regressions,
        signed_percent, too_noisy,
    },
    export::{ComparisonReport, pixels},
    recording::Folder,
    report::{self, write_or_broken_pipe},
    tell::tell,
    units::TimeUnit,
};

/// Compares recordings.
///
/// # Errors
/// They cannot be read or compared, or the view cannot be written.
pub fn compare(arguments: &CompareArguments) -> Result<ExitCode> {
    let mut sides = read_sides(&arguments.sides())?.into_iter();
    let before = sides.next().context("there is nothing to compare with")?;
    let comparisons = sides
        .map(|after| Comparison::of(before.clone(), after).map_err(Into::into))
        .collect::<Result<Vec<Comparison>>>()?;
    let report = ComparisonReport::new(comparisons, arguments.note.clone());
    let output = arguments.output.as_deref();
    match arguments.format {
        CompareFormat::Table => write(output, &report.table(use_color()))?,
        CompareFormat::Markdown => write(output, &report.markdown())?,
        CompareFormat::Json => write(output, &report.json()?)?,
        CompareFormat::Html => write(output, &report.html()?)?,
        CompareFormat::Svg => pictures(&report, output, "svg", |svg| Ok(svg.into_bytes()))?,
        CompareFormat::Png => pictures(&report, output, "png", |svg| pixels(&svg))?,
    }
    let nothing = |comparison: &Comparison| comparison.settings.is_empty();
    if report.comparisons.iter().all(nothing) {
        bail!("nothing could be compared: the report says what differs");
    }
    match arguments.fail_on_regression {
        Some(limit) => judge(&report.comparisons, limit),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn write(output: Option<&Path>, bytes: &[u8]) -> Result<()> {
    match output {
        Some(path) => report::write_file(path, bytes),
        None => write_or_broken_pipe(&mut stdout().lock(), bytes)
            .context("cannot write to standard output"),
    }
}

/// Draws all pictures into a folder.
fn pictures(
    report: &ComparisonReport,
    output: Option<&Path>,
    extension: &str,
    encode: impl Fn(String) -> Result<Vec<u8>>,
) -> Result<()> {
    let Some(folder) = output else {
        bail!("pictures are several files: name a folder for them with -o");
    };
    Folder::make(folder)
        .with_context(|| format!("cannot create the folder {}", folder.display()))?;
    for (name, svg) in report.pictures()? {
        let path: PathBuf = folder.join(format!("{name}.{extension}"));
        report::write_file(&path, &encode(svg)?)?;
        tell(&format!("drew {}", path.display()));
    }
    Ok(())
}

/// The exit status that the user asked for. A script goes on at success, so there is none where nobody can say
/// whether something became worse. Noise is no answer to whom names a limit.
fn judge(comparisons: &[Comparison], limit: Option<f64>) -> Result<ExitCode> {
    let more_than = limit.unwrap_or(DEFAULT_LIMIT);
    let mut found = false;
    for comparison in comparisons {
        for (setting, finding) in regressions(comparison, more_than) {
            found = true;
            tell(&format!(
                "regression in {}: {} by {}",
                comparison.after.name,
                finding.quantity.describe(),
                by_how_much(finding, TimeUnit::of(setting.clock))
            ));
        }
    }
    if found {
        return Ok(ExitCode::from(exit::REGRESSION));
    }
    let noisy = |comparison| too_noisy(comparison, limit?);
    let why = comparisons.iter().find_map(cannot_judge);
    if let Some(why) = why.or_else(|| comparisons.iter().find_map(noisy)) {
        bail!("--fail-on-regression cannot be answered: {why}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The change; of what was not there before, its size.
fn by_how_much(finding: &Finding, unit: TimeUnit) -> String {
    let size = || {
        let after = finding.after.median.unwrap_or(0.0);
        format!("{}, from nothing", finding.quantity.format(after, unit))
    };
    finding.change.map_or_else(size, signed_percent)
}
