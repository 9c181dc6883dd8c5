//! Are handles kept only for what has a name?
//!
//! In a suite of its own: the handles of the whole process are counted.

#![cfg(target_os = "linux")]

mod common;

use std::fs;

use common::{Place, sectors};

fn handles() -> usize {
    fs::read_dir("/proc/self/fd").expect("readable").count()
}

#[test]
fn are_handles_let_go() {
    let place = Place::with(&[("a", &sectors("x"))]);
    let before = handles();
    for _ in 0..50 {
        place.write("new", 0, &sectors("y"));
        place.sync("new");
        place.rename("new", "b");
        place.sync_names("");
        place.remove("b");
        // It still has its name on the medium, and must be left whole there.
        assert_eq!(place.images(5).filter(|image| image.counts().names.in_flight == 1).count(), 5);
        place.sync_names("");
    }
    place.images(1).for_each(drop);
    assert_eq!(handles(), before);
}
