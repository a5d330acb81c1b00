//! `lockprof report`.

use std::path::PathBuf;

use clap::{
    Args, CommandFactory as _, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
    error::ErrorKind,
};

use super::Arguments;
use crate::export::{Grouping, Picture};

/// `lockprof report`.
#[derive(Args, Debug)]
pub struct ReportArguments {
    /// A recording, the folder that has one, or -: standard input
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
    /// By what the table groups the waits for all locks.
    #[command(flatten)]
    pub grouping: GroupingArguments,
}

impl ReportArguments {
    /// Whether the words go together.
    ///
    /// # Errors
    /// They contradict each other.
    pub fn check(&self) -> Result<(), clap::Error> {
        if self.grouping.chosen().is_some() && self.format != FormatWord::Table {
            return Err(Arguments::command().error(
                ErrorKind::ArgumentConflict,
                "--by is for the table: every other format has all groupings",
            ));
        }
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

/// By what the table of all locks is grouped.
#[derive(Args, Clone, Copy, Debug)]
pub struct GroupingArguments {
    /// Of all locks: the one grouping that the table shows, with more of its rows; the page has all
    #[arg(long, value_name = "GROUPING", value_parser = grouping())]
    by: Option<Grouping>,
    /// Of all locks: each lock by itself, and its class beside it; as --by lock
    #[arg(long, conflicts_with = "by")]
    members: bool,
}

impl GroupingArguments {
    /// The one that is asked for.
    #[must_use]
    pub fn chosen(self) -> Option<Grouping> {
        self.by.or(self.members.then_some(Grouping::Lock))
    }
}

/// The words for groupings of all locks.
fn grouping() -> impl TypedValueParser<Value = Grouping> {
    PossibleValuesParser::new(Grouping::ALL.map(Grouping::name)).try_map(|name| {
        let mut all = Grouping::ALL.into_iter();
        all.find(|grouping| grouping.name() == name)
            .ok_or("no grouping has this name")
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
