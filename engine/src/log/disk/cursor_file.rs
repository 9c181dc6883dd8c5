//! Named cursors: a file for each, with two slots that are written in turn.

use std::fs::{self, File};
use std::io;

use factlog_codec::layout::PAGE;
use factlog_codec::{CursorName, CursorSlot, CursorSlotError};

use super::directory::Directory;
use super::files::{has_other_names, open_regular, read_at};

/// What the two slots of a cursor's file hold.
#[derive(Debug, Clone)]
pub(crate) struct CursorSlots {
    slots: [Result<CursorSlot, CursorSlotError>; 2],
}

/// The cursors that are there by their names, each as far as it can be read.
pub(crate) type CursorFiles = Vec<(CursorName, io::Result<CursorSlots>)>;

impl CursorSlots {
    fn read(file: &File) -> io::Result<Self> {
        let mut bytes = [0; 2 * PAGE];
        let len = read_at(file, &mut bytes, 0)?;
        let (first, second) = bytes[..len].split_at(len.min(PAGE));
        Ok(Self { slots: [CursorSlot::decode(first), CursorSlot::decode(second)] })
    }

    /// The newer of the slots that can be used, and which it is.
    ///
    /// # Errors
    ///
    /// Neither can be used; or one is of a newer version, which is not overruled by an older slot
    /// beside it.
    pub(crate) fn newest(&self) -> Result<(usize, &CursorSlot), CursorSlotError> {
        let errors = self.slots.iter().filter_map(|slot| slot.as_ref().err());
        let worst = errors.max_by_key(|error| matches!(error, CursorSlotError::Version(_)));
        let valid =
            self.slots.iter().enumerate().filter_map(|(at, slot)| Some((at, slot.as_ref().ok()?)));
        match (valid.max_by_key(|(_, slot)| slot.generation), worst) {
            (_, Some(error @ CursorSlotError::Version(_))) | (None, Some(error)) => Err(*error),
            (Some(newest), _) => Ok(newest),
            (None, None) => Err(CursorSlotError::Short),
        }
    }
}

/// The cursors that are there. With `settle`, what is read is durable afterwards: a process may
/// have been killed between a change and its sync, or its sync has failed, after which the page
/// cache may have what the medium has not, and another sync would do nothing. So the newer slot is
/// written once more. Names that are none of a cursor are passed over.
pub(crate) fn read_cursors(directory: &Directory, settle: bool) -> io::Result<CursorFiles> {
    let folder = directory.cursors();
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let disk = directory.io();
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Ok(name) = CursorName::new(name) {
            let read = open_regular(&directory.cursor(&name), settle).and_then(|file| {
                let slots = CursorSlots::read(&file)?;
                if settle {
                    if let Ok((at, slot)) = slots.newest()
                        && !has_other_names(&file)?
                    {
                        disk.write_at(&file, &slot.encode(), (at * PAGE) as u64)?;
                    }
                    disk.sync_all(&file)?;
                }
                Ok(slots)
            });
            found.push((name, read));
        }
    }
    if settle {
        disk.sync_directory(&folder)?;
    }
    Ok(found)
}

/// Writes a slot, and syncs. On an error the other slot still stands.
pub(crate) fn write_cursor(directory: &Directory, at: usize, slot: &CursorSlot) -> io::Result<()> {
    directory.io().check_home()?;
    match open_regular(&directory.cursor(&slot.name), true) {
        // What somebody has given another name is not written to.
        Ok(file) if !has_other_names(&file)? => {
            let io = directory.io();
            io.write_at(&file, &slot.encode(), (at * PAGE) as u64)?;
            io.sync_all(&file)
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => make_cursor(directory, slot),
    }
}

/// Makes a cursor's file, which comes whole: both slots say the same. Another one in its place is
/// gone.
pub(crate) fn make_cursor(directory: &Directory, slot: &CursorSlot) -> io::Result<()> {
    let (folder, io) = (directory.cursors(), directory.io());
    if !folder.is_dir() {
        io.make_directory(&folder, false)?;
        io.sync_directory(directory.root())?;
    }
    // No cursor's name begins with a dot.
    let temporary = folder.join(format!(".{}", slot.name));
    io.remove_if_there(&temporary)?;
    let file = io.create_new(&temporary)?;
    let page = slot.encode();
    io.write_at(&file, &page, 0)?;
    io.write_at(&file, &page, PAGE as u64)?;
    io.sync_all(&file)?;
    io.rename(&temporary, &directory.cursor(&slot.name))?;
    io.sync_directory(&folder)
}

/// Removes a cursor's file, durably; that there is none is no error.
pub(crate) fn remove_cursor(directory: &Directory, name: &CursorName) -> io::Result<()> {
    let (folder, io) = (directory.cursors(), directory.io());
    io.check_home()?;
    match io.remove(&directory.cursor(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Err(_) if !folder.is_dir() => Ok(()),
        // Also where it is gone: whoever has removed it may have failed before that was durable.
        _ => io.sync_directory(&folder),
    }
}
