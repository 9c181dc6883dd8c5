//! Appending from several threads, in the order of the facts' own time.
//!
//! Each thread makes drafts of every third batch of facts, which is most of the work, and hands
//! them to the one thread that writes when it is their turn. So the log is the same, fact for fact,
//! whatever the threads do, and a run that was cut off goes on where it was.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use factlog::{Answer, Draft, Expected, Log, Producer, Refusal, Sequence, Start};

use super::events::{FlightFact, stream_of};
use super::failure::Failure;
use super::input::{Input, Step};

/// Threads that submit.
const PRODUCERS: usize = 3;
/// Facts that are submitted together.
const BATCH: usize = 64;
/// Submissions of one thread that wait for their answer.
const WAITING: usize = 16;
/// How long a full queue is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// What led to what: a flight's facts follow from each other. The step at index i has sequence
/// i + 1, in this run and in any that goes on from it.
struct Links {
    /// For each step, the fact of the same flight before it.
    before: Vec<Option<Sequence>>,
    /// For each flight, its first fact.
    first: Vec<Sequence>,
}

impl Links {
    fn of(input: &Input) -> Self {
        let mut last = vec![None; input.flights.len()];
        let mut first = vec![Sequence::ZERO; input.flights.len()];
        let mut before = Vec::with_capacity(input.steps.len());
        for (index, step) in input.steps.iter().enumerate() {
            let (row, sequence) = (step.row as usize, Sequence::new(index as u64 + 1));
            if last[row].is_none() {
                first[row] = sequence;
            }
            before.push(last[row].replace(sequence));
        }
        Self { before, first }
    }
}

/// Holds every event in the log against the input; how many there are.
pub(crate) fn check_prefix(log: &Log, input: &Input, directory: &Path) -> Result<u64, Failure> {
    let (last, _) = log.visible();
    let mut cursor = log.cursor(Start::Oldest)?;
    let mut steps = input.steps.iter();
    let mut have = 0;
    while have < last.get() {
        for event in cursor.poll()? {
            let event = event?;
            let expected =
                steps.next().map(|step| FlightFact::of(step, &input.flights[step.row as usize]));
            let stands = event.view::<FlightFact>()?.map(|view| view.to_owned());
            if expected.is_none() || stands != expected {
                let directory = directory.to_path_buf();
                return Err(Failure::OtherTable { directory, sequence: event.sequence() });
            }
            have += 1;
        }
    }
    Ok(have)
}

/// Submits what is not in the log yet, from several threads.
pub(crate) fn produce(input: &Input, have: u64, producer: &Producer) -> Result<(), Failure> {
    let links = Links::of(input);
    let turns = Turns::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..PRODUCERS)
            .map(|number| {
                let (links, turns, producer) = (&links, &turns, producer.clone());
                scope.spawn(move || {
                    let done = submit_share(input, have as usize, number, links, turns, &producer);
                    if done.is_err() {
                        turns.give_up();
                    }
                    done
                })
            })
            .collect();
        let done = threads.into_iter().map(|thread| match thread.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        done.collect::<Vec<_>>().into_iter().collect()
    })
}

/// Submits every batch whose turn is this thread's.
fn submit_share(
    input: &Input,
    have: usize,
    number: usize,
    links: &Links,
    turns: &Turns,
    producer: &Producer,
) -> Result<(), Failure> {
    let mut waiting = VecDeque::new();
    let rest = input.steps.get(have..).unwrap_or(&[]);
    for (turn, batch) in rest.chunks(BATCH).enumerate().skip(number).step_by(PRODUCERS) {
        let first = have + turn * BATCH;
        let drafts: Vec<_> = (first..)
            .zip(batch)
            .map(|(index, step)| draft(input, links, index, step))
            .collect::<Result<_, _>>()?;
        if !turns.wait_for(turn) {
            break;
        }
        let answer = producer
            .submit_drafts(drafts, PATIENCE)
            .map_err(|error| Failure::Submit(error.to_string()))?;
        turns.pass_on();
        waiting.push_back(answer);
        if waiting.len() > WAITING {
            settle(waiting.pop_front())?;
        }
    }
    waiting.into_iter().try_for_each(|answer| settle(Some(answer)))
}

fn draft(
    input: &Input,
    links: &Links,
    index: usize,
    step: &Step,
) -> Result<Draft<FlightFact>, Failure> {
    let row = step.row as usize;
    let flight = &input.flights[row];
    let stream = stream_of(flight).map_err(Failure::Stream)?;
    let draft = Draft::new(FlightFact::of(step, flight)).stream(stream, Expected::Any);
    Ok(match links.before[index] {
        Some(cause) => draft.cause(cause).correlation(links.first[row]),
        None => draft,
    })
}

/// Waits until a submission is in the log.
fn settle(answer: Option<Answer<Vec<Draft<FlightFact>>>>) -> Result<(), Failure> {
    let Some(answer) = answer else { return Ok(()) };
    answer.wait().map(drop).map_err(|refused| match refused.reason {
        Refusal::Append(error) => Failure::Append(error),
        other => Failure::Submit(other.to_string()),
    })
}

/// Whose turn it is to submit.
#[derive(Default)]
struct Turns {
    turn: Mutex<usize>,
    changed: Condvar,
}

impl Turns {
    /// Waits for a turn; whether it came, and nobody has given up.
    fn wait_for(&self, turn: usize) -> bool {
        let mut now = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        while *now != turn {
            if *now == usize::MAX {
                return false;
            }
            now = self.changed.wait(now).unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    fn pass_on(&self) {
        let mut now = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.saturating_add(1);
        self.changed.notify_all();
    }

    /// No turn comes any more.
    fn give_up(&self) {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = usize::MAX;
        self.changed.notify_all();
    }
}
