//! Parts of a gzip stream, which may be put together in any order.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::{Compression, Crc, write::DeflateEncoder};

/// As many bytes as a block can hold that is not compressed.
const STORED: usize = u16::MAX as usize;

/// Raw deflate that refers to nothing before it and ends at a whole byte, and is not the end of a stream.
pub struct Deflated {
    /// The compressed bytes.
    pub bytes: Bytes,
    /// The check sum and the length of what they stand for.
    pub crc: Crc,
}

impl Deflated {
    /// Compresses `plain`.
    ///
    /// # Errors
    ///
    /// None is known.
    pub fn new(plain: &[u8]) -> io::Result<Self> {
        // The box has slow cores, and the list compresses well whatever the level.
        let mut encoder = DeflateEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
        encoder.write_all(plain)?;
        encoder.flush()?;
        let mut bytes = std::mem::take(encoder.get_mut());
        bytes.shrink_to_fit();
        Ok(Self { bytes: bytes.into(), crc: crc(plain) })
    }

    /// Writes `plain` as it is, where compressing it is not worth the trouble.
    pub fn stored(plain: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(plain.len() + 5 * plain.len().div_ceil(STORED));
        for block in plain.chunks(STORED) {
            let length = block.len() as u16;
            bytes.push(0);
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(&(!length).to_le_bytes());
            bytes.extend_from_slice(block);
        }
        Self { bytes: bytes.into(), crc: crc(plain) }
    }
}

fn crc(plain: &[u8]) -> Crc {
    let mut crc = Crc::new();
    crc.update(plain);
    crc
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::DeflateDecoder;

    use super::*;

    #[test]
    fn what_is_stored_may_be_longer_than_a_block() {
        for length in [0, 1, STORED - 1, STORED, STORED + 1, 3 * STORED] {
            let plain: Vec<u8> = (0..length).map(|position| (position % 251) as u8).collect();
            let Deflated { bytes, crc } = Deflated::stored(&plain);
            // With a last block that is empty.
            let stream = [&bytes[..], &[3, 0]].concat();
            let mut text = Vec::new();
            DeflateDecoder::new(&stream[..]).read_to_end(&mut text).unwrap();
            assert!(text == plain, "{length}");
            assert_eq!(crc.amount() as usize, length);
        }
    }
}
