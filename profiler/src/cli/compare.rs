//! `lockprof compare`.

use std::{ffi::OsString, num::NonZeroUsize, path::PathBuf};

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueEnum, error::ErrorKind,
    value_parser,
};

use crate::compare::read::SideRequest;

/// `lockprof compare`.
#[derive(Args, Debug)]
pub struct CompareArguments {
    /// Recordings of the kernel that others are compared with: files, folders of runs, or folders of
    /// such; the first may have a name before it, NAME=PATH; - is standard input, and one recording
    ///
    /// Those of `lockprof locks` are compared by class and by who asked, with their like alone. Where all of both
    /// sides are of one boot, each of them is a sample; else each boot is.
    #[arg(value_name = "A", required = true, num_args = 1..)]
    before: Vec<OsString>,
    #[command(flatten)]
    versus: Versus,
    /// What to show
    #[arg(long, value_enum, default_value_t = CompareFormat::Table)]
    pub format: CompareFormat,
    /// Where to write it [default: standard output; pictures: into this folder]
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// A line on how the recordings were made, for the report; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub note: Vec<String>,
    /// Exit with status 4 if anything that was asked about became worse by more than this, and with 1 where
    /// nobody can say
    ///
    /// A change below 1 % gets no verdict, and so does not fail, whatever PERCENT is. With a PERCENT above
    /// 0, nobody can say where something is too noisy to tell and the 95 % interval of its change reaches
    /// past PERCENT on the worse side. Without one, what is too noisy to tell does not fail.
    #[arg(long, value_name = "PERCENT", num_args = 0..=1, require_equals = true,
          value_parser = growth)]
    pub fail_on_regression: Option<Option<f64>>,
}

/// `--format` of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CompareFormat {
    /// Tables for a terminal, 72 columns wide: to be pasted into a mail
    Table,
    /// Tables and sentences for issue trackers
    Markdown,
    /// One JSON object
    Json,
    /// One page with everything, for a browser
    Html,
    /// The pictures, into the folder of -o
    Svg,
    /// The same of pixels
    Png,
}

impl CompareArguments {
    /// The sides in the order of the command line.
    #[must_use]
    pub fn sides(&self) -> Vec<SideRequest> {
        let before = std::iter::once(&self.before);
        before
            .chain(&self.versus.0)
            .map(|words| SideRequest::parse(words))
            .collect()
    }
}

/// A percentage as a share: how much worse something may become.
fn growth(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(percent) if percent.is_finite() && percent >= 0.0 => Ok(percent / 100.0),
        _ => Err("0 or more".to_owned()),
    }
}

/// `--vs B…`, as often as there are kernels: which word belongs to which is lost in a plain list.
#[derive(Debug)]
struct Versus(Vec<Vec<OsString>>);

const VERSUS: &str = "vs";

impl Args for Versus {
    fn augment_args(command: Command) -> Command {
        command.arg(
            Arg::new(VERSUS)
                .long(VERSUS)
                .value_name("B")
                .help("Recordings of another kernel; may be given several times")
                .action(ArgAction::Append)
                .num_args(1..)
                .value_parser(value_parser!(OsString))
                .required(true),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Versus {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let sides: Vec<Vec<OsString>> = matches
            .get_occurrences::<OsString>(VERSUS)
            .into_iter()
            .flatten()
            .map(|words| words.cloned().collect())
            .collect();
        match NonZeroUsize::new(sides.len()) {
            Some(_) => Ok(Self(sides)),
            None => Err(clap::Error::new(ErrorKind::MissingRequiredArgument)),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
