//! Operations with reopening and crashes, held against a model that is a vector of events.

use super::input::Input;
use super::reached::Reached;
use crate::model::{Draft, Operation, live};

/// Bytes of large payloads of one input: enough for some rollovers.
const LARGE: usize = 10 << 20;

/// `bytes` are operations, one behind the other.
///
/// # Panics
///
/// When the log is not what the model says.
pub(super) fn run(bytes: &[u8], reached: &mut Reached) {
    let mut input = Input::new(bytes);
    let mut large = LARGE;
    let mut operations = Vec::new();
    while !input.is_empty() && operations.len() < 40 {
        operations.push(operation(&mut input, &mut large));
    }
    let lived = live(&operations);
    for (what, count) in lived.counts() {
        reached.count(what, count);
    }
}

fn operation(input: &mut Input<'_>, large: &mut usize) -> Operation {
    match input.byte() {
        0..100 => Operation::Append(draft(input, large)),
        100..180 => {
            let count = usize::from(input.byte() % 12);
            let drafts = (0..count).map(|_| draft(input, large)).collect();
            Operation::Transaction { drafts, commit: !input.byte().is_multiple_of(5) }
        }
        180..200 => Operation::Sync,
        200..215 => Operation::Close,
        215..230 => Operation::Drop,
        230..242 => Operation::Crash,
        _ => Operation::Cut { at: input.number(4) as u32, filler: input.byte() },
    }
}

fn draft(input: &mut Input<'_>, large: &mut usize) -> Draft {
    let (how, more) = (input.byte(), input.byte());
    let size = match more {
        0..200 => usize::from(more),
        200..250 => input.number(2) as usize % 5_000,
        _ => 200_000 + input.number(2) as usize * 6,
    };
    let size = if size < 100_000 || *large > size { size } else { 0 };
    *large -= if size < 100_000 { 0 } else { size };
    Draft {
        of_type: usize::from(how % 3),
        size,
        stream: (how & 4 != 0).then_some(u64::from(how >> 3 & 3)),
        off_by: [None, Some(0), Some(0), Some(u64::from(more & 1) + 1)][usize::from(how >> 5 & 3)],
        caused: how & 0x80 != 0,
        metadata: usize::from(more & 0x3F),
    }
}
