//! What became of a command: its idempotency key, its outcome, its reply.

use core::fmt;

use crate::bytes::{Reader, put};
use crate::ids::{Sequence, StreamVersion};
use crate::layout::{MAX_COMMAND_KEY, align_up};
use crate::raw::RawCommand;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CommandOutcome {
    /// Its events stand in the same frame, before it.
    Accepted,
    /// It was refused; the reply says why.
    Rejected,
    /// Deciding it failed; the reply is a text that says how.
    Failed,
}

impl CommandOutcome {
    /// As it is written.
    pub const fn code(self) -> u8 {
        match self {
            Self::Accepted => 1,
            Self::Rejected => 2,
            Self::Failed => 3,
        }
    }

    /// From what is written; `None` if it is none.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Accepted),
            2 => Some(Self::Rejected),
            3 => Some(Self::Failed),
            _ => None,
        }
    }
}

/// Bit of the flags: its events were decided elsewhere.
const PREPARED: u8 = 1;

/// A command as the log has it: borrowed from a COMMAND item's payload, or to be written as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandItem<'a> {
    /// How it ended.
    pub outcome: CommandOutcome,
    /// Whether its events were decided elsewhere, and given with it: they cannot be decided anew.
    pub prepared: bool,
    /// Number of the events that it led to, which stand right before it.
    pub events: u32,
    /// Sequence of the first of them; without events, the next to be given.
    pub first: Sequence,
    /// Version of the stream of its aggregate behind them.
    pub version: StreamVersion,
    /// Hash of the command's type and payload: the same key with another one is an error.
    pub digest: u64,
    /// Time that deciding it was told, in nanoseconds since the Unix epoch.
    pub now: u64,
    /// Where its random numbers began.
    pub seed: u64,
    /// Idempotency key; empty if it had none.
    pub key: &'a [u8],
    /// What was answered: an archive of the reply or of the reason of its refusal, or a text.
    pub reply: &'a [u8],
    /// The command itself, an archive of the item's type; empty unless it was to be recorded.
    pub command: &'a [u8],
}

/// Why a COMMAND item cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CommandItemError {
    /// It ends too early, or goes on.
    Length,
    /// The outcome is unknown.
    Outcome(u8),
    /// The key is longer than it may be: its bytes.
    Key(u16),
    /// A reserved field is in use.
    Reserved,
}

impl fmt::Display for CommandItemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => write!(f, "a COMMAND item has another length than it says"),
            Self::Outcome(code) => write!(f, "a COMMAND item has unknown outcome {code}"),
            Self::Key(len) => {
                write!(f, "the key of a COMMAND item has {len} bytes, of at most {MAX_COMMAND_KEY}")
            }
            Self::Reserved => write!(f, "a reserved field of a COMMAND item is in use"),
        }
    }
}

impl core::error::Error for CommandItemError {}

impl<'a> CommandItem<'a> {
    /// Bytes of the payload.
    pub fn encoded_len(&self) -> usize {
        size_of::<RawCommand>()
            + align_up(self.key.len())
            + align_up(self.reply.len())
            + self.command.len()
    }

    /// Writes the payload to `out`, [`encoded_len`](Self::encoded_len) bytes long.
    ///
    /// # Panics
    ///
    /// When `out` is shorter.
    pub fn encode(&self, out: &mut [u8]) {
        debug_assert!(self.key.len() <= MAX_COMMAND_KEY);
        let raw = RawCommand {
            outcome: self.outcome.code(),
            flags: if self.prepared { PREPARED } else { 0 },
            key_len: u16::try_from(self.key.len()).unwrap_or(u16::MAX),
            events: self.events,
            first: self.first.get(),
            version: self.version.get(),
            digest: self.digest,
            now: self.now,
            seed: self.seed,
            reply_len: u32::try_from(self.reply.len()).unwrap_or(u32::MAX),
            command_len: u32::try_from(self.command.len()).unwrap_or(u32::MAX),
            reserved: [0; 8],
        };
        let rest = put(out, bytemuck::bytes_of(&raw));
        let rest = put_padded(rest, self.key);
        put(put_padded(rest, self.reply), self.command);
    }

    /// From the payload of a COMMAND item.
    ///
    /// # Errors
    ///
    /// The payload is not that of a COMMAND item.
    pub fn decode(payload: &'a [u8]) -> Result<Self, CommandItemError> {
        let mut reader = Reader::new(payload);
        let raw: RawCommand = reader.pod().ok_or(CommandItemError::Length)?;
        let outcome =
            CommandOutcome::from_code(raw.outcome).ok_or(CommandItemError::Outcome(raw.outcome))?;
        if raw.flags & !PREPARED != 0 || raw.reserved != [0; 8] {
            return Err(CommandItemError::Reserved);
        }
        if usize::from(raw.key_len) > MAX_COMMAND_KEY {
            return Err(CommandItemError::Key(raw.key_len));
        }
        let len = |len: u32| usize::try_from(len).map_err(|_| CommandItemError::Length);
        let key = take_padded(&mut reader, usize::from(raw.key_len))?;
        let reply = take_padded(&mut reader, len(raw.reply_len)?)?;
        let command = reader.take(len(raw.command_len)?).ok_or(CommandItemError::Length)?;
        if !reader.rest().is_empty() {
            return Err(CommandItemError::Length);
        }
        Ok(Self {
            outcome,
            prepared: raw.flags & PREPARED != 0,
            events: raw.events,
            first: Sequence::new(raw.first),
            version: StreamVersion::new(raw.version),
            digest: raw.digest,
            now: raw.now,
            seed: raw.seed,
            key,
            reply,
            command,
        })
    }
}

/// Archives are read in place: each piece begins at a multiple of 16.
fn put_padded<'a>(out: &'a mut [u8], bytes: &[u8]) -> &'a mut [u8] {
    let rest = put(out, bytes);
    let (padding, rest) = rest.split_at_mut(align_up(bytes.len()) - bytes.len());
    padding.fill(0);
    rest
}

fn take_padded<'a>(reader: &mut Reader<'a>, len: usize) -> Result<&'a [u8], CommandItemError> {
    let bytes = reader.take(len).ok_or(CommandItemError::Length)?;
    let padding = reader.take(align_up(len) - len).ok_or(CommandItemError::Length)?;
    if padding.iter().all(|byte| *byte == 0) { Ok(bytes) } else { Err(CommandItemError::Reserved) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item() -> CommandItem<'static> {
        CommandItem {
            outcome: CommandOutcome::Rejected,
            prepared: false,
            events: 3,
            first: Sequence::new(77),
            version: StreamVersion::new(5),
            digest: 0xD1,
            now: 99,
            seed: 7,
            key: b"a key",
            reply: b"because of a reason, at length",
            command: b"the command",
        }
    }

    #[test]
    fn does_a_command_come_back() {
        for (command, prepared) in [(&b""[..], false), (b"the command", true)] {
            let item = CommandItem { command, prepared, ..item() };
            let mut bytes = vec![0xAA; item.encoded_len()];
            item.encode(&mut bytes);
            assert_eq!(CommandItem::decode(&bytes), Ok(item));
        }
    }

    #[test]
    fn is_every_wrong_length_refused() {
        let item = item();
        let mut bytes = vec![0; item.encoded_len() + 16];
        item.encode(&mut bytes);
        for len in (0..bytes.len()).filter(|len| *len != item.encoded_len()) {
            assert!(CommandItem::decode(&bytes[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn are_impossible_fields_refused() {
        let item = item();
        let mut good = vec![0; item.encoded_len()];
        item.encode(&mut good);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            CommandItem::decode(&bytes).expect_err("refused")
        };
        assert_eq!(with(0, 9), CommandItemError::Outcome(9));
        assert_eq!(with(1, 2), CommandItemError::Reserved);
        assert_eq!(with(3, 2), CommandItemError::Key(0x205));
        assert_eq!(with(60, 1), CommandItemError::Reserved);
        assert_eq!(with(70, 1), CommandItemError::Reserved);
    }
}
