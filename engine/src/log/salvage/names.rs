//! What type and stream numbers stand for, as far as it is known.
//!
//! Where recovery has ended a segment, the log goes on with the numbers as of that end, and what was
//! cut may have given the same ones to other names. So each name is noted with the epoch in which it
//! was met, and is good for another epoch only if no such end lies between, at or below its number.

use std::collections::HashMap;

use factlog_codec::{
    Catalog, Epoch, Item, Manifest, SegOpenTypes, StreamKey, StreamNumber, Succession, TypeItem,
    TypeNumber,
};

use super::scan::{Opening, Scanned};
use crate::log::disk::{Directory, read_catalog, read_table};
use crate::log::type_table::LogType;

/// Types and streams by their numbers.
#[derive(Debug, Default)]
pub(super) struct Names {
    types: HashMap<u16, Vec<(Epoch, LogType)>>,
    streams: HashMap<u64, Vec<(Epoch, StreamKey)>>,
    cuts: Vec<Cut>,
}

/// Where recovery has ended a segment.
#[derive(Debug, Clone, Copy)]
struct Cut {
    /// The epoch that went on.
    epoch: Epoch,
    /// The first numbers that it gave.
    stream: u64,
    kind: u32,
}

/// What a number stands for in an epoch; the nearest, if there are several. `breaks` says which cuts
/// concern it.
fn known<'a, T>(
    met: Option<&'a Vec<(Epoch, T)>>,
    epoch: Epoch,
    cuts: &[Cut],
    breaks: impl Fn(&Cut) -> bool,
) -> Option<&'a T> {
    let good = |at: Epoch| {
        let (from, to) = (at.min(epoch), at.max(epoch));
        !cuts.iter().any(|cut| from < cut.epoch && cut.epoch <= to && breaks(cut))
    };
    let good = met?.iter().filter(|(at, _)| good(*at));
    good.min_by_key(|(at, _)| at.get().abs_diff(epoch.get())).map(|(_, name)| name)
}

impl Names {
    /// Knows where recovery has ended segments.
    pub(super) fn new<'a>(files: impl Iterator<Item = &'a Scanned>) -> Self {
        let openings = files.filter_map(|file| file.opening);
        let cut = |opening: Opening| {
            let open = &opening.open;
            is_cut(open.before.why).then(|| Cut {
                epoch: opening.epoch,
                stream: open.next_stream.get(),
                kind: open.next_type.map_or(u32::MAX, |number| number.get().into()),
            })
        };
        Self { cuts: openings.filter_map(cut).collect(), ..Self::default() }
    }

    /// What the catalog and the stream tables of a log say; one that cannot be used says nothing.
    pub(super) fn read_tables(
        &mut self,
        directory: &Directory,
        manifest: Option<&Manifest>,
        files: &[Scanned],
        aside: &[Scanned],
    ) {
        let mut openings = files.iter().chain(aside).filter_map(|file| file.opening);
        let Some(log) = openings.next().map(|opening| opening.log) else { return };
        let tables = directory.list_tables().unwrap_or_default();
        let newest = tables.iter().rev().filter_map(|id| read_table(directory, *id).ok()?);
        let catalog = read_catalog(directory).ok().flatten();
        for bytes in newest.chain(catalog) {
            let Ok((table, entries)) = Catalog::decode(&bytes) else { continue };
            if table.log != log && !manifest.is_some_and(|manifest| manifest.knows(table.log)) {
                continue;
            }
            // It belongs to the segment that it stands before. If that is gone, it may be of what
            // was cut, and is good for what all have in common.
            let mut openings = files.iter().chain(aside).filter_map(|file| file.opening);
            let opening = openings.find(|opening| {
                let (before, sequence) = (opening.open.before, opening.sequence);
                (opening.segment, sequence) == (table.floor, table.sequence)
                    && (before.end, before.fold) == (table.before_end, table.before_fold)
            });
            let common = self.cuts.iter().map(|cut| cut.stream).min().unwrap_or(u64::MAX);
            let below = if opening.is_some() { u64::MAX } else { common };
            let epoch = opening.map_or(Epoch::new(0), |opening| opening.epoch);
            for (number, entry) in (1..below).zip(entries) {
                let Ok(entry) = entry else { break };
                self.meet_stream(StreamNumber::new(number), epoch, entry.name);
            }
        }
    }

    /// A segment begins, and says what types there are.
    pub(super) fn begin_segment(&mut self, types: SegOpenTypes<'_>, epoch: Epoch) {
        for (number, item) in types.flatten() {
            self.meet_type(number, epoch, &item);
        }
    }

    pub(super) fn add_type(&mut self, item: &Item<'_>, epoch: Epoch) {
        if let Ok(decoded) = TypeItem::decode(item.payload) {
            self.meet_type(item.header.type_number, epoch, &decoded);
        }
    }

    pub(super) fn add_stream(&mut self, item: &Item<'_>, epoch: Epoch) {
        if let Ok(name) = StreamKey::decode(item.payload) {
            self.meet_stream(item.header.stream, epoch, name);
        }
    }

    fn meet_type(&mut self, number: TypeNumber, epoch: Epoch, item: &TypeItem<'_>) {
        if self.event_type(number, epoch).is_none_or(|known| known.item() != *item) {
            let met = self.types.entry(number.get()).or_default();
            met.retain(|(at, _)| *at != epoch);
            met.push((epoch, LogType::from_item(number, item)));
        }
    }

    fn meet_stream(&mut self, number: StreamNumber, epoch: Epoch, name: StreamKey) {
        if self.stream(number, epoch) != Some(&name) {
            let met = self.streams.entry(number.get()).or_default();
            met.retain(|(at, _)| *at != epoch);
            met.push((epoch, name));
        }
    }

    pub(super) fn event_type(&self, number: TypeNumber, epoch: Epoch) -> Option<&LogType> {
        let met = self.types.get(&number.get());
        known(met, epoch, &self.cuts, |cut| cut.kind <= number.get().into())
    }

    pub(super) fn stream(&self, number: StreamNumber, epoch: Epoch) -> Option<&StreamKey> {
        let met = self.streams.get(&number.get());
        known(met, epoch, &self.cuts, |cut| cut.stream <= number.get())
    }
}

/// Whether what stands behind the end of a segment is no part of the log.
fn is_cut(why: Succession) -> bool {
    matches!(why, Succession::TornTail | Succession::Repaired | Succession::Forked)
}
