//! `lockprof report`.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, ValueEnum, error::ErrorKind};

use super::Arguments;
use crate::export::Picture;

/// `lockprof report`.
#[derive(Args, Debug)]
pub struct ReportArguments {
    /// A recording, or the folder that has one
    pub recording: PathBuf,
    /// What to show
    #[arg(long, value_enum, default_value_t = FormatWord::Table)]
    pub format: FormatWord,
    /// Where to write it [default: standard output; all pictures: beside the recording]
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// One picture alone, with --format svg or png
    #[arg(long, value_name = "PICTURE", value_parser = picture)]
    pub only: Option<Picture>,
}

impl ReportArguments {
    /// Whether the words go together.
    ///
    /// # Errors
    /// They contradict each other.
    pub fn check(&self) -> Result<(), clap::Error> {
        match (self.only, self.format) {
            (None, _) | (Some(_), FormatWord::Svg | FormatWord::Png) => Ok(()),
            (Some(_), _) => Err(Arguments::command().error(
                ErrorKind::ArgumentConflict,
                "--only names one picture: it goes with --format svg or --format png",
            )),
        }
    }
}

fn picture(name: &str) -> Result<Picture, String> {
    let named = Picture::ALL.iter().find(|picture| picture.name() == name);
    named.copied().ok_or_else(|| {
        let names: Vec<&str> = Picture::ALL.iter().map(|picture| picture.name()).collect();
        format!("one of {}", names.join(", "))
    })
}

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatWord {
    /// A table for a terminal
    Table,
    /// One JSON object
    Json,
    /// One tidy table: a number a row
    Csv,
    /// Tables and sentences for issue trackers
    Markdown,
    /// One page with everything, for a browser
    Html,
    /// The pictures: all into the folder of -o, or one with --only
    Svg,
    /// The same of pixels
    Png,
    /// Waiters' call stacks for flame-graph tools
    Folded,
    /// Chrome trace JSON, for Perfetto
    Trace,
}
