//! Appending from several threads, in the order of the facts' own time.
//!
//! Each thread makes drafts of every third batch of facts, which is most of the work, and hands
//! them to the one thread that writes when it is their turn. So the log is the same, fact for fact,
//! whatever the threads do, and a run that was cut off goes on where it was.

use std::collections::HashMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use factlog::{Answer, Draft, Expected, Log, Producer, Refusal, Sequence, Start};

use super::events::{FlightFact, stream_of};
use super::failure::Failure;
use super::input::short::Short;
use super::input::{Flight, Input, Step, StepKind};
use super::latency::{Histogram, Latency};
use super::views::LATE_MINUTES;

/// Threads that submit.
const PRODUCERS: usize = 3;
/// Facts that are submitted together.
const BATCH: usize = 64;
/// Submissions that wait for their answer.
const WAITING: usize = 16 * PRODUCERS;
/// How long a full queue is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A submission that was handed over, and when that began.
type HandedOver = (Instant, Answer<Vec<Draft<FlightFact>>>);

/// What led to what: a flight's facts follow from each other; but a late departure of an aircraft that
/// had come in late follows from that. The step at index i has sequence i + 1, in this run and in any
/// that goes on from it.
struct Links {
    /// For each step, the fact that led to it.
    before: Vec<Option<Sequence>>,
    /// For each flight, its first fact.
    first: Vec<Sequence>,
}

impl Links {
    fn of(input: &Input) -> Self {
        let mut last = vec![None; input.flights.len()];
        let mut first = vec![Sequence::ZERO; input.flights.len()];
        let mut before = Vec::with_capacity(input.steps.len());
        let mut inbound = Inbound::default();
        for (index, step) in input.steps.iter().enumerate() {
            let (row, sequence) = (step.row as usize, Sequence::new(index as u64 + 1));
            if last[row].is_none() {
                first[row] = sequence;
            }
            let late = inbound.led_to(step, &input.flights[row], sequence);
            before.push(late.or(last[row]));
            last[row] = Some(sequence);
        }
        Self { before, first }
    }
}

/// Where aircraft have come in late.
#[derive(Default)]
struct Inbound {
    /// By tail number: the fact that it arrived, and when.
    late: HashMap<Short<8>, (Sequence, i64)>,
}

impl Inbound {
    /// How long a late arrival is felt: 12 hours. (The tables have only flights that leave from where
    /// they are kept, so that the way back of most aircraft is not in them.)
    const FELT: i64 = 12 * 3_600;

    /// The late arrival that led to this step, if it is a late departure.
    fn led_to(&mut self, step: &Step, flight: &Flight, sequence: Sequence) -> Option<Sequence> {
        let tail = flight.tail?;
        let is_late = |minutes: i64| minutes > i64::from(LATE_MINUTES);
        match step.kind {
            StepKind::Departed { delay_minutes } if is_late(delay_minutes.into()) => {
                let (arrived, at) = *self.late.get(&tail)?;
                (step.at - at <= Self::FELT).then_some(arrived)
            }
            StepKind::Arrived if is_late((step.at - flight.scheduled_arrival) / 60) => {
                self.late.insert(tail, (sequence, step.at));
                None
            }
            StepKind::Arrived => {
                self.late.remove(&tail);
                None
            }
            _ => None,
        }
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

/// Submits what is not in the log yet, from several threads. Gives how long it took from handing a
/// submission over until it was answered, waiting for a place in the queue included: all threads
/// hand over as fast as they can, so this is the latency under full load.
pub(crate) fn produce(
    input: &Input,
    have: u64,
    producer: &Producer,
) -> Result<Option<Latency>, Failure> {
    let links = Links::of(input);
    let turns = Turns::default();
    let (send, answers) = sync_channel(WAITING);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..PRODUCERS)
            .map(|number| {
                let (links, turns, producer) = (&links, &turns, producer.clone());
                let send = send.clone();
                scope.spawn(move || {
                    let share = Share { input, have: have as usize, number, links };
                    let done = share.submit(turns, &producer, &send);
                    if done.is_err() {
                        turns.give_up();
                    }
                    done
                })
            })
            .collect();
        // It ends when the last producer has.
        drop(send);
        let latency = settle(answers).inspect_err(|_| turns.give_up());
        let done: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        for done in done {
            done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        latency
    })
}

/// What one thread submits.
struct Share<'a> {
    input: &'a Input,
    have: usize,
    number: usize,
    links: &'a Links,
}

impl Share<'_> {
    /// Submits every batch whose turn is this thread's.
    fn submit(
        &self,
        turns: &Turns,
        producer: &Producer,
        send: &SyncSender<HandedOver>,
    ) -> Result<(), Failure> {
        let rest = self.input.steps.get(self.have..).unwrap_or(&[]);
        for (turn, batch) in rest.chunks(BATCH).enumerate().skip(self.number).step_by(PRODUCERS) {
            let first = self.have + turn * BATCH;
            let drafts: Vec<_> = (first..)
                .zip(batch)
                .map(|(index, step)| draft(self.input, self.links, index, step))
                .collect::<Result<_, _>>()?;
            if !turns.wait_for(turn) {
                break;
            }
            let began = Instant::now();
            let answer = producer
                .submit_drafts(drafts, PATIENCE)
                .map_err(|error| Failure::Submit(error.to_string()))?;
            // While it is this thread's turn, so that answers are waited for in the order in which
            // they come.
            if send.send((began, answer)).is_err() {
                break;
            }
            turns.pass_on();
        }
        Ok(())
    }
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

/// Waits for all answers, in the order of the submissions.
fn settle(answers: Receiver<HandedOver>) -> Result<Option<Latency>, Failure> {
    let mut histogram = Histogram::default();
    for (began, answer) in answers {
        answer.wait().map_err(|refused| match refused.reason {
            Refusal::Append(error) => Failure::Append(error),
            other => Failure::Submit(other.to_string()),
        })?;
        histogram.record_duration(began.elapsed());
    }
    Ok(histogram.latency())
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
