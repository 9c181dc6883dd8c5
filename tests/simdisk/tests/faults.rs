//! Does the operation fail that is to fail, and no other?

#![cfg(unix)]

mod common;

use std::io::ErrorKind;
use std::path::Path;

use common::Place;
use factlog_simdisk::Operation::{Create, Rename, Sync, SyncDirectory, Write};
use factlog_simdisk::{Fault, InjectedFault, SimDisk};

/// Which of five operations fail, from 1.
fn failing(disk: &SimDisk) -> Vec<usize> {
    let kinds = [Create, Sync, Write, Sync, Rename];
    let done = kinds.map(|kind| disk.operation(kind, Path::new("x")));
    done.iter().zip(1..).filter(|(done, _)| done.is_err()).map(|(_, number)| number).collect()
}

fn failing_with(fault: Fault) -> Vec<usize> {
    let place = Place::with(&[]);
    place.disk.inject(fault);
    failing(&place.disk)
}

#[test]
fn does_nothing_fail_on_its_own() {
    let place = Place::with(&[]);
    assert!(failing(&place.disk).is_empty());
    assert_eq!(place.disk.operations(), 5);
    assert_eq!([Create, Sync, SyncDirectory].map(|kind| place.disk.operations_of(kind)), [1, 2, 0]);
}

#[test]
fn does_the_right_one_fail() {
    let at = |number| Fault::at(number, ErrorKind::StorageFull);
    assert_eq!(failing_with(at(1)), [1]);
    assert_eq!(failing_with(at(3)), [3]);
    assert_eq!(failing_with(at(3).sticky()), [3, 4, 5]);
    assert_eq!(failing_with(at(2).only(Sync)), [4]);
    assert_eq!(failing_with(at(1).only(Sync).sticky()), [2, 4]);
    assert!(failing_with(at(3).only(Sync)).is_empty());
    assert!(failing_with(at(6)).is_empty());
    assert!(failing_with(at(0).sticky()).is_empty(), "0 is none");
}

#[test]
fn is_an_injected_fault_told_from_others() {
    let place = Place::with(&[]);
    place.disk.inject(Fault::at(2, ErrorKind::StorageFull).sticky());
    place.disk.operation(Create, Path::new("x")).expect("the first");
    let error = place.disk.operation(Write, Path::new("y")).expect_err("the second");
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<InjectedFault>());
    let inner = inner.expect("ours");
    assert_eq!((inner.kind(), inner.path(), inner.number()), (Write, Path::new("y"), 2));
    assert_eq!(error.to_string(), "injected fault: operation 2, Write of y");
    place.disk.heal();
    assert!(failing(&place.disk).is_empty());
    assert_eq!(place.disk.operations(), 7);
}
