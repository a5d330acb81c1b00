//! A closed network of queues with one kind of task, solved exactly.

/// Rounds per unit of the demands' clock with 1, 2, …, `most` tasks, by mean value analysis
/// (Reiser and Lavenberg, "Mean-Value Analysis of Closed Multichain Queuing Networks", JACM 27(2),
/// 1980).
///
/// A round spends `delay` where nobody queues, and asks `demands` of stations with one server each. With
/// n tasks, an arriving task finds at each station what n − 1 tasks have there on average; that is
/// exact for first-come-first-served stations with exponential service. Numbers must be finite and not
/// negative; where a round takes no time at all the rate is infinite.
#[must_use]
pub fn throughput(delay: f64, demands: &[f64], most: u32) -> Vec<f64> {
    let mut queues = vec![0.0; demands.len()];
    let mut rates = Vec::with_capacity(most as usize);
    for tasks in 1..=most {
        let stays = || {
            demands
                .iter()
                .zip(&queues)
                .map(|(demand, queue)| demand * (1.0 + queue))
        };
        let rate = f64::from(tasks) / (delay + stays().sum::<f64>());
        for (queue, demand) in queues.iter_mut().zip(demands) {
            *queue = if *demand > 0.0 {
                rate * demand * (1.0 + *queue)
            } else {
                0.0
            };
        }
        rates.push(rate);
    }
    rates
}
