//! Compressions of layers and archives, told by content (media types may lie); pure over readers.

use crate::error::{At, Result};
use std::io::{BufReader, Cursor, Read};

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
}

/// Most memory xz may ask for: a dictionary of 64 MiB, the largest preset's.
const XZ_MEMORY: u64 = 128 << 20;
/// Largest zstd window: 2^27, what the zstd command takes by default.
const ZSTD_WINDOW: u32 = 27;
const BUFFER: usize = 128 << 10;

/// Tells a compression by the first bytes.
pub fn detect(start: &[u8]) -> Compression {
    match start {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        // A frame, or a skippable frame in front of one (RFC 8878, 3.1.2).
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Compression::Bzip2,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
        _ => Compression::None,
    }
}

/// A reader of the plain bytes.
///
/// # Errors
/// The reader fails, or a decompressor can't be made.
pub fn reader<'a>(mut raw: Box<dyn Read + Send + 'a>) -> Result<Box<dyn Read + Send + 'a>> {
    let mut start = [0; 6];
    let mut filled = 0;
    while filled < start.len() {
        match raw.read(&mut start[filled..]).at(|| "read")? {
            0 => break,
            count => filled += count,
        }
    }
    let compression = detect(&start[..filled]);
    let whole = Cursor::new(start).take(filled as u64).chain(raw);
    Ok(match compression {
        Compression::None => Box::new(whole),
        Compression::Gzip => {
            Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::with_capacity(BUFFER, whole)))
        }
        Compression::Zstd => {
            let buffered = BufReader::with_capacity(BUFFER, whole);
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(buffered).at(|| "start zstd")?;
            decoder.window_log_max(ZSTD_WINDOW).at(|| "limit zstd's window")?;
            Box::new(decoder)
        }
        Compression::Bzip2 => {
            Box::new(bzip2::bufread::MultiBzDecoder::new(BufReader::with_capacity(BUFFER, whole)))
        }
        Compression::Xz => {
            let flags = liblzma::stream::CONCATENATED;
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, flags)
                .map_err(std::io::Error::from)
                .at(|| "start xz")?;
            let buffered = BufReader::with_capacity(BUFFER, whole);
            Box::new(liblzma::bufread::XzDecoder::new_stream(buffered, stream))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn plain(bytes: Vec<u8>) -> Vec<u8> {
        let mut out = Vec::new();
        reader(Box::new(Cursor::new(bytes))).unwrap().read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn every_compression_is_told_and_read() {
        let text = b"some text that is longer than six bytes".repeat(100);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        let mut bzip = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip.write_all(&text).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&text).unwrap();
        let zstd = zstd::encode_all(&text[..], 1).unwrap();
        let gzip = gzip.finish().unwrap();
        for compressed in [gzip.clone(), bzip.finish().unwrap(), xz.finish().unwrap(), zstd] {
            assert_ne!(detect(&compressed), Compression::None);
            assert_eq!(plain(compressed), text);
        }
        assert_eq!(plain(text.clone()), text);
        assert_eq!(plain(b"x".to_vec()), b"x");
        // pigz and eStargz write several members.
        assert_eq!(plain([gzip.clone(), gzip].concat()), text.repeat(2));
    }

    #[test]
    fn more_memory_than_real_layers_need_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(ZSTD_WINDOW + 1).unwrap();
        encoder.write_all(b"some text").unwrap();
        let bytes = encoder.finish().unwrap();
        let mut reader = reader(Box::new(Cursor::new(bytes))).unwrap();
        assert!(reader.read_to_end(&mut Vec::new()).is_err());
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), magic in 0..5usize) {
            let magics: [&[u8]; 5] =
                [&[], &[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd], b"BZh9", b"\xfd7zXZ\0"];
            let input = [magics[magic], &bytes].concat();
            if let Ok(mut reader) = reader(Box::new(Cursor::new(input))) {
                let _ = std::io::copy(&mut (&mut reader).take(1 << 20), &mut std::io::sink());
            }
        }
    }
}
