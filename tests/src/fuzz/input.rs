//! Choices out of bytes: any bytes are some choices, and there is always an end.

/// What is left of an input. Behind its end there are zeros.
#[derive(Debug, Clone)]
pub(super) struct Input<'a>(&'a [u8]);

/// Numbers at which lengths, counts and places turn.
const TURNS: [u64; 24] = [
    0,
    1,
    2,
    7,
    15,
    16,
    17,
    47,
    48,
    49,
    63,
    64,
    255,
    4096,
    0xFFFF,
    (4 << 20) - 4096,
    4 << 20,
    (1 << 31) - 1,
    (1 << 32) - 16,
    (1 << 32) - 1,
    1 << 40,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

impl<'a> Input<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub(super) fn number(&mut self, bytes: usize) -> u64 {
        let mut number = [0; 8];
        let taken = self.take(bytes.min(8));
        number[..taken.len()].copy_from_slice(taken);
        u64::from_le_bytes(number)
    }

    /// A number below `bound`; 0 if there is none.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let bytes = if bound <= 256 { 1 } else { 2 };
        (self.number(bytes) as usize).checked_rem(bound).unwrap_or(0)
    }

    /// What a field that holds `old` is to hold: near to it, at a turn, or anything.
    pub(super) fn value(&mut self, old: u64) -> u64 {
        let how = self.byte();
        match how {
            0..24 => TURNS[usize::from(how)],
            24..48 => TURNS[usize::from(how - 24)].wrapping_neg(),
            48..112 => old.wrapping_add(u64::from(how - 47)),
            112..176 => old.wrapping_sub(u64::from(how - 111)),
            176..240 => old ^ (1 << (how - 176)),
            _ => self.number(8),
        }
    }
}
