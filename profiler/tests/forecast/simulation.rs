//! Machines that exist only here: tasks that work and take locks, event by event.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

/// What a task does next in its round.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Works for so long, beside the others.
    Work(f64),
    /// Takes this lock, works for so long, and releases it.
    Hold(usize, f64),
    /// Takes this lock, works, takes the second inside, works, and releases both.
    Nested(usize, f64, usize, f64),
}

/// How long a piece of work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lengths {
    /// As its mean says, each time.
    Fixed,
    /// Fixed inside of holds, exponential outside.
    FixedHolds,
    /// Exponentially distributed.
    Exponential,
}

/// Rounds per unit of time: their mean and its standard error.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub mean: f64,
    pub error: f64,
}

impl Measured {
    /// In standard errors.
    pub fn distance(&self, expected: f64) -> f64 {
        (self.mean - expected).abs() / self.error
    }
}

/// Pieces of a round: a lock or none, and how many of the locks held are released after it.
struct Piece {
    lock: Option<usize>,
    mean: f64,
    released: Vec<usize>,
}

fn pieces(round: &[Step]) -> Vec<Piece> {
    let mut all = Vec::new();
    for step in round {
        match *step {
            Step::Work(mean) => all.push(Piece {
                lock: None,
                mean,
                released: vec![],
            }),
            Step::Hold(lock, mean) => all.push(Piece {
                lock: Some(lock),
                mean,
                released: vec![lock],
            }),
            Step::Nested(outer, before, inner, inside) => {
                all.push(Piece {
                    lock: Some(outer),
                    mean: before,
                    released: vec![],
                });
                all.push(Piece {
                    lock: Some(inner),
                    mean: inside,
                    released: vec![inner, outer],
                });
            }
        }
    }
    all
}

struct Machine {
    random: fastrand::Rng,
    lengths: Lengths,
    /// When which task ends its piece; times of positive numbers are ordered as their bits are.
    events: BinaryHeap<Reverse<(u64, usize)>>,
    owners: Vec<Option<usize>>,
    queues: Vec<VecDeque<usize>>,
}

impl Machine {
    fn start(&mut self, now: f64, task: usize, piece: &Piece) {
        let fixed = match self.lengths {
            Lengths::Fixed => true,
            Lengths::FixedHolds => piece.lock.is_some(),
            Lengths::Exponential => false,
        };
        let length = if fixed {
            piece.mean
        } else {
            -piece.mean * (1.0 - self.random.f64()).ln()
        };
        self.events.push(Reverse(((now + length).to_bits(), task)));
    }

    /// Begins a piece, or queues for its lock.
    fn begin(&mut self, now: f64, task: usize, piece: &Piece) {
        match piece.lock {
            Some(lock) if self.owners[lock].is_some() => self.queues[lock].push_back(task),
            Some(lock) => {
                self.owners[lock] = Some(task);
                self.start(now, task, piece);
            }
            None => self.start(now, task, piece),
        }
    }
}

/// Runs as many tasks as CPUs through rounds, and measures in 30 batches after one of warm-up.
pub fn run(
    cpus: usize,
    locks: usize,
    round: &[Step],
    lengths: Lengths,
    rounds: usize,
    seed: u64,
) -> Measured {
    let pieces = pieces(round);
    let mut machine = Machine {
        random: fastrand::Rng::with_seed(seed),
        lengths,
        events: BinaryHeap::new(),
        owners: vec![None; locks],
        queues: vec![VecDeque::new(); locks],
    };
    let mut place = vec![0; cpus];
    let length: f64 = pieces.iter().map(|piece| piece.mean).sum();
    for task in 0..cpus {
        // Not in step, where lengths are fixed.
        let late = machine.random.f64() * length;
        let first = Piece {
            lock: None,
            mean: late,
            released: vec![],
        };
        place[task] = pieces.len() - 1;
        assert!(pieces[place[task]].lock.is_none(), "a round ends with work");
        machine.begin(0.0, task, &first);
    }
    const BATCHES: usize = 31;
    let batch = rounds / BATCHES;
    let (mut done, mut since, mut rates) = (0, 0.0, Vec::new());
    while rates.len() < BATCHES {
        let Reverse((at, task)) = machine.events.pop().unwrap();
        let now = f64::from_bits(at);
        for &lock in &pieces[place[task]].released {
            machine.owners[lock] = machine.queues[lock].pop_front();
            if let Some(next) = machine.owners[lock] {
                machine.start(now, next, &pieces[place[next]]);
            }
        }
        place[task] = (place[task] + 1) % pieces.len();
        if place[task] == 0 {
            done += 1;
            if done % batch == 0 {
                rates.push(batch as f64 / (now - since));
                since = now;
            }
        }
        machine.begin(now, task, &pieces[place[task]]);
    }
    let rates = &rates[1..];
    let count = rates.len() as f64;
    let mean = rates.iter().sum::<f64>() / count;
    let variance = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / (count - 1.0);
    Measured {
        mean,
        error: (variance / count).sqrt(),
    }
}
