//! From the bytes of a file to the bytes of the table: plain, gzip or zstd, told apart by their
//! first bytes. Everything is streamed, and several members or frames in a row are one text.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// zstd may also begin with a frame to pass over: one of sixteen magics, told by three bytes.
const ZSTD_SKIPPABLE: &[u8] = &[0x2a, 0x4d, 0x18];

const BUFFER_BYTES: usize = 64 * 1024;

/// How the bytes of a table are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    /// Not packed.
    Plain,
    /// One or more gzip members.
    Gzip,
    /// One or more zstd frames.
    Zstd,
}

impl Packing {
    fn of(beginning: &[u8]) -> Self {
        if beginning.starts_with(GZIP_MAGIC) {
            return Self::Gzip;
        }
        let skippable = beginning.first().is_some_and(|byte| byte & 0xf0 == 0x50)
            && beginning.get(1..).is_some_and(|rest| rest.starts_with(ZSTD_SKIPPABLE));
        if beginning.starts_with(ZSTD_MAGIC) || skippable { Self::Zstd } else { Self::Plain }
    }
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// A table's text as it comes out of its packing.
pub(crate) struct Unpacked<'a> {
    /// How it was packed.
    pub(crate) packing: Packing,
    /// The text. Its errors: `UnexpectedEof` is a packed text that ends too early, `InvalidData`
    /// and `InvalidInput` one that is damaged, all others come from the medium.
    pub(crate) text: Box<dyn BufRead + 'a>,
    /// Bytes taken from the file so far, as packed.
    pub(crate) taken: Rc<Cell<u64>>,
}

/// Looks at the first bytes and unpacks what follows from them.
pub(crate) fn unpack<'a>(source: impl Read + 'a) -> io::Result<Unpacked<'a>> {
    let taken = Rc::new(Cell::new(0));
    let mut counted = Counted { source, taken: Rc::clone(&taken) };
    let mut beginning = Vec::new();
    let longest = ZSTD_MAGIC.len() as u64;
    counted.by_ref().take(longest).read_to_end(&mut beginning)?;
    let packing = Packing::of(&beginning);
    let whole = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(beginning).chain(counted));
    let text: Box<dyn BufRead + 'a> = match packing {
        Packing::Plain => Box::new(whole),
        Packing::Gzip => {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(whole)))
        }
        Packing::Zstd => Box::new(BufReader::with_capacity(BUFFER_BYTES, ZstdFrames::new(whole))),
    };
    Ok(Unpacked { packing, text, taken })
}

/// Counts what is read, for the report of progress.
struct Counted<R> {
    source: R,
    taken: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.taken.set(self.taken.get() + count as u64);
        Ok(count)
    }
}

/// All zstd frames of a source as one text; the checksum of a frame is compared where it has one.
struct ZstdFrames<R> {
    source: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> ZstdFrames<R> {
    fn new(source: R) -> Self {
        Self { source, decoder: FrameDecoder::new(), in_frame: false }
    }

    fn begin_frame(&mut self) -> io::Result<()> {
        match self.decoder.reset(&mut self.source) {
            Ok(()) => self.in_frame = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => self.pass_over(u64::from(length))?,
            Err(error) => return Err(self.refine(error)),
        }
        Ok(())
    }

    fn pass_over(&mut self, length: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.source.by_ref().take(length), &mut io::sink())?;
        if skipped < length { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn end_frame(&mut self) -> io::Result<()> {
        self.in_frame = false;
        match self.decoder.get_checksum_from_data() {
            Some(stored) if self.decoder.get_calculated_checksum() != Some(stored) => {
                Err(io::Error::new(ErrorKind::InvalidData, "the checksum does not match"))
            }
            _ => Ok(()),
        }
    }

    /// Gives a decoder's error the kind of its cause. It counts as a premature end only if the
    /// source is in fact at its end: damaged lengths run out of bytes as well.
    fn refine(&mut self, error: FrameDecoderError) -> io::Error {
        let mut kind = ErrorKind::InvalidData;
        let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
        while let Some(deeper) = cause {
            if let Some(io) = deeper.downcast_ref::<io::Error>() {
                kind = io.kind();
            }
            cause = deeper.source();
        }
        let at_end = self.source.fill_buf().is_ok_and(<[u8]>::is_empty);
        if kind == ErrorKind::UnexpectedEof && !at_end {
            kind = ErrorKind::InvalidData;
        }
        io::Error::new(kind, error)
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.in_frame {
                if self.source.fill_buf()?.is_empty() {
                    return Ok(0);
                }
                self.begin_frame()?;
            } else if self.decoder.can_collect() > 0 {
                return self.decoder.read(buffer);
            } else if self.decoder.is_finished() {
                self.end_frame()?;
            } else {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                if let Err(error) = self.decoder.decode_blocks(&mut self.source, one) {
                    return Err(self.refine(error));
                }
            }
        }
    }
}
