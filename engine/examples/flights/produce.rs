//! Appending from several threads: each hands over the facts of its share of the aircraft, in the
//! order of their own time, to the one thread that writes.
//!
//! Across aircraft the facts come into the log in whatever order the threads run; those of one
//! aircraft keep theirs. What is in the log of each share is therefore a prefix of it, and a run
//! that was cut off goes on behind that prefix.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::time::Duration;

use factlog::{Answer, Draft, Expected, Log, Producer, Receipt, Refusal, Sequence, Start};

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

/// The facts of one thread's aircraft.
#[derive(Debug, Default)]
pub(crate) struct Share {
    /// Indices of its steps, in the order of time.
    steps: Vec<usize>,
    /// How many of them are in the log.
    done: usize,
    /// For each flight that has begun, its first fact and its last one so far.
    links: HashMap<u32, (Sequence, Sequence)>,
}

/// Deals the steps out by aircraft.
pub(crate) fn shares(input: &Input) -> Vec<Share> {
    let mut shares: Vec<Share> = (0..PRODUCERS).map(|_| Share::default()).collect();
    for (index, step) in input.steps.iter().enumerate() {
        let flight = &input.flights[step.row as usize];
        let number = match &flight.tail {
            Some(tail) => tail.as_str().bytes().map(usize::from).sum(),
            None => step.row as usize,
        };
        shares[number % PRODUCERS].steps.push(index);
    }
    shares
}

impl Share {
    fn next<'a>(&self, input: &'a Input) -> Option<&'a Step> {
        self.steps.get(self.done).map(|index| &input.steps[*index])
    }

    /// Notes that a fact of a flight stands in the log.
    fn note(&mut self, row: u32, sequence: Sequence) {
        self.links.entry(row).or_insert((sequence, sequence)).1 = sequence;
    }

    fn draft(&self, input: &Input, step: &Step) -> Result<Draft<FlightFact>, Failure> {
        let flight = &input.flights[step.row as usize];
        let stream = stream_of(flight).map_err(Failure::Stream)?;
        let draft = Draft::new(FlightFact::of(step, flight)).stream(stream, Expected::Any);
        Ok(match self.links.get(&step.row) {
            Some((first, last)) => draft.cause(*last).correlation(*first),
            None => draft,
        })
    }
}

/// Holds every event in the log against the input: each must be the next one of some share. Gives
/// how many there are.
pub(crate) fn check_prefix(
    log: &Log,
    input: &Input,
    shares: &mut [Share],
    directory: &Path,
) -> Result<u64, Failure> {
    let (last, _) = log.visible();
    let mut cursor = log.cursor(Start::Oldest)?;
    let mut have = 0;
    while have < last.get() {
        for event in cursor.poll()? {
            let event = event?;
            let stands = event.view::<FlightFact>()?.map(|view| view.to_owned());
            let owner = shares.iter_mut().find_map(|share| {
                let step = share.next(input)?;
                let expected = FlightFact::of(step, &input.flights[step.row as usize]);
                (stands.as_ref() == Some(&expected)).then_some((share, step))
            });
            let Some((share, step)) = owner else {
                let directory = directory.to_path_buf();
                return Err(Failure::OtherTable { directory, sequence: event.sequence() });
            };
            share.note(step.row, event.sequence());
            share.done += 1;
            have += 1;
        }
    }
    Ok(have)
}

/// Submits what is not in the log yet, each share from a thread of its own.
pub(crate) fn produce(
    input: &Input,
    shares: Vec<Share>,
    producer: &Producer,
) -> Result<(), Failure> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = shares
            .into_iter()
            .map(|share| {
                let producer = producer.clone();
                scope.spawn(move || Submitting::new(input, share, producer).run())
            })
            .collect();
        for thread in threads {
            match thread.join() {
                Ok(done) => done?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(())
    })
}

/// The flights of a submission, and what will become of it.
type OnItsWay = (Vec<u32>, Answer<Vec<Draft<FlightFact>>>);

/// One thread's submissions.
struct Submitting<'a> {
    input: &'a Input,
    share: Share,
    producer: Producer,
    batch: Vec<Draft<FlightFact>>,
    rows: Vec<u32>,
    waiting: VecDeque<OnItsWay>,
    /// Flights with facts that are on their way, whose sequences are not known yet.
    open: HashSet<u32>,
}

impl<'a> Submitting<'a> {
    fn new(input: &'a Input, share: Share, producer: Producer) -> Self {
        let (batch, rows) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        let (waiting, open) = (VecDeque::new(), HashSet::new());
        Self { input, share, producer, batch, rows, waiting, open }
    }

    fn run(mut self) -> Result<(), Failure> {
        while let Some(step) = self.share.next(self.input) {
            if self.open.contains(&step.row) {
                // What caused it is still on its way, and has no sequence yet.
                self.submit()?;
                while self.open.contains(&step.row) {
                    self.settle()?;
                }
            }
            self.batch.push(self.share.draft(self.input, step)?);
            self.rows.push(step.row);
            self.open.insert(step.row);
            self.share.done += 1;
            if self.batch.len() == BATCH {
                self.submit()?;
            }
            if self.waiting.len() > WAITING {
                self.settle()?;
            }
        }
        self.submit()?;
        while !self.waiting.is_empty() {
            self.settle()?;
        }
        Ok(())
    }

    fn submit(&mut self) -> Result<(), Failure> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        let answer = self
            .producer
            .submit_drafts(batch, PATIENCE)
            .map_err(|error| Failure::Submit(error.to_string()))?;
        let rows = std::mem::replace(&mut self.rows, Vec::with_capacity(BATCH));
        self.waiting.push_back((rows, answer));
        Ok(())
    }

    /// Waits for the oldest submission, and learns the sequences of its facts.
    fn settle(&mut self) -> Result<(), Failure> {
        let Some((rows, answer)) = self.waiting.pop_front() else { return Ok(()) };
        let Receipt { first, .. } = answer.wait().map_err(|refused| match refused.reason {
            Refusal::Append(error) => Failure::Append(error),
            other => Failure::Submit(other.to_string()),
        })?;
        for (index, row) in (0..).zip(rows) {
            self.open.remove(&row);
            self.share.note(row, first.after(index));
        }
        Ok(())
    }
}
