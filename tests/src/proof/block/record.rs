//! What is done to the log while its device is recorded: by a process of its own, which tells
//! outside of the device what it has appended, and what was acknowledged as durable.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use factlog::{AppendError, Opaque, Retention, Sequence, ThreadOptions, Waited, WriteWay, Writer};

use super::{Told, kind};
use crate::Random;
use crate::power_cut::life::Kind;
use crate::power_cut::model::{FACT, Fact};

const SOON: Duration = Duration::from_secs(30);

/// Free space below which it ends.
const RESERVE: u64 = 28 << 20;

/// Works on the log at `mount` in `folder`, where the device's record is as well.
///
/// # Errors
///
/// The log failed: nothing was done to its disk.
pub(super) fn record(seed: u64, folder: &Path) -> Result<(), String> {
    let writes = File::open(folder.join("writes")).map_err(|error| error.to_string())?;
    let mut random = Random::new(seed);
    let kind = kind(seed);
    let steps = 30 + random.below(120);
    let mut life = Life {
        kind,
        // Its serial numbers are nobody else's, also when it goes on from another's image.
        serial: seed << 24,
        long: random.below(3) > 0,
        random,
        directory: folder.join("mount").join("log"),
        writes,
        out: BufWriter::new(io::stdout()),
        writer: None,
        appended: 0,
        rollovers: 0,
    };
    life.take_over(&folder.join("heir"))?;
    life.open()?;
    for _ in 0..steps {
        if life.space()? < RESERVE {
            break;
        }
        life.step()?;
    }
    life.ends()
}

struct Life {
    random: Random,
    kind: Kind,
    directory: PathBuf,
    /// The record of the device.
    writes: File,
    out: BufWriter<io::Stdout>,
    writer: Option<Writer>,
    /// How many events there are.
    appended: u64,
    serial: u64,
    long: bool,
    rollovers: u64,
}

impl Life {
    /// How many bytes of the device are recorded: everything that has been answered is in them.
    fn recorded(&self) -> Result<u64, String> {
        self.writes.metadata().map(|known| known.len()).map_err(|error| error.to_string())
    }

    fn tell(&mut self, line: std::fmt::Arguments<'_>) -> Result<(), String> {
        writeln!(self.out, "{line}").map_err(|error| error.to_string())
    }

    /// Everything up to `sequence` was acknowledged, just now.
    fn durable(&mut self, sequence: u64) -> Result<(), String> {
        let recorded = self.recorded()?;
        self.tell(format_args!("durable {recorded} {sequence}"))
    }

    fn appended(&mut self, fact: Fact) -> Result<(), String> {
        self.appended += 1;
        self.tell(format_args!("fact {} {} {}", fact.serial, fact.len, fact.stream))
    }

    fn count(&mut self, count: u64, name: &str) -> Result<(), String> {
        self.tell(format_args!("count {count} {name}"))
    }

    /// Tells again what is known of the log that is there already.
    fn take_over(&mut self, heir: &Path) -> Result<(), String> {
        let Ok(text) = fs::read_to_string(heir) else { return Ok(()) };
        let told = Told::read(&text)?;
        self.appended = told.facts.len() as u64;
        self.tell(format_args!("{}count 1 logs that went on from an image", told))
    }

    fn space(&self) -> Result<u64, String> {
        let known = rustix::fs::statvfs(self.directory.parent().unwrap_or(&self.directory));
        let known = known.map_err(|error| error.to_string())?;
        Ok(known.f_bavail * known.f_frsize)
    }

    fn open(&mut self) -> Result<(), String> {
        let opened = self.kind.options().open(&self.directory);
        let writer = opened.map_err(|error| format!("it does not open: {error}"))?;
        let next = writer.next_sequence().get();
        if next != self.appended + 1 {
            let recovery = writer.recovery();
            return Err(format!("{} appended, and {next} is next: {recovery}", self.appended));
        }
        self.writer = Some(writer);
        Ok(())
    }

    fn fact(&mut self) -> Fact {
        self.serial += 1;
        Fact::draw(&mut self.random, self.serial, self.long)
    }

    fn step(&mut self) -> Result<(), String> {
        if self.writer.is_none() {
            self.open()?;
        }
        match self.random.below(24) {
            0..8 => {
                let fact = self.fact();
                self.append(fact)
            }
            8..12 => self.transaction(),
            12..15 => self.sync(),
            15 if self.long => self.fill(),
            16 => self.retain(),
            17 => self.close(),
            18 => self.leave(),
            19 => self.submit(),
            20 => self.write_back(),
            21 => self.watermark(),
            _ => self.wait(),
        }
    }

    /// The writer, which is there in a step.
    fn writer(&mut self) -> Result<&mut Writer, String> {
        self.writer.as_mut().ok_or_else(|| "it is not open".to_owned())
    }

    fn append(&mut self, fact: Fact) -> Result<(), String> {
        let writer = self.writer()?;
        let done = fact.put(|event, meta| writer.append_with(event, meta));
        done.map_err(|error| format!("appending: {error}"))?;
        let told = if self.kind.acknowledges() { Some(self.recorded()?) } else { None };
        self.appended(fact)?;
        match told {
            Some(recorded) => {
                let sequence = self.appended;
                self.tell(format_args!("durable {recorded} {sequence}"))
            }
            None => Ok(()),
        }
    }

    /// Fills a segment.
    fn fill(&mut self) -> Result<(), String> {
        for _ in 0..10 + self.random.below(20) {
            if self.space()? < RESERVE {
                break;
            }
            let fact = Fact { len: 200_000, ..self.fact() };
            self.append(fact)?;
        }
        Ok(())
    }

    fn transaction(&mut self) -> Result<(), String> {
        let (count, len) = (self.random.below(12) + 1, 300 << self.random.below(7));
        let facts: Vec<_> = (0..count).map(|_| Fact { len, ..self.fact() }).collect();
        let commits = self.random.below(4) > 0;
        let writer = self.writer()?;
        let done: Result<_, AppendError> = writer.begin().and_then(|mut transaction| {
            for fact in &facts {
                fact.put(|event, meta| transaction.append_with(event, meta))?;
            }
            if commits { transaction.commit().map(Some) } else { Ok(None) }
        });
        let receipt = done.map_err(|error| format!("a transaction: {error}"))?;
        let Some(receipt) = receipt else { return Ok(()) };
        let recorded = self.recorded()?;
        facts.into_iter().try_for_each(|fact| self.appended(fact))?;
        if receipt.durable {
            let sequence = receipt.last().get();
            self.tell(format_args!("durable {recorded} {sequence}"))?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), String> {
        self.writer()?.sync().map_err(|error| format!("sync: {error}"))?;
        self.durable(self.appended)
    }

    /// Waits until the last event is durable, whatever the policy is.
    fn wait(&mut self) -> Result<(), String> {
        let log = self.writer()?.log();
        if self.appended == 0 {
            return Ok(());
        }
        match log.wait_durable(Sequence::new(self.appended), SOON) {
            Ok(Waited::Ready) => self.durable(self.appended),
            other => Err(format!("waiting for durability: {other:?}")),
        }
    }

    /// What the log itself says is durable.
    fn watermark(&mut self) -> Result<(), String> {
        let (sequence, _) = self.writer()?.log().durable();
        self.durable(sequence.get())
    }

    fn close(&mut self) -> Result<(), String> {
        self.notes_rollovers();
        let Some(writer) = self.writer.take() else { return Ok(()) };
        writer.close().map_err(|error| format!("close: {error}"))?;
        self.durable(self.appended)?;
        self.count(1, "clean closes")
    }

    /// Lets the log go without closing it.
    fn leave(&mut self) -> Result<(), String> {
        self.notes_rollovers();
        drop(self.writer.take());
        Ok(())
    }

    fn retain(&mut self) -> Result<(), String> {
        let keep = 1 + self.random.below(2) as usize;
        // What may go counts as gone from here on: in a segment that has just begun there may be no
        // event at all.
        let (recorded, floor) = (self.recorded()?, self.appended + 1);
        let retained = self.writer()?.retain(&Retention::keep_segments(keep));
        let retained = retained.map_err(|error| format!("retention: {error}"))?;
        self.tell(format_args!("floor {recorded} {floor}"))?;
        self.count(u64::from(retained.dropped), "segments dropped by retention")
    }

    /// Hands events to a thread that owns the writer; one answer is waited for after the other.
    fn submit(&mut self) -> Result<(), String> {
        self.notes_rollovers();
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let service = writer.spawn(ThreadOptions::new()).map_err(|error| error.to_string())?;
        let producer = service.producer();
        let mut answers = Vec::new();
        for _ in 0..1 + self.random.below(20) {
            let fact = Fact { stream: 0, len: 8 + self.random.below(400) as usize, ..self.fact() };
            // What is handed over must live as long as it likes; this process soon ends.
            let event = Opaque::new(&FACT, fact.payload().leak());
            let answer = producer.submit(event, SOON);
            answers.push((fact, answer.map_err(|error| format!("submitting: {error:?}"))?));
        }
        for (fact, answer) in answers {
            let receipt = answer.wait().map_err(|refused| format!("{:?}", refused.reason))?;
            let recorded = self.recorded()?;
            self.appended(fact)?;
            if receipt.last().get() != self.appended {
                return Err(format!("{receipt:?} for event {}", self.appended));
            }
            if receipt.durable {
                let sequence = self.appended;
                self.tell(format_args!("durable {recorded} {sequence}"))?;
            }
        }
        self.writer = service.into_writer();
        self.count(1, "times submitted from another thread")
    }

    /// Has the kernel write some pages of a segment, without a flush.
    fn write_back(&mut self) -> Result<(), String> {
        let listed = fs::read_dir(self.directory.join("seg")).map_err(|error| error.to_string())?;
        let mut paths: Vec<_> = listed.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        let path = &paths[self.random.below(paths.len() as u64) as usize];
        // It may have been removed meanwhile.
        if let Ok(file) = File::open(path) {
            let from = self.random.below(4 << 20) & !4095;
            let len = std::num::NonZeroU64::new(4096 << self.random.below(9));
            let advice = rustix::fs::Advice::DontNeed;
            rustix::fs::fadvise(&file, from, len, advice).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn notes_rollovers(&mut self) {
        self.rollovers += self.writer.as_ref().map_or(0, |writer| writer.log().stats().rollovers);
    }

    /// Mostly without closing the log.
    fn ends(mut self) -> Result<(), String> {
        if self.random.below(3) == 0 {
            self.close()?;
        } else {
            self.leave()?;
        }
        let way = match self.kind.way {
            WriteWay::Mapped => "logs in the mapped way",
            _ => "logs in the staged way",
        };
        self.count(1, way)?;
        self.count(self.rollovers, "rollovers")?;
        self.count(self.appended, "events appended")?;
        self.tell(format_args!("end"))?;
        self.out.flush().map_err(|error| error.to_string())
    }
}
