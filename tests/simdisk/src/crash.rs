//! What a power cut may leave: one image, drawn.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::sync::Arc;

use crate::bias::{Chooser, Leaning};
use crate::content::{Content, SECTOR, Sectors, before, bytes_of, each};
use crate::counts::{Counts, Tally};
use crate::image::CrashImage;
use crate::inodes::Inodes;
use crate::names::{Between, Inode, Keep, Names};
use crate::present::Present;
use crate::random::{Source, below};
use crate::stored::Stored;

/// What a medium does with a sector that is being written when the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Medium {
    /// It is written as a whole, or not at all: the old bytes or the new ones.
    PowerSafe,
    /// It may hold anything: random bytes, zeros, a mix of old and new ones. A sector that is not
    /// in flight keeps its bytes.
    Weak,
}

/// One class of things in flight: who draws, and what was drawn.
struct Class {
    chooser: Chooser,
    tally: Tally,
}

impl Class {
    fn new(chooser: Chooser, total: u64) -> Self {
        Self { chooser, tally: Tally { in_flight: total, ..Tally::default() } }
    }

    fn takes_new(&mut self, owner: Inode, random: Source<'_>) -> bool {
        let new = self.chooser.takes_new(owner.0, random);
        *(if new { &mut self.tally.new } else { &mut self.tally.old }) += 1;
        new
    }

    /// What was not drawn is hidden.
    fn finish(self) -> Tally {
        let Tally { in_flight, old, new, garbage, .. } = self.tally;
        Tally { hidden: in_flight - old - new - garbage, ..self.tally }
    }
}

/// A file in flight: as it is on the medium, and now.
struct InFlight<'a> {
    inode: Inode,
    stored: &'a Stored,
    present: Present,
    /// Its changed pages with the sectors that differ.
    changed: Vec<(u64, Sectors)>,
}

impl<'a> InFlight<'a> {
    fn read(
        inode: Inode,
        handle: &File,
        stored: &'a Stored,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Self> {
        let present = Present::of(handle, &stored.content, buffer)?;
        let changed = present.differences(&stored.content);
        let changed = changed.map(|(page, _, sectors)| (page, sectors)).collect();
        Ok(Self { inode, stored, present, changed })
    }

    /// How many sectors are in flight.
    fn sectors(&self) -> u64 {
        self.changed.iter().map(|(_, sectors)| u64::from(sectors.count_ones())).sum()
    }

    /// How many lengths: one or none.
    fn lengths(&self) -> u64 {
        u64::from(self.stored.content.length != self.present.length)
    }
}

/// Draws one image.
pub(crate) fn crash(
    inodes: &Inodes,
    root: Inode,
    [medium_names, current_names]: [&Names; 2],
    medium: Medium,
    random: Source<'_>,
    buffer: &mut Vec<u8>,
) -> io::Result<CrashImage> {
    let leaning = Leaning::draw(random);
    let (names, name_tally) = draw_names(root, medium_names, current_names, &leaning, random);
    let paths =
        names.paths(root, |inode| inodes.get(inode).is_some_and(|known| known.stored.is_some()));

    let files = inodes.files();
    let files: io::Result<Vec<_>> = files
        .map(|(inode, handle, stored)| InFlight::read(inode, handle, stored, buffer))
        .collect();
    let files = files?;
    // What is not in the image is not drawn: choosers that pick one thing pick among the others.
    let named: BTreeSet<_> = paths.iter().map(|(_, inode)| *inode).collect();
    let in_image = || files.iter().filter(|file| named.contains(&file.inode));
    let mut sectors = Class::new(
        leaning.sectors(in_image().map(InFlight::sectors).sum(), random),
        files.iter().map(InFlight::sectors).sum(),
    );
    let mut lengths = Class::new(
        leaning.lengths(in_image().map(InFlight::lengths).sum(), random),
        files.iter().map(InFlight::lengths).sum(),
    );
    let mut damage = Damage::draw(medium, random);
    let mut contents = BTreeMap::new();
    for file in in_image() {
        let mut content = file.stored.content.clone();
        if file.lengths() == 1 && lengths.takes_new(file.inode, random) {
            content.length = file.present.length;
        }
        draw_sectors(file, &mut content, &mut sectors, &mut damage, random);
        content.cut();
        contents.insert(file.inode, content);
    }
    let counts = Counts {
        images: 1,
        sectors: sectors.finish(),
        lengths: lengths.finish(),
        names: name_tally,
    };
    Ok(CrashImage::new(paths, contents, counts))
}

fn draw_names(
    root: Inode,
    medium: &Names,
    current: &Names,
    leaning: &Leaning,
    random: Source<'_>,
) -> (Names, Tally) {
    let mut between = Between::new(root, medium, current);
    let total = between.changes.len() as u64;
    let mut chooser = leaning.names(total, random);
    for change in &mut between.changes {
        change.taken = chooser.takes_new(change.directory.0, random);
    }
    let names = between.settle(Keep::Medium);
    let mut tally = Tally { in_flight: total, ..Tally::default() };
    let found = names.reached(root);
    for change in &between.changes {
        let place = match (found.contains_key(&change.directory), change.taken) {
            (false, _) => &mut tally.hidden,
            (true, false) => &mut tally.old,
            (true, true) => &mut tally.new,
        };
        *place += 1;
    }
    (names, tally)
}

fn draw_sectors(
    file: &InFlight<'_>,
    content: &mut Content,
    class: &mut Class,
    damage: &mut Damage,
    random: Source<'_>,
) {
    for (page, differing) in &file.changed {
        let Some(now) = file.present.changed.get(page) else { continue };
        let seen = before(*page, content.length);
        let mut taken = 0;
        let mut damaged = Vec::new();
        for sector in each(differing & seen) {
            let old = &file.stored.content.page(*page)[bytes_of(sector)];
            match damage.of(old, &now[bytes_of(sector)], random) {
                Some(bytes) => damaged.push((sector, bytes)),
                None if class.takes_new(file.inode, random) => taken |= 1 << sector,
                None => {}
            }
        }
        content.take(*page, now, taken, *differing);
        if !damaged.is_empty() {
            class.tally.garbage += damaged.len() as u64;
            let mut bytes = *content.page(*page);
            for (sector, garbage) in damaged {
                bytes[bytes_of(sector)].copy_from_slice(&garbage);
            }
            content.put(*page, Arc::new(bytes));
        }
    }
}

/// Sectors of a weak medium that are neither old nor new.
struct Damage {
    /// A sector is damaged with a probability of this number in 2^64.
    share: u64,
}

impl Damage {
    fn draw(medium: Medium, random: Source<'_>) -> Self {
        let share = match medium {
            Medium::PowerSafe => 0,
            // None at all, few, many or all: drawn for each image.
            Medium::Weak => [0, 1 << 57, 1 << 61, 1 << 63, u64::MAX][below(random, 5) as usize],
        };
        Self { share }
    }

    /// What a sector holds instead of `old` or `new`; none if it is one of them.
    fn of(&mut self, old: &[u8], new: &[u8], random: Source<'_>) -> Option<[u8; SECTOR]> {
        if self.share == 0 || random() > self.share {
            return None;
        }
        let mut bytes = [0; SECTOR];
        match below(random, 6) {
            0 => {}
            1 => bytes.fill(0xFF),
            2 => {
                for word in bytes.as_chunks_mut::<8>().0 {
                    *word = random().to_le_bytes();
                }
            }
            // The write was cut off within the sector, from the front or from the back.
            3 | 4 => {
                let (cut, flip) = (below(random, SECTOR as u64) as usize, below(random, 2) == 0);
                let (front, back) = if flip { (old, new) } else { (new, old) };
                bytes[..cut].copy_from_slice(&front[..cut]);
                bytes[cut..].copy_from_slice(&back[cut..]);
            }
            _ => {
                for ((byte, old), new) in bytes.iter_mut().zip(old).zip(new) {
                    *byte = if below(random, 2) == 0 { *old } else { *new };
                }
            }
        }
        // A mix may come out as one of the two: then it is drawn as one of them, and counted so.
        (bytes != old && bytes != new).then_some(bytes)
    }
}
