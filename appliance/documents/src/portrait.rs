//! A holder's portrait: one whole JPEG picture, without anything beside the picture.
//!
//! What may stand in a JPEG file is walked segment by segment before a decoder sees it: sizes are known before any pixel is
//! allocated, and what is not needed to show the picture (EXIF with its places and times, comments, profiles, thumbnails,
//! octets after the end) is cut out without encoding the picture again, which would change what the platform compares. Then a
//! decoder shows that what is left can be read.
//!
//! Memory: the decoded octets, at most [`MAX_PORTRAIT`], in one buffer that is wiped; and, while the decoder runs, at most
//! about 8 octets a pixel, 32 MiB for the largest picture. How many decode at once is the caller's business.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use yanqian_vocabulary::{Portrait, Reason};
use zeroize::{Zeroize as _, Zeroizing};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use crate::PartError;

/// Octets of a picture at most, metadata included.
pub const MAX_PORTRAIT: usize = 1 << 20;
/// Pixels of a side.
const SIDE: std::ops::RangeInclusive<u16> = 64..=4096;
/// Pixels at most.
const MAX_PIXELS: u32 = 4 << 20;
/// Neither side is more than this many times the other.
const MAX_ASPECT: u16 = 2;
/// Scans of a progressive picture at most; encoders write about ten, and every one costs as much as a picture.
const MAX_SCANS: u32 = 32;

const FIELD: &str = "portrait";

/// Why a picture was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Not a picture of the kind that is taken, or not a whole one.
    Encoding,
    Dimensions,
}

impl From<Fault> for PartError {
    fn from(fault: Fault) -> Self {
        let reason = match fault {
            Fault::Encoding => Reason::PortraitEncoding,
            Fault::Dimensions => Reason::PortraitDimensions,
        };
        Self::new(FIELD, reason)
    }
}

/// Reads a portrait from base64 (RFC 4648 §4, with padding) of a JPEG picture: baseline or progressive, 8 bits a sample, grey or
/// YCbCr.
pub fn read_portrait(base64: &str) -> Result<Portrait, PartError> {
    let octets = decode_base64(base64, MAX_PORTRAIT).map_err(|error| match error {
        Base64Error::TooLong => PartError::new(FIELD, Reason::PortraitSize),
        Base64Error::Malformed => PartError::new(FIELD, Reason::PortraitEncoding),
    })?;
    let mut octets = octets;
    strip(&mut octets)?;
    prove_readable(&octets)?;
    Ok(Portrait::from_zeroizing(octets))
}

/// Why text is no base64 of at most so many octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base64Error {
    TooLong,
    Malformed,
}

/// Decodes into one buffer of the right size.
pub(crate) fn decode_base64(text: &str, longest: usize) -> Result<Zeroizing<Vec<u8>>, Base64Error> {
    if text.len() > longest.div_ceil(3) * 4 {
        return Err(Base64Error::TooLong);
    }
    let mut octets = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let length = STANDARD.decode_slice(text, octets.as_mut_slice()).map_err(|_| Base64Error::Malformed)?;
    if length > longest {
        return Err(Base64Error::TooLong);
    }
    octets.truncate(length);
    Ok(octets)
}

/// Markers of ITU-T T.81 table B.1.
mod marker {
    pub(super) const SOF0: u8 = 0xc0;
    pub(super) const SOF1: u8 = 0xc1;
    pub(super) const SOF2: u8 = 0xc2;
    pub(super) const DHT: u8 = 0xc4;
    pub(super) const RST0: u8 = 0xd0;
    pub(super) const RST7: u8 = 0xd7;
    pub(super) const SOI: u8 = 0xd8;
    pub(super) const EOI: u8 = 0xd9;
    pub(super) const SOS: u8 = 0xda;
    pub(super) const DQT: u8 = 0xdb;
    pub(super) const DRI: u8 = 0xdd;
    pub(super) const APP0: u8 = 0xe0;
    pub(super) const APP14: u8 = 0xee;
    pub(super) const APP15: u8 = 0xef;
    pub(super) const COM: u8 = 0xfe;
}

/// Cuts out, in place, everything that is not the picture, and wipes what is left behind it.
fn strip(octets: &mut Vec<u8>) -> Result<(), Fault> {
    if octets.get(..2) != Some(&[0xff, marker::SOI]) {
        return Err(Fault::Encoding);
    }
    let (mut read, mut written) = (2, 2);
    let mut keep = |octets: &mut [u8], from: usize, to: usize| {
        octets.copy_within(from..to, written);
        written += to - from;
    };
    let (mut frame, mut scans) = (false, 0);
    loop {
        let (kind, body) = segment(octets, read)?;
        let end = body.end;
        match kind {
            marker::EOI => {
                keep(octets, read, end);
                break;
            }
            marker::SOF0 | marker::SOF1 | marker::SOF2 => {
                if std::mem::replace(&mut frame, true) {
                    return Err(Fault::Encoding);
                }
                check_frame(&octets[body])?;
                keep(octets, read, end);
            }
            marker::DHT | marker::DQT | marker::DRI => keep(octets, read, end),
            marker::SOS => {
                scans += 1;
                if !frame || scans > MAX_SCANS {
                    return Err(Fault::Encoding);
                }
                let end = scan_end(octets, end)?;
                keep(octets, read, end);
                read = end;
                continue;
            }
            marker::APP14 if is_rgb(&octets[body]) => return Err(Fault::Encoding),
            marker::APP0..=marker::APP15 | marker::COM => {}
            // Arithmetic coding, lossless and hierarchical frames, and what no file holds.
            _ => return Err(Fault::Encoding),
        }
        read = end;
    }
    if scans == 0 {
        return Err(Fault::Encoding);
    }
    octets[written..].zeroize();
    octets.truncate(written);
    Ok(())
}

/// The marker at `at`, and where the content of its segment lies; the segment ends where the content does.
fn segment(octets: &[u8], at: usize) -> Result<(u8, std::ops::Range<usize>), Fault> {
    let (0xff, kind) = (*octets.get(at).ok_or(Fault::Encoding)?, *octets.get(at + 1).ok_or(Fault::Encoding)?) else {
        return Err(Fault::Encoding);
    };
    if kind == marker::EOI {
        return Ok((kind, at + 2..at + 2));
    }
    let length = octets.get(at + 2..at + 4).ok_or(Fault::Encoding)?;
    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
    let end = at + 2 + length;
    if length < 2 || end > octets.len() {
        return Err(Fault::Encoding);
    }
    Ok((kind, at + 4..end))
}

/// Where the entropy-coded data of a scan end: at the next marker that is no restart.
fn scan_end(octets: &[u8], from: usize) -> Result<usize, Fault> {
    let mut at = from;
    loop {
        let rest = octets.get(at..).ok_or(Fault::Encoding)?;
        at += rest.iter().position(|octet| *octet == 0xff).ok_or(Fault::Encoding)?;
        match octets.get(at + 1) {
            Some(0x00 | marker::RST0..=marker::RST7) => at += 2,
            Some(_) => return Ok(at),
            None => return Err(Fault::Encoding),
        }
    }
}

/// The frame header (T.81 B.2.2): precision, height, width, components.
fn check_frame(header: &[u8]) -> Result<(), Fault> {
    let [8, h1, h0, w1, w0, count, components @ ..] = header else { return Err(Fault::Encoding) };
    let grey_or_ycc = matches!(count, 1 | 3) && components.len() == usize::from(*count) * 3;
    let ids: Vec<u8> = components.iter().step_by(3).copied().collect();
    if !grey_or_ycc || ids == *b"RGB" {
        return Err(Fault::Encoding);
    }
    let (height, width) = (u16::from_be_bytes([*h1, *h0]), u16::from_be_bytes([*w1, *w0]));
    let shape = SIDE.contains(&height)
        && SIDE.contains(&width)
        && u32::from(height) * u32::from(width) <= MAX_PIXELS
        && height <= width * MAX_ASPECT
        && width <= height * MAX_ASPECT;
    if shape { Ok(()) } else { Err(Fault::Dimensions) }
}

/// Whether an Adobe segment says that the components are not YCbCr.
fn is_rgb(content: &[u8]) -> bool {
    content.len() >= 12 && content.starts_with(b"Adobe") && content[11] != 1
}

/// Decodes the whole picture and forgets it.
fn prove_readable(octets: &[u8]) -> Result<(), Fault> {
    let options = DecoderOptions::new_safe()
        .set_strict_mode(true)
        .set_max_width(usize::from(*SIDE.end()))
        .set_max_height(usize::from(*SIDE.end()))
        .jpeg_set_max_scans(MAX_SCANS as usize)
        .jpeg_set_out_colorspace(ColorSpace::Luma);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(octets), options);
    decoder.decode_headers().map_err(|_| Fault::Encoding)?;
    let size = decoder.output_buffer_size().ok_or(Fault::Encoding)?;
    let mut pixels = Zeroizing::new(vec![0; size]);
    decoder.decode_into(&mut pixels).map_err(|_| Fault::Encoding)
}

#[cfg(test)]
#[path = "portrait/tests.rs"]
mod tests;
