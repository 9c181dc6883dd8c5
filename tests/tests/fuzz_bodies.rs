//! Do the fuzzed bodies hold for a small corpus: valid bytes, and valid bytes changed a little?
//!
//! Fuzzing at volume is done with the targets in `fuzz/`; this keeps their bodies honest, and
//! checks that they get valid pieces accepted.

use factlog::{Encode, Expected, Meta, Options, Scratch, StreamKey};
use factlog_codec::{SegmentHeader, Walk};
use factlog_tests::fuzz::{self, Deep, Flat, Leg};
use factlog_tests::{Random, digest};

fn changed(random: &mut Random, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len() as u64) as usize;
        match random.below(4) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes.truncate(at),
            2 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][random.below(5) as usize],
            _ => {
                let from = random.below(bytes.len() as u64) as usize;
                let piece = bytes[from..].iter().copied().take(32).collect::<Vec<_>>();
                let end = (at + piece.len()).min(bytes.len());
                bytes[at..end].copy_from_slice(&piece[..end - at]);
            }
        }
    }
    bytes
}

fn deep() -> Deep {
    let leg = Leg { from: "somewhere far away".into(), crew: vec!["A".into(), "B".into()] };
    Deep { text: "text".into(), legs: vec![leg.clone(), leg.clone()], perhaps: Some(Box::new(leg)) }
}

/// The frames behind a SEGOPEN, of a real log.
fn real_frames() -> (Vec<u8>, Vec<u8>) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = Options::new().segment_size(4 << 20).open(directory.path()).expect("a log");
    let stream = StreamKey::new("leg", "EWR").expect("a name");
    for number in 0..20 {
        let flat = Flat { number, ratio: 0.5, letter: 'é', flag: Some(true) };
        writer.append(&flat).expect("appended");
        let meta = Meta::new().stream(&stream, Expected::Any).metadata(b"meta");
        writer.append_with(&deep(), meta).expect("appended");
    }
    drop(writer);
    let path = directory.path().join("seg/0000000001.log");
    let segment = std::fs::read(path).expect("the segment");
    let header = SegmentHeader::decode(&segment).expect("its header");
    let mut walk = Walk::new(header.key(), &segment, None);
    walk.next_frame().expect("the SEGOPEN");
    let start = walk.state().offset as usize;
    while walk.next_frame().is_ok() {}
    (segment[..4096].to_vec(), segment[start..walk.state().offset as usize].to_vec())
}

#[test]
fn does_every_body_answer_for_every_input() {
    let mut random = Random::from_environment("fuzz bodies");
    let (header, frames) = real_frames();
    let mut accepted = [0_u64; 5];
    let mut space = vec![0; 1 << 16];
    let len = deep().encode(&mut space, &mut Scratch::new()).expect("room");
    let description = <Deep as factlog::Event>::static_type().description().expect("described");
    let mut described = description.as_bytes().to_vec();
    described.extend_from_slice(&[0; 64]);
    accepted[1] += fuzz::pages(&header);
    accepted[2] += fuzz::descriptions(description.as_bytes());
    accepted[3] += fuzz::views(&space[..len]);
    accepted[4] += fuzz::recovery(&frames);
    assert!(accepted[4] > 40, "the valid frames must be accepted: {accepted:?}");
    for _ in 0..2_000 {
        accepted[0] += fuzz::frames(&changed(&mut random, &frames));
        accepted[1] += fuzz::pages(&changed(&mut random, &header));
        accepted[2] += fuzz::descriptions(&changed(&mut random, &described));
        accepted[3] += fuzz::views(&changed(&mut random, &space[..len]));
    }
    for _ in 0..60 {
        accepted[4] += fuzz::recovery(&changed(&mut random, &frames));
    }
    println!("accepted by frames, pages, descriptions, views, recovery: {accepted:?}");
    assert!(accepted.iter().all(|count| *count > 0), "{accepted:?}");
    assert_ne!(digest(&frames), digest(&header));
}
