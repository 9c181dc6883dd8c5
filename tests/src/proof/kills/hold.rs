//! A log that was killed, held against what was told outside.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use factlog::{ReadError, RecoveryOutcome, Start, StreamKey, Writer};

use super::work::{DURABLE, READY, STREAMS, Written, options};
use crate::digest;

/// A process that works on a log, and the other end of its pipe.
pub(super) struct Running {
    pub(super) child: Child,
    /// Is told once the log is open.
    pub(super) opened: Receiver<()>,
    told: JoinHandle<Vec<u8>>,
}

/// What a process has told of its log.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Sequences and digests that a reader has seen.
    pub(super) seen: Vec<(u64, u64)>,
    /// Everything up to this was acknowledged as durable.
    durable: u64,
}

/// What was found when the log was opened again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    Whole,
    Torn,
}

impl Running {
    pub(super) fn start(command: &mut Command) -> Result<Self, String> {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("no child: {error}"))?;
        let mut pipe = child.stdout.take().ok_or("no pipe")?;
        let (open, opened) = channel();
        let told = std::thread::spawn(move || {
            let (mut bytes, mut chunk) = (Vec::new(), vec![0; 1 << 16]);
            while let Ok(count @ 1..) = pipe.read(&mut chunk) {
                bytes.extend_from_slice(&chunk[..count]);
                if records_at(&bytes).is_some() {
                    // Whoever waits may have been told already.
                    let _ = open.send(());
                }
            }
            bytes
        });
        Ok(Self { child, opened, told })
    }

    /// When the process is gone: what it told, and what it wrote to its errors.
    pub(super) fn told(mut self) -> Result<(Told, String), String> {
        let mut errors = String::new();
        if let Some(mut pipe) = self.child.stderr.take() {
            // What cannot be read of it is not missed.
            let _ = pipe.read_to_string(&mut errors);
        }
        let bytes = self.told.join().map_err(|_| "reading the pipe panicked")?;
        Ok((Told::of(&bytes), errors))
    }
}

/// Where the records begin: behind what the test harness may say, and the child's first word.
fn records_at(bytes: &[u8]) -> Option<usize> {
    let at = bytes.windows(READY.len()).position(|window| window == READY)?;
    Some(at + READY.len())
}

impl Told {
    fn of(bytes: &[u8]) -> Self {
        let mut told = Self::default();
        let records = records_at(bytes).map_or(&[][..], |start| &bytes[start..]);
        let (words, _) = records.as_chunks::<8>();
        let (records, _) = words.as_chunks::<2>();
        for [sequence, digest] in records {
            let (sequence, digest) = (u64::from_le_bytes(*sequence), u64::from_le_bytes(*digest));
            if sequence & DURABLE == 0 {
                told.seen.push((sequence, digest));
            } else {
                told.durable = told.durable.max(sequence & !DURABLE);
            }
        }
        told
    }

    /// Opens the log, and holds it against this. Streams are read whole if `all` of it is to be
    /// looked at, or else what this life has added to them.
    pub(super) fn hold(
        &self,
        directory: &std::path::Path,
        way: factlog::WriteWay,
        all: bool,
    ) -> Result<Found, String> {
        let opened = options(way).open(directory);
        let writer = opened.map_err(|error| format!("it does not open: {error}"))?;
        let found = match writer.recovery().outcome {
            RecoveryOutcome::Torn => Found::Torn,
            RecoveryOutcome::Clean | RecoveryOutcome::Created => Found::Whole,
            other => return Err(format!("{other:?}: {}", writer.recovery())),
        };
        self.compare(&writer, all).map_err(|what| format!("{what} ({})", writer.recovery()))?;
        Ok(found)
    }

    fn compare(&self, writer: &Writer, all: bool) -> Result<(), String> {
        let log = writer.log();
        let mut cursor = log.cursor(Start::Oldest).map_err(|error| error.to_string())?;
        let first = cursor.next_sequence().get();
        let mut next = first;
        let mut seen = self.seen.iter().skip_while(|(sequence, _)| *sequence < first).peekable();
        let new = seen.peek().map_or(u64::MAX, |(sequence, _)| *sequence);
        while let Some(event) = cursor.next_event().map_err(|error| error.to_string())? {
            let sequence = event.sequence().get();
            if sequence != next {
                return Err(format!("{sequence} stands where {next} has to"));
            }
            next += 1;
            let written = event.get::<Written>().map_err(|error| error.to_string())?;
            let written = written.ok_or_else(|| format!("event {sequence} is of another type"))?;
            let (number, filler) = (written.number(), written.filler());
            // Those from before this life were compared whole after theirs.
            let same = filler.len() as u64 == number % 500
                && (sequence < new || filler.iter().all(|byte| byte == number as u8));
            if !same {
                return Err(format!("event {sequence} is not what was appended"));
            }
            if let Some((_, told)) = seen.next_if(|(told, _)| *told == sequence)
                && *told != digest(event.payload())
            {
                return Err(format!("event {sequence} was seen, and is changed"));
            }
        }
        if let Some((sequence, _)) = seen.next() {
            return Err(format!("event {sequence} was seen, and is lost"));
        }
        if writer.next_sequence().get() != next || self.durable >= next {
            return Err(format!("the last is {}, {} was durable", next - 1, self.durable));
        }
        (0..STREAMS).try_for_each(|key| whole_stream(&log, key, if all { 0 } else { new }))
    }
}

/// Backwards, a stream's versions are dense as far as the log goes, or to the first event before
/// `until`: from there on they were looked at after earlier lives.
fn whole_stream(log: &factlog::Log, key: u64, until: u64) -> Result<(), String> {
    let stream = StreamKey::new("stream", key).map_err(|error| error.to_string())?;
    let mut history = log.stream_backwards(&stream);
    let mut version = log.stream_version(&stream).get();
    loop {
        let event = match history.next_event() {
            Ok(Some(event)) => event,
            Ok(None) => break,
            // Retention has dropped the rest.
            Err(ReadError::BehindFloor(_)) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        let found = event.stream_version().map_err(|error| error.to_string())?;
        let found = found.map_or(0, factlog::StreamVersion::get);
        if found != version {
            return Err(format!("stream {key} has version {found} where {version} has to be"));
        }
        if event.sequence().get() < until {
            return Ok(());
        }
        version -= 1;
    }
    if version == 0 { Ok(()) } else { Err(format!("stream {key} begins behind version {version}")) }
}
