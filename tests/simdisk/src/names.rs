//! Directories as maps of names, and what may be left of two versions of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

/// A file or directory by a number of our own, which is never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Inode(pub(crate) u64);

/// The names in one directory.
pub(crate) type Entries = BTreeMap<OsString, Inode>;

/// Where an inode was found: its directory, and its name there. The root has none.
type Way<'a> = Option<(Inode, &'a OsStr)>;

/// The names in all directories. A directory that is not in the map is empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(pub(crate) BTreeMap<Inode, Entries>);

static EMPTY: Entries = Entries::new();

impl Names {
    pub(crate) fn of(&self, directory: Inode) -> &Entries {
        self.0.get(&directory).unwrap_or(&EMPTY)
    }

    fn set(&mut self, directory: Inode, name: &OsStr, inode: Option<Inode>) {
        let entries = self.0.entry(directory).or_default();
        match inode {
            Some(inode) => entries.insert(name.to_owned(), inode),
            None => entries.remove(name),
        };
    }

    /// All that can be reached from `root`, each with one way to it.
    pub(crate) fn reached(&self, root: Inode) -> BTreeMap<Inode, Way<'_>> {
        let mut found = BTreeMap::from([(root, None)]);
        let mut open = vec![root];
        while let Some(directory) = open.pop() {
            for (name, inode) in self.of(directory) {
                found.entry(*inode).or_insert_with(|| {
                    open.push(*inode);
                    Some((directory, name.as_os_str()))
                });
            }
        }
        found
    }

    /// All paths under `root`, directories before what is in them. A file has all its names; a
    /// directory has one, even if a rename left it two: there are no circles.
    pub(crate) fn paths(
        &self,
        root: Inode,
        is_file: impl Fn(Inode) -> bool,
    ) -> Vec<(PathBuf, Inode)> {
        let mut paths = Vec::new();
        let mut seen = BTreeSet::from([root]);
        let mut open = vec![(PathBuf::new(), root)];
        while let Some((path, directory)) = open.pop() {
            for (name, inode) in self.of(directory) {
                if is_file(*inode) {
                    paths.push((path.join(name), *inode));
                } else if seen.insert(*inode) {
                    paths.push((path.join(name), *inode));
                    open.push((path.join(name), *inode));
                }
            }
        }
        paths
    }
}

/// All that can be reached from `root` by names of any of these.
pub(crate) fn reached_by_any(root: Inode, all: [&Names; 2]) -> BTreeSet<Inode> {
    let mut found = BTreeSet::from([root]);
    let mut open = vec![root];
    while let Some(directory) = open.pop() {
        let inodes = all.iter().flat_map(|names| names.of(directory).values());
        open.extend(inodes.filter(|inode| found.insert(**inode)));
    }
    found
}

/// One name that is not the same on the medium and now.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) directory: Inode,
    name: OsString,
    now: Option<Inode>,
    /// Whether it is as it is now.
    pub(crate) taken: bool,
}

/// Which of two versions an inode that would be lost is found again by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// By its name on the medium.
    Medium,
    /// By its name now.
    Current,
}

/// Names on their way from what the medium has to what they are now.
#[derive(Debug)]
pub(crate) struct Between<'a> {
    root: Inode,
    medium: &'a Names,
    current: &'a Names,
    pub(crate) changes: Vec<Change>,
}

impl<'a> Between<'a> {
    /// Nothing is taken yet: all is as on the medium.
    pub(crate) fn new(root: Inode, medium: &'a Names, current: &'a Names) -> Self {
        let mut changes = Vec::new();
        let directories: BTreeSet<_> = medium.0.keys().chain(current.0.keys()).collect();
        for directory in directories {
            let (old, new) = (medium.of(*directory), current.of(*directory));
            let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
            let changed = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
            changes.extend(changed.map(|name| Change {
                directory: *directory,
                name: name.clone(),
                now: new.get(name).copied(),
                taken: false,
            }));
        }
        Self { root, medium, current, changes }
    }

    /// The names as they were drawn; but what has a name on the medium and now is not lost: where
    /// the draw left it without any, it keeps the one of `keep`.
    ///
    /// Ends, because each round gives way to `keep` in one more name, and with all of them nothing
    /// is lost.
    pub(crate) fn settle(&mut self, keep: Keep) -> Names {
        let (old, new) = (self.medium.reached(self.root), self.current.reached(self.root));
        let kept = if keep == Keep::Medium { &old } else { &new };
        loop {
            let names = self.merged();
            let found = names.reached(self.root);
            let lost =
                old.keys().find(|inode| new.contains_key(inode) && !found.contains_key(inode));
            let Some(lost) = lost else { return names };
            let mut at = *lost;
            while let Some(Some((directory, name))) = kept.get(&at) {
                let change = self.changes.iter_mut().find(|change| {
                    change.directory == *directory && change.name.as_os_str() == *name
                });
                if let Some(change) = change {
                    change.taken = keep == Keep::Current;
                }
                at = *directory;
            }
        }
    }

    fn merged(&self) -> Names {
        let mut names = self.medium.clone();
        for change in self.changes.iter().filter(|change| change.taken) {
            names.set(change.directory, &change.name, change.now);
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::{Between, Inode, Keep, Names};

    /// `directory`, `name`, `inode`; the root is 0.
    fn names(entries: &[(u64, &str, u64)]) -> Names {
        let mut names = Names::default();
        for (directory, name, inode) in entries {
            names.set(Inode(*directory), name.as_ref(), Some(Inode(*inode)));
        }
        names
    }

    fn settle(medium: &Names, current: &Names, bits: u64, keep: Keep) -> (Names, usize) {
        let mut between = Between::new(Inode(0), medium, current);
        for (bit, change) in between.changes.iter_mut().enumerate() {
            change.taken = bits >> bit & 1 == 1;
        }
        let count = between.changes.len();
        (between.settle(keep), count)
    }

    /// Every draw over moves of files and directories, in both directions.
    #[test]
    fn does_no_draw_lose_what_was_moved() {
        let cases = [
            // A file into another directory, whose old one is removed.
            (names(&[(0, "a", 1), (0, "b", 2), (1, "f", 3)]), names(&[(0, "b", 2), (2, "f", 3)])),
            // Two files change places.
            (names(&[(0, "x", 1), (0, "y", 2)]), names(&[(0, "x", 2), (0, "y", 1)])),
            // A directory into a new one.
            (names(&[(0, "a", 1), (1, "f", 3)]), names(&[(0, "n", 2), (2, "a", 1), (1, "g", 3)])),
            // A directory and the one in it change places.
            (
                names(&[(0, "a", 1), (1, "b", 2), (2, "f", 3)]),
                names(&[(0, "b", 2), (2, "a", 1), (1, "f", 3)]),
            ),
        ];
        for (medium, current) in &cases {
            for keep in [Keep::Medium, Keep::Current] {
                for bits in 0..64 {
                    let (merged, count) = settle(medium, current, bits, keep);
                    assert!((2..=6).contains(&count));
                    let found = merged.reached(Inode(0));
                    let now = current.reached(Inode(0));
                    for inode in medium.reached(Inode(0)).keys() {
                        assert!(!now.contains_key(inode) || found.contains_key(inode), "{bits:b}");
                    }
                    let paths = merged.paths(Inode(0), |inode| inode == Inode(3));
                    assert!(paths.len() < 6 && paths.len() + 1 >= found.len(), "{paths:?}");
                }
            }
        }
    }

    #[test]
    fn may_what_was_removed_or_is_new_be_missing() {
        let (medium, current) = (names(&[(0, "old", 1)]), names(&[(0, "new", 2)]));
        let all = [0, 1, 2, 3].map(|bits| settle(&medium, &current, bits, Keep::Medium).0);
        // The changes are in the order of names: `new`, `old`.
        let names = all.map(|names| names.of(Inode(0)).keys().cloned().collect::<Vec<_>>());
        assert_eq!(names, [vec!["old"], vec!["new", "old"], vec![], vec!["new"]]);
    }
}
