//! Arrays that are a good part of a stack.

use factlog_codec::types::{Encode, Event, Scratch};

#[factlog_codec::event(name = "large", version = 1, crate = factlog_codec)]
#[derive(Debug, PartialEq)]
struct Large {
    bytes: [u8; 150_000],
}

#[test]
fn does_a_large_array_fit_the_stack_of_a_thread() {
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(|| {
        let event = Box::new(Large { bytes: [7; 150_000] });
        let mut space = vec![0_u128; 10_000];
        let space: &mut [u8] = bytemuck::cast_slice_mut(&mut space);
        let len = event.encode(space, &mut Scratch::new()).expect("it fits");
        let view = Large::view(&space[..len]).expect("just written");
        assert!(view.bytes().iter().all(|byte| *byte == 7));
        assert!(view.to_owned() == *event);
        assert_eq!(format!("{view:?}").matches('7').count(), 150_000);
    });
    thread.expect("a thread").join().expect("all of it was read");
}
