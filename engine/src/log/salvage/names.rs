//! What type and stream numbers stand for, as far as it is known.

use std::collections::HashMap;

use factlog_codec::{Catalog, Item, SegOpenTypes, StreamKey, StreamNumber, TypeItem, TypeNumber};

use crate::log::disk::{Directory, read_catalog, read_table};
use crate::log::type_table::LogType;

/// Types and streams by their numbers.
#[derive(Debug, Default)]
pub(super) struct Names {
    types: HashMap<u16, LogType>,
    streams: HashMap<u64, StreamKey>,
}

impl Names {
    /// What the catalog and the newest stream table say; one that cannot be used says nothing.
    pub(super) fn read_tables(&mut self, directory: &Directory) {
        let tables = directory.list_tables().unwrap_or_default();
        let newest = tables.iter().rev().filter_map(|id| read_table(directory, *id).ok()?);
        let catalog = read_catalog(directory).ok().flatten();
        for bytes in newest.chain(catalog) {
            let Ok((_, entries)) = Catalog::decode(&bytes) else { continue };
            for (number, entry) in (1..).zip(entries) {
                let Ok(entry) = entry else { break };
                self.streams.entry(number).or_insert(entry.name);
            }
        }
    }

    /// A segment begins, and says what types there are.
    pub(super) fn begin_segment(&mut self, types: SegOpenTypes<'_>) {
        for (number, item) in types.flatten() {
            self.types.insert(number.get(), LogType::from_item(number, &item));
        }
    }

    pub(super) fn add_type(&mut self, item: &Item<'_>) {
        let number = item.header.type_number;
        if let Ok(decoded) = TypeItem::decode(item.payload) {
            self.types.insert(number.get(), LogType::from_item(number, &decoded));
        }
    }

    pub(super) fn add_stream(&mut self, item: &Item<'_>) {
        if let Ok(name) = StreamKey::decode(item.payload) {
            self.streams.insert(item.header.stream.get(), name);
        }
    }

    pub(super) fn event_type(&self, number: TypeNumber) -> Option<&LogType> {
        self.types.get(&number.get())
    }

    pub(super) fn stream(&self, number: StreamNumber) -> Option<&StreamKey> {
        self.streams.get(&number.get())
    }
}
