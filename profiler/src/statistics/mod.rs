//! Statistics over a few samples. Nothing that compares kernels assumes a distribution; Student's t is
//! for what windows of one run say of the effect.

mod bootstrap;
mod correction;
mod describe;
mod rank;
mod student;

pub use bootstrap::{Interval, Resampler};
pub use correction::holm;
pub use describe::{mean, median, relative_deviation};
pub use rank::{RankTest, smallest_p};
pub use student::t_975;
