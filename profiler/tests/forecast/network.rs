//! The network's solution against closed forms, a textbook, and another exact method.

use lockprof::forecast::throughput;

fn near(value: f64, expected: f64, tolerance: f64) {
    let difference = (value - expected).abs();
    assert!(
        difference <= tolerance * expected.abs(),
        "{value} is not {expected}"
    );
}

/// A balanced network without a delay has N / (N + K − 1) / D (Lazowska et al., "Quantitative System
/// Performance", 1984, on balanced job bounds).
#[test]
fn a_balanced_network() {
    for stations in 1..=5 {
        let rates = throughput(0.0, &vec![0.25; stations], 512);
        for (index, rate) in rates.iter().enumerate() {
            let tasks = (index + 1) as f64;
            near(*rate, tasks / (tasks + stations as f64 - 1.0) / 0.25, 1e-12);
        }
    }
}

/// The machine repairman (M/M/1//N): nobody at the station with probability
/// 1 / Σ N!/(N−k)! (D/Z)^k, and X = (1 − p0) / D.
#[test]
fn the_machine_repairman() {
    // 1 + 4 + 12 + 24 + 24 = 65.
    near(throughput(1.0, &[1.0], 4)[3], 64.0 / 65.0, 1e-12);
    for (delay, demand) in [(100.0, 1.0), (65_300.0, 2493.0), (1.0, 3.0)] {
        let rates = throughput(delay, &[demand], 200);
        for tasks in 1..=200_u32 {
            let (mut term, mut sum) = (1.0, 1.0);
            for waiting in 0..tasks {
                term *= f64::from(tasks - waiting) * demand / delay;
                sum += term;
            }
            let expected = (1.0 - 1.0 / sum) / demand;
            near(rates[tasks as usize - 1], expected, 1e-9);
        }
    }
}

/// An interactive system with a CPU and two disks, of the kind by which Lazowska et al. explain the
/// method (chapter 6): think time 15 s, demands 0.605 s, 2.1 s and 1.35 s. By hand, for one task
/// 1 / (15 + 4.055); for two 2 / (15 + 0.6242 + 2.3314 + 1.4456).
#[test]
fn a_central_server() {
    let rates = throughput(15.0, &[0.605, 2.1, 1.35], 3);
    near(rates[0], 0.052_480, 1e-4);
    near(rates[1], 0.103_086, 1e-4);
    near(rates[2], 0.151_5, 1e-3);
}

#[test]
fn one_task_never_waits() {
    near(throughput(10.0, &[1.0, 2.0, 3.0], 1)[0], 1.0 / 16.0, 1e-15);
    assert_eq!(throughput(10.0, &[], 3), [0.1, 0.2, 0.3]);
    assert_eq!(throughput(10.0, &[0.0], 3), [0.1, 0.2, 0.3]);
    assert!(throughput(10.0, &[1.0], 0).is_empty());
}

#[test]
fn many_tasks_meet_the_asymptotes() {
    let rates = throughput(97.0, &[2.0, 1.0], 5000);
    near(rates[0], 1.0 / 100.0, 1e-12);
    near(rates[4999], 1.0 / 2.0, 1e-9);
}

/// Buzen's convolution ("Computational Algorithms for Closed Queueing Networks with Exponential
/// Servers", CACM 16(9), 1973) computes the same from normalisation constants: X(N) = G(N−1) / G(N).
#[test]
fn convolution_agrees() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..200 {
        let delay = random.f64() * 50.0;
        let demands: Vec<f64> = (0..random.usize(1..6))
            .map(|_| random.f64() + 0.01)
            .collect();
        let mut constants = vec![1.0];
        for tasks in 1..=60 {
            let before: f64 = constants[tasks - 1];
            constants.push(before * delay / tasks as f64);
        }
        for demand in &demands {
            for tasks in 1..=60 {
                constants[tasks] += demand * constants[tasks - 1];
            }
        }
        for (index, rate) in throughput(delay, &demands, 60).into_iter().enumerate() {
            near(rate, constants[index] / constants[index + 1], 1e-9);
        }
    }
}
