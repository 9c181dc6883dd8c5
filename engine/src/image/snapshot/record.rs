//! What is handed from the thread that decides to the one that writes a snapshot: pieces of bytes,
//! and where the records in them begin.

use factlog_codec::StreamVersion;

/// The section of the instances that are left out, since they are suspended: they are folded anew.
pub(crate) const LEFT_OUT: u16 = u16::MAX;

/// Bytes before key and value.
const HEAD: usize = 16;

/// Records of one section, in no order.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) section: u16,
    bytes: Vec<u8>,
    starts: Vec<u32>,
}

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) key: &'a [u8],
    pub(super) version: StreamVersion,
    pub(super) value: &'a [u8],
}

impl Records {
    pub(crate) fn of(section: u16) -> Self {
        Self { section, ..Self::default() }
    }

    /// Adds one; `put_key` appends its key.
    pub(crate) fn push(
        &mut self,
        version: StreamVersion,
        value: &[u8],
        put_key: impl FnOnce(&mut Vec<u8>),
    ) {
        let start = self.bytes.len();
        self.starts.push(start as u32);
        self.bytes.extend_from_slice(&version.get().to_le_bytes());
        self.bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(value);
        let key = self.bytes.len();
        put_key(&mut self.bytes);
        let key_len = (self.bytes.len() - key) as u32;
        if let Some(head) = self.bytes.get_mut(start + 12..start + HEAD) {
            head.copy_from_slice(&key_len.to_le_bytes());
        }
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.starts.len()
    }

    /// One of them, by its number.
    pub(super) fn get(&self, number: usize) -> Option<Record<'_>> {
        let start = *self.starts.get(number)? as usize;
        let (head, rest) = self.bytes.get(start..)?.split_at_checked(HEAD)?;
        let (version, lens) = head.split_at_checked(8)?;
        let (value_len, key_len) = lens.split_at_checked(4)?;
        let version = u64::from_le_bytes(version.try_into().ok()?);
        let len = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize);
        let (value, rest) = rest.split_at_checked(len(value_len)?)?;
        let key = rest.get(..len(key_len)?)?;
        Some(Record { key, version: StreamVersion::new(version), value })
    }
}
