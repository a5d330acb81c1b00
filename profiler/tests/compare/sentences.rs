//! The answer in a sentence, where numbers are odd or settings many.

use lockprof::compare::{Comparison, Quantity, Setting, Side, Totals, sentence};
use lockprof::recording::schema::Clock;

use crate::samples::{rates, setting};

#[test]
fn what_appeared_has_no_interval() {
    let nothing = rates("a", &[0.0; 5]);
    let something = rates("b", &[10.0, 11.0, 12.0, 13.0, 14.0]);
    let sentence = sentence(&Comparison::of(nothing, something).unwrap());
    assert!(
        sentence.contains("throughput appeared (0") && sentence.ends_with("/s)."),
        "{sentence}"
    );
    assert!(!sentence.contains("95 %"), "{sentence}");
}

/// A load that did nothing has no iteration that work could be that of.
#[test]
fn without_an_iteration_there_is_no_work() {
    let of = |rates: Vec<f64>| {
        Quantity::Work.value(&Totals {
            rates,
            ..Totals::default()
        })
    };
    assert_eq!(of(vec![0.0, 0.0]), None);
    assert_eq!(of(vec![1e6]), Some(1000.0));
}

/// The same boots in several settings.
fn in_settings(name: &str, rate: f64, settings: &[Setting]) -> Side {
    let mut side = rates(
        name,
        &[rate, rate + 1.0, rate + 2.0, rate + 3.0, rate + 4.0],
    );
    let boots = side.boots.remove(&setting()).unwrap();
    for setting in settings {
        side.boots.insert(setting.clone(), boots.clone());
    }
    side
}

#[test]
fn several_machines_are_told_apart() {
    let machine = |cpus: u32, tasks: &str| Setting {
        cpus,
        load: format!("threadspawn, {tasks}"),
        ..setting()
    };
    let verdict = |settings: &[Setting]| {
        let sides = [("a", 1000.0), ("b", 300.0)];
        let [before, after] = sides.map(|(name, rate)| in_settings(name, rate, settings));
        sentence(&Comparison::of(before, after).unwrap())
    };
    let one = verdict(&[machine(1, "2 threads")]);
    assert!(!one.contains("CPU"), "{one}");
    let of_two_clocks = Setting {
        clock: Clock::EmulatedWall,
        ..machine(1, "2 threads")
    };
    let two_clocks = verdict(&[machine(1, "2 threads"), of_two_clocks]);
    assert!(!two_clocks.contains("CPU"), "{two_clocks}");
    let two = verdict(&[machine(1, "2 threads"), machine(2, "2 threads")]);
    assert!(
        two.contains(") on 1 CPU; throughput fell by") && two.ends_with(") on 2 CPUs."),
        "{two}"
    );
    let two_loads = verdict(&[machine(2, "2 threads"), machine(2, "4 threads")]);
    assert!(
        two_loads.contains(") with threadspawn, 2 threads, on 2 CPUs;")
            && two_loads.ends_with(") with threadspawn, 4 threads, on 2 CPUs."),
        "{two_loads}"
    );
}
