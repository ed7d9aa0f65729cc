//! Pieces of a gzip stream that can be concatenated in any order.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::{Compression, Crc, write::DeflateEncoder};

/// The largest number of bytes in a stored (uncompressed) block (RFC 1951, section 3.2.4).
const MAX_STORED: usize = u16::MAX as usize;

/// A part of a deflate stream. It refers to no earlier part, ends on a byte boundary, and has no final block.
pub struct Deflated {
    /// The compressed bytes.
    pub bytes: Bytes,
    /// Checksum and length of the uncompressed bytes.
    pub crc: Crc,
}

impl Deflated {
    /// Compresses `plain`.
    ///
    /// # Errors
    ///
    /// The encoder failed. Writing to memory is not known to cause this.
    pub fn new(plain: &[u8]) -> io::Result<Self> {
        // The service may run on slow cores, and the list compresses well at any level.
        let mut encoder = DeflateEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::fast());
        encoder.write_all(plain)?;
        encoder.flush()?;
        let mut bytes = std::mem::take(encoder.get_mut());
        bytes.shrink_to_fit();
        Ok(Self { bytes: bytes.into(), crc: crc(plain) })
    }

    /// Stores `plain` uncompressed. For data that is too short to be worth compressing.
    pub fn stored(plain: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(plain.len() + 5 * plain.len().div_ceil(MAX_STORED));
        for block in plain.chunks(MAX_STORED) {
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
    fn data_of_any_length_can_be_stored() {
        for length in [0, 1, MAX_STORED - 1, MAX_STORED, MAX_STORED + 1, 3 * MAX_STORED] {
            let plain: Vec<u8> = (0..length).map(|position| (position % 251) as u8).collect();
            let Deflated { bytes, crc } = Deflated::stored(&plain);
            // The decoder expects a final block; this one is empty.
            let stream = [&bytes[..], &[3, 0]].concat();
            let mut text = Vec::new();
            DeflateDecoder::new(&stream[..]).read_to_end(&mut text).unwrap();
            assert!(text == plain, "{length}");
            assert_eq!(crc.amount() as usize, length);
        }
    }
}
