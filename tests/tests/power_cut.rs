//! What is left after a power cut? G2 and G3, on the simulated disk; `factlog_tests::power_cut` says
//! how. Here a few hundred images from fixed seeds, to be run at every change; the program `power_cut`
//! draws as many as there is time for.
#![cfg(unix)]

use factlog_tests::power_cut::{Report, live};

#[test]
fn is_what_was_acknowledged_there_after_a_power_cut() {
    let mut report = Report::default();
    for seed in 1..=6 {
        let lived = live(seed, 60);
        report.add(&lived.expect("everything that was promised"));
    }
    println!("{report}");
    assert!(report.images >= 360 && report.acknowledged > 0 && report.torn > 0);
}
