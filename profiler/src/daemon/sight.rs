//! What is known of the probes' sight while they are attached.

use std::time::Instant;

use crate::{
    probe::controls::{Circumstances, OwnHolds},
    recording::schema::{Control, Died, Misses},
};

/// By which it is judged, and what came out.
#[derive(Debug)]
pub(super) struct Sight {
    pub circumstances: Circumstances,
    /// The daemon's own null holds, where the programs can tell them from others.
    pub own: Option<OwnHolds>,
    /// When those of an interval were made last.
    pub made: Instant,
    pub misses: Misses,
    /// Whether spans have been tried.
    pub spans_tried: bool,
    /// Controls that have not been written yet.
    pub controls: Vec<Control>,
    /// That the probes have died.
    pub died: Option<Died>,
}

impl Sight {
    pub fn new(circumstances: Circumstances) -> Self {
        Self {
            circumstances,
            own: None,
            made: Instant::now(),
            misses: Misses::default(),
            spans_tried: false,
            controls: Vec::new(),
            died: None,
        }
    }
}
