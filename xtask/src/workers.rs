//! Several of the same work at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, anyhow};
use lab::signals;

/// Does the work for each of the items, by so many workers at once, and returns what came of it in the
/// items' order. No worker takes another item once a signal is pending, and that is the error then.
pub fn each<T: Sync, R: Send>(
    items: &[T],
    workers: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(items.len()));
    let worker = || {
        loop {
            let index = next.fetch_add(1, Ordering::SeqCst);
            let Some(item) = items.get(index).filter(|_| signals::pending().is_none()) else {
                return;
            };
            let result = work(item);
            if let Ok(mut done) = done.lock() {
                done.push((index, result));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..workers.min(items.len()) {
            scope.spawn(worker);
        }
    });
    signals::check()?;
    let mut done = done
        .into_inner()
        .map_err(|_error| anyhow!("a worker has panicked"))?;
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn results_stand_in_the_order_of_their_items() {
        let items: Vec<usize> = (0..50).collect();
        let squares = each(&items, 4, |item| item * item).unwrap();
        assert_eq!(
            squares,
            items.iter().map(|item| item * item).collect::<Vec<_>>()
        );
        assert!(each(&[] as &[usize], 4, |item| *item).unwrap().is_empty());
    }

    #[test]
    fn workers_work_at_once() {
        // Each waits for the other, so that one alone would never end.
        let barrier = Barrier::new(2);
        let each = each(&[(), ()], 2, |()| barrier.wait().is_leader()).unwrap();
        assert_eq!(each.iter().filter(|leader| **leader).count(), 1);
    }
}
