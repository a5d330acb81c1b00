//! Statistics over a few samples: nothing here assumes a distribution.

mod bootstrap;
mod correction;
mod describe;
mod rank;

pub use bootstrap::{Interval, Resampler};
pub use correction::holm;
pub use describe::{mean, median, relative_deviation};
pub use rank::{RankTest, smallest_p};
