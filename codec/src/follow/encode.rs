//! Messages to bytes.

use super::message::{
    FOLLOW_VERSION, FollowEnd, FollowMessage, FollowRefusal, HEAD, Kind, checksum,
};
use crate::ids::{Epoch, LogId, Sequence};

impl FollowMessage<'_> {
    /// Appends it to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(&[0; HEAD]);
        let kind = self.encode_body(out);
        let (Some(len), Some(message)) = (
            out.len().checked_sub(begin + HEAD).and_then(|len| u32::try_from(len).ok()),
            out.get_mut(begin..),
        ) else {
            return;
        };
        let Some((head, body)) = message.split_first_chunk_mut::<{ HEAD }>() else {
            return;
        };
        debug_assert!((kind.lens().0..=kind.lens().1).contains(&body.len()), "{kind:?}");
        let mut raw = [0; HEAD];
        let fields = [&[0; 4][..], &len.to_le_bytes(), &kind.code().to_le_bytes()].concat();
        raw.iter_mut().zip(&fields).for_each(|(to, from)| *to = *from);
        let crc = checksum(&raw, body).to_le_bytes();
        raw.iter_mut().zip(&crc).for_each(|(to, from)| *to = *from);
        *head = raw;
    }

    fn encode_body(&self, out: &mut Vec<u8>) -> Kind {
        match *self {
            Self::Hello(place) => {
                out.extend_from_slice(&FOLLOW_VERSION.to_le_bytes());
                out.extend_from_slice(&u16::from(place.is_some()).to_le_bytes());
                match place {
                    None => out.extend_from_slice(&[0; 76]),
                    Some(place) => {
                        out.extend_from_slice(&place.epoch.get().to_le_bytes());
                        out.extend_from_slice(place.log.uuid().as_bytes());
                        out.extend_from_slice(place.history.uuid().as_bytes());
                        for word in [place.frame.raw(), place.end.raw(), place.next.get()] {
                            out.extend_from_slice(&word.to_le_bytes());
                        }
                        out.extend_from_slice(&place.frame_crc.to_le_bytes());
                        out.extend_from_slice(&[0; 12]);
                    }
                }
                Kind::Hello
            }
            Self::Welcome(leader) => {
                out.extend_from_slice(&FOLLOW_VERSION.to_le_bytes());
                out.extend_from_slice(&u16::from(leader.bits).to_le_bytes());
                out.extend_from_slice(&leader.epoch.get().to_le_bytes());
                out.extend_from_slice(leader.log.uuid().as_bytes());
                out.extend_from_slice(leader.history.uuid().as_bytes());
                Kind::Welcome
            }
            Self::Refusal(refusal) => {
                let none = (0, Epoch::default(), Sequence::ZERO, LogId::default());
                let (reason, (version, epoch, sequence, log)) = match refusal {
                    FollowRefusal::Version(version) => (1_u16, (version, none.1, none.2, none.3)),
                    FollowRefusal::Foreign(log) => (2, (0, none.1, none.2, log)),
                    FollowRefusal::Behind(oldest) => (3, (0, none.1, oldest, none.3)),
                    FollowRefusal::Ahead(next) => (4, (0, none.1, next, none.3)),
                    FollowRefusal::Diverged(epoch) => (5, (0, epoch, none.2, none.3)),
                };
                out.extend_from_slice(&reason.to_le_bytes());
                out.extend_from_slice(&version.to_le_bytes());
                out.extend_from_slice(&epoch.get().to_le_bytes());
                out.extend_from_slice(&sequence.get().to_le_bytes());
                out.extend_from_slice(log.uuid().as_bytes());
                Kind::Refusal
            }
            Self::Segment(page) => {
                out.extend_from_slice(page);
                Kind::Segment
            }
            Self::Bytes(position, bytes) => {
                out.extend_from_slice(&position.raw().to_le_bytes());
                out.extend_from_slice(bytes);
                Kind::Bytes
            }
            Self::Turn(position, next) | Self::Ack(position, next) => {
                out.extend_from_slice(&position.raw().to_le_bytes());
                out.extend_from_slice(&next.get().to_le_bytes());
                if matches!(self, Self::Turn(..)) { Kind::Turn } else { Kind::Ack }
            }
            Self::End(end) => {
                let code: u16 = match end {
                    FollowEnd::Closed => 1,
                    FollowEnd::Stopped => 2,
                    FollowEnd::Poisoned => 3,
                };
                out.extend_from_slice(&code.to_le_bytes());
                out.extend_from_slice(&[0; 6]);
                Kind::End
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::decode::{FollowHead, FollowMessageError};
    use super::super::message::{FollowLeader, FollowPlace};
    use super::*;
    use crate::ids::{HistoryId, Position};
    use crate::layout::PAGE;

    fn place() -> FollowPlace {
        FollowPlace {
            log: LogId::new(Uuid::from_u128(1)),
            history: HistoryId::new(Uuid::from_u128(2)),
            epoch: Epoch::new(3),
            frame_crc: 4,
            frame: Position::from_raw(5),
            end: Position::from_raw(6),
            next: Sequence::new(7),
        }
    }

    fn leader() -> FollowLeader {
        let FollowPlace { log, history, epoch, .. } = place();
        FollowLeader { log, bits: 22, epoch, history }
    }

    fn all<'a>(page: &'a [u8], most: &'a [u8]) -> Vec<FollowMessage<'a>> {
        let (at, next) = (Position::from_raw(9), Sequence::new(10));
        vec![
            FollowMessage::Hello(None),
            FollowMessage::Hello(Some(place())),
            FollowMessage::Welcome(leader()),
            FollowMessage::Refusal(FollowRefusal::Version(2)),
            FollowMessage::Refusal(FollowRefusal::Foreign(place().log)),
            FollowMessage::Refusal(FollowRefusal::Behind(next)),
            FollowMessage::Refusal(FollowRefusal::Ahead(next)),
            FollowMessage::Refusal(FollowRefusal::Diverged(Epoch::new(8))),
            FollowMessage::Segment(page),
            FollowMessage::Bytes(at, &[1]),
            FollowMessage::Bytes(at, most),
            FollowMessage::Turn(at, next),
            FollowMessage::Ack(at, next),
            FollowMessage::End(FollowEnd::Closed),
            FollowMessage::End(FollowEnd::Stopped),
            FollowMessage::End(FollowEnd::Poisoned),
        ]
    }

    fn decode(bytes: &[u8]) -> Result<FollowMessage<'_>, FollowMessageError> {
        let (head, body) = bytes.split_first_chunk().expect("a head");
        FollowHead::decode(head)?.open(body)
    }

    #[test]
    fn does_every_message_come_back() {
        let (page, most) = (vec![3; PAGE], vec![4; FollowMessage::MAX_BYTES]);
        for message in all(&page, &most) {
            let mut bytes = Vec::new();
            message.encode(&mut bytes);
            assert_eq!(decode(&bytes), Ok(message));
        }
    }

    /// A head and a body that were changed anywhere are no message.
    #[test]
    fn is_every_flipped_bit_refused() {
        let page = vec![3; PAGE];
        for message in all(&page, &[7; 40]) {
            let mut bytes = Vec::new();
            message.encode(&mut bytes);
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                decode(&bytes).expect_err("a message with a flipped bit");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }

    /// What is checked behind the checksum, for one who can make one.
    #[test]
    fn are_impossible_fields_refused() {
        let with = |message: FollowMessage<'_>, at: usize, to: u8| {
            let mut bytes = Vec::new();
            message.encode(&mut bytes);
            bytes[at] = to;
            bytes[..4].fill(0);
            let crc = crc32fast::hash(&bytes);
            bytes[..4].copy_from_slice(&crc.to_le_bytes());
            decode(&bytes).expect_err("refused")
        };
        let turn = FollowMessage::Turn(Position::ZERO, Sequence::ZERO);
        assert_eq!(with(turn, 8, 0), FollowMessageError::Kind(0));
        assert_eq!(with(turn, 8, 9), FollowMessageError::Kind(9));
        assert_eq!(with(turn, 4, 17), FollowMessageError::Len(17));
        assert_eq!(with(turn, 7, 1), FollowMessageError::Len(0x0100_0010));
        assert_eq!(with(turn, 12, 1), FollowMessageError::Reserved);
        let hello = FollowMessage::Hello(Some(place()));
        assert_eq!(with(hello, 16, 2), FollowMessageError::Version(2));
        assert_eq!(with(hello, 18, 2), FollowMessageError::Field);
        assert_eq!(with(hello, 18, 0), FollowMessageError::Field);
        assert_eq!(with(hello, 95, 1), FollowMessageError::Reserved);
        let welcome = FollowMessage::Welcome(leader());
        assert_eq!(with(welcome, 18, 31), FollowMessageError::Field);
        assert_eq!(with(welcome, 19, 1), FollowMessageError::Field);
        assert_eq!(with(FollowMessage::End(FollowEnd::Closed), 16, 4), FollowMessageError::Field);
        let refusal = FollowMessage::Refusal(FollowRefusal::Version(2));
        assert_eq!(with(refusal, 16, 9), FollowMessageError::Field);
    }

    /// With a checksum made for it, a changed message is none, or says something else.
    #[test]
    fn does_every_bit_of_a_message_matter() {
        for message in all(&[3; PAGE], &[7; 40]) {
            let mut good = Vec::new();
            message.encode(&mut good);
            // Another version may say more when it refuses one.
            let free = matches!(message, FollowMessage::Refusal(FollowRefusal::Version(_)));
            for bit in 32..good.len().min(200) * 8 {
                let mut bytes = good.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                bytes[..4].fill(0);
                let crc = crc32fast::hash(&bytes);
                bytes[..4].copy_from_slice(&crc.to_le_bytes());
                let same = decode(&bytes) == Ok(message);
                assert!(!same || (free && bit / 8 >= 20), "{message:?}, bit {bit}");
            }
        }
    }
}
