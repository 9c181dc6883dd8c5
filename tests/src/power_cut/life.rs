//! What is done to a log.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use factlog::{
    AppendError, CommitAlign, Durability, OpenError, Options, Retention, Sequence, Start,
    SyncError, Waited, Witness, WriteWay, Writer,
};
use factlog_simdisk::{Fault, Operation, SimDisk};

use super::check::{Promise, check};
use super::model::{Fact, Model};
use super::watch::Watch;
use super::{Breach, Report, ground};
use crate::Random;

/// How a log is opened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    durability: Durability,
    pub(crate) way: WriteWay,
    align: CommitAlign,
    witness: Witness,
}

impl Kind {
    pub(crate) fn draw(random: &mut Random) -> Self {
        let durability = match random.below(5) {
            0 => Durability::None,
            1 => Durability::Interval(Duration::from_millis(2)),
            2 | 3 => Durability::Group,
            _ => Durability::Always,
        };
        let pick = |random: &mut Random, share| random.below(share) == 0;
        Self {
            durability,
            way: if pick(random, 2) { WriteWay::Mapped } else { WriteWay::Staged },
            align: if pick(random, 3) { CommitAlign::None } else { CommitAlign::Page },
            witness: if pick(random, 6) { Witness::Strict } else { Witness::NextFrame },
        }
    }

    pub(crate) fn options(self) -> Options {
        Options::new()
            .segment_size(4 << 20)
            .spare_segments(1)
            .prefault(0)
            .durability(self.durability)
            .write_way(self.way)
            .commit_align(self.align)
            .witness(self.witness)
    }

    pub(crate) fn acknowledges(self) -> bool {
        matches!(self.durability, Durability::Group | Durability::Always)
    }

    fn promise(self) -> Promise {
        Promise { weak: self.acknowledges() && self.align == CommitAlign::Page }
    }
}

/// One log, from its beginning until enough images were drawn, its heirs included.
struct Life {
    random: Random,
    kind: Kind,
    home: tempfile::TempDir,
    root: PathBuf,
    watch: Arc<Watch>,
    writer: Option<Writer>,
    model: Model,
    serial: u64,
    images: u64,
    /// Long events too, so that segments end.
    long: bool,
}

/// Lives one life from `seed`, in which about `images` images are drawn.
///
/// # Errors
///
/// What does not hold.
pub fn live(seed: u64, images: u64) -> Result<Report, Breach> {
    let mut random = Random::new(seed);
    let kind = Kind::draw(&mut random);
    let mut report = Report::default();
    let wrap = |breach: Breach| breach.within(&format!("seed {seed}, {kind:?}"));
    let mut life = Life::begin(random, kind).map_err(Breach::from).map_err(wrap)?;
    while report.images < images {
        life.step(&mut report).map_err(wrap)?;
        life.check_all(&mut report).map_err(wrap)?;
    }
    Ok(report)
}

impl Life {
    fn begin(mut random: Random, kind: Kind) -> Result<Self, String> {
        let home = tempfile::tempdir_in(ground()).map_err(|error| error.to_string())?;
        let root = home.path().join("0");
        fs::create_dir(&root).map_err(|error| error.to_string())?;
        let disk = SimDisk::new(&root).map_err(|error| error.to_string())?;
        let watch = Arc::new(Watch::new(disk, random.next(), 0));
        let long = random.below(4) == 0;
        Ok(Self {
            long,
            random,
            kind,
            home,
            root,
            watch,
            writer: None,
            model: Model::default(),
            serial: 1,
            images: 0,
        })
    }

    fn options(&self) -> Options {
        self.kind.options().disk_observer(Arc::clone(&self.watch) as Arc<_>)
    }

    /// Opens the log where it is not open: what is there becomes the model.
    fn open(&mut self) -> Result<(), Breach> {
        if self.writer.is_some() {
            return Ok(());
        }
        self.watch.opening.store(true, Ordering::SeqCst);
        let opened = self.options().open(self.root.join("log"));
        self.watch.opening.store(false, Ordering::SeqCst);
        match opened {
            Ok(writer) => {
                let count = self.model.compare(&writer.log())?.count;
                let acknowledged = self.watch.acknowledged.load(Ordering::SeqCst);
                if (count as u64) < acknowledged {
                    let what = format!("{count} events opened, {acknowledged} were durable");
                    return Err(Breach::Lost(what));
                }
                self.model.truncate(count);
                self.writer = Some(writer);
                Ok(())
            }
            Err(OpenError::Io(error)) if is_injected(&error.source) => {
                self.watch.disk.heal();
                Ok(())
            }
            Err(error) => Err(Breach::Lost(format!("it does not open: {error}"))),
        }
    }

    fn fact(&mut self) -> Fact {
        self.serial += 1;
        Fact::draw(&mut self.random, self.serial, self.long)
    }

    fn step(&mut self, report: &mut Report) -> Result<(), Breach> {
        self.open()?;
        let before = self.rollovers();
        match self.random.below(24) {
            0..10 => {
                let fact = self.fact();
                self.append(fact)?;
            }
            10..13 => self.transaction()?,
            13..17 => self.sync()?,
            17 if self.long => self.fill()?,
            18 => self.retain()?,
            19 => self.close()?,
            20 => drop(self.writer.take()),
            17 | 21 => self.fail(report),
            22 => {
                let (random, share) = (&mut self.random, 0.5);
                let written = self.watch.disk.write_back(&mut || random.next(), share);
                written.map_err(|error| error.to_string())?;
            }
            _ => self.wait(),
        }
        report.rollovers += self.rollovers().saturating_sub(before);
        self.watch.draw(1 + self.random.below(3) as usize);
        Ok(())
    }

    fn rollovers(&self) -> u64 {
        self.writer.as_ref().map_or(0, |writer| writer.log().stats().rollovers)
    }

    /// What came of an append or a commit of `facts`. A writer that failed is let go.
    fn appended(
        &mut self,
        facts: &[Fact],
        outcome: Result<bool, AppendError>,
    ) -> Result<(), Breach> {
        match outcome {
            Ok(durable) => {
                facts.iter().for_each(|fact| self.model.add(*fact));
                if durable {
                    self.watch.acknowledge(self.model.facts.len() as u64);
                }
                Ok(())
            }
            Err(AppendError::NotDurable(cause)) if is_injected(&cause.source) => {
                facts.iter().for_each(|fact| self.model.add(*fact));
                self.let_go()
            }
            Err(AppendError::NoSpace(cause) | AppendError::Prepare(cause))
                if is_injected(&cause.source) =>
            {
                self.watch.disk.heal();
                Ok(())
            }
            Err(AppendError::Poisoned(cause)) if is_injected(&cause.source) => self.let_go(),
            Err(error) => Err(format!("appending: {error}").into()),
        }
    }

    /// A failed writer goes; the process, and with it the page cache, stays.
    ///
    /// Nothing is acknowledged by it any more, also when the disk is well again.
    fn let_go(&mut self) -> Result<(), Breach> {
        self.watch.disk.heal();
        let Some(mut writer) = self.writer.take() else { return Ok(()) };
        match writer.sync() {
            Ok(()) => Err(Breach::Lost("a sync after a failed one was acknowledged".to_owned())),
            Err(_) => Ok(()),
        }
    }

    fn append(&mut self, fact: Fact) -> Result<(), Breach> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let done = fact.put(|event, meta| writer.append_with(event, meta));
        let acknowledges = self.kind.acknowledges();
        self.appended(&[fact], done.map(|_| acknowledges))
    }

    /// Fills a segment.
    fn fill(&mut self) -> Result<(), Breach> {
        for _ in 0..10 + self.random.below(20) {
            let fact = Fact { len: 200_000, ..self.fact() };
            self.append(fact)?;
        }
        Ok(())
    }

    fn transaction(&mut self) -> Result<(), Breach> {
        let count = self.random.below(8) + 1;
        let facts: Vec<_> = (0..count).map(|_| Fact { len: 300, ..self.fact() }).collect();
        let commits = self.random.below(4) > 0;
        let Some(writer) = &mut self.writer else { return Ok(()) };
        let done = writer.begin().and_then(|mut transaction| {
            for fact in &facts {
                fact.put(|event, meta| transaction.append_with(event, meta))?;
            }
            if commits { transaction.commit().map(Some) } else { Ok(None) }
        });
        match done {
            Ok(None) => Ok(()),
            Ok(Some(receipt)) => self.appended(&facts, Ok(receipt.durable)),
            Err(error) => self.appended(&facts, Err(error)),
        }
    }

    fn sync(&mut self) -> Result<(), Breach> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        match writer.sync() {
            Ok(()) => self.watch.acknowledge(self.model.facts.len() as u64),
            Err(SyncError::Poisoned(cause)) if is_injected(&cause.source) => {
                return self.let_go();
            }
            Err(error) => return Err(format!("sync: {error}").into()),
        }
        Ok(())
    }

    /// Waits until the last event is durable, whatever the policy is.
    fn wait(&mut self) {
        let Some(writer) = &self.writer else { return };
        let (log, last) = (writer.log(), writer.next_sequence().before());
        if last > Sequence::ZERO
            && let Ok(Waited::Ready) = log.wait_durable(last, Duration::from_secs(5))
        {
            self.watch.acknowledge(last.get());
        }
    }

    fn close(&mut self) -> Result<(), Breach> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        match writer.close() {
            Ok(()) => self.watch.acknowledge(self.model.facts.len() as u64),
            Err(SyncError::Poisoned(cause)) if is_injected(&cause.source) => {}
            Err(SyncError::Manifest(cause)) if is_injected(&cause.source) => {}
            Err(error) => return Err(format!("close: {error}").into()),
        }
        self.watch.disk.heal();
        Ok(())
    }

    fn retain(&mut self) -> Result<(), Breach> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        // What may go counts as gone from here on: in a segment that has just begun there may be no
        // event at all.
        let log = writer.log();
        let keep = 1 + self.random.below(2) as usize;
        self.model.floor = log.visible().0.get() + 1;
        match writer.retain(&Retention::keep_segments(keep)) {
            Err(error) if !is_injected_behind(&error) => {
                return Err(format!("retention: {error}").into());
            }
            _ => {}
        }
        log.cursor(Start::Oldest).map(drop).map_err(|error| error.to_string().into())
    }

    /// One of the next operations fails, now and then all that follow.
    fn fail(&mut self, report: &mut Report) {
        let errors = [
            std::io::ErrorKind::StorageFull,
            std::io::ErrorKind::Other,
            std::io::ErrorKind::QuotaExceeded,
        ];
        let error = errors[self.random.below(3) as usize];
        let fault = if self.random.below(2) == 0 {
            let at = self.watch.disk.operations_of(Operation::Sync) + 1 + self.random.below(3);
            Fault::at(at, error).only(Operation::Sync)
        } else {
            Fault::at(self.watch.disk.operations() + 1 + self.random.below(12), error)
        };
        self.watch.disk.inject(fault);
        report.faults += 1;
    }

    /// Opens all images that were drawn; now and then the log goes on from one of them.
    fn check_all(&mut self, report: &mut Report) -> Result<(), Breach> {
        let mut heir = None;
        for captured in self.watch.take() {
            self.images += 1;
            let target = self.home.path().join(self.images.to_string());
            let kind = self.kind;
            let options = || kind.options();
            let (model, random) = (&self.model, &mut self.random);
            let found = check(&captured, model, kind.promise(), &target, &options, random, report);
            let found = found.map_err(|breach| breach.within(&format!("image {}", self.images)))?;
            let adopts = found.is_some() && heir.is_none() && self.random.below(40) == 0;
            if adopts {
                // The image once more: the check has gone on with it.
                let root = self.home.path().join(format!("life-{}", self.images));
                captured.image.write_to(&root).map_err(|error| error.to_string())?;
                heir = Some((root, captured.acknowledged));
            }
            fs::remove_dir_all(&target).map_err(|error| error.to_string())?;
        }
        if let Some((root, acknowledged)) = heir {
            self.writer = None;
            fs::remove_dir_all(&self.root).map_err(|error| error.to_string())?;
            let disk = SimDisk::new(&root).map_err(|error| error.to_string())?;
            self.watch = Arc::new(Watch::new(disk, self.random.next(), acknowledged));
            self.root = root;
            report.adopted += 1;
        }
        Ok(())
    }
}

/// Whether a fault of the simulated disk is at the end of a chain of errors.
fn is_injected_behind(error: &(dyn std::error::Error + 'static)) -> bool {
    let own = error.downcast_ref::<std::io::Error>().is_some_and(is_injected);
    own || error.source().is_some_and(is_injected_behind)
}

/// Whether a fault of the simulated disk is behind an error.
fn is_injected(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<factlog_simdisk::InjectedFault>())
}
