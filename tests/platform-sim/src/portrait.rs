//! Portraits of the invented holders, and how the platform compares one with another.
//!
//! A picture is drawn from its holder's number: soft fields of light behind a face-like oval, the same every time and unlike
//! anybody else's. The platform compares what it is sent with what it has by a difference hash of 64 bits: a picture that was
//! encoded again differs in a few, another person's in about half.

use jpeg_encoder::{ColorType, Encoder};

use crate::registry::Holder;

/// Bits in which two pictures of one person may differ.
pub const THRESHOLD: u32 = 10;
/// Lightness between which a picture must spread to show anything.
const SPREAD: u8 = 16;
const COLUMNS: usize = 9;
const ROWS: usize = 8;

/// Fowler, Noll and Vo's hash, for a start that is the same on every machine.
fn seed(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3))
}

fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// Grey values, row by row.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // small picture coordinates
fn draw(number: &str, width: u16, height: u16, noise: u8) -> Vec<u8> {
    let mut state = seed(number);
    let grid: Vec<f32> = (0..COLUMNS * ROWS).map(|_| 40.0 + (next(&mut state) % 176) as f32).collect();
    let (w, h) = (f32::from(width), f32::from(height));
    let mut out = Vec::with_capacity(usize::from(width) * usize::from(height));
    for y in 0..height {
        for x in 0..width {
            // Between the centres of four cells of the grid.
            let gx = ((f32::from(x) + 0.5) / w * COLUMNS as f32 - 0.5).clamp(0.0, (COLUMNS - 1) as f32);
            let gy = ((f32::from(y) + 0.5) / h * ROWS as f32 - 0.5).clamp(0.0, (ROWS - 1) as f32);
            let (cx, cy) = ((gx as usize).min(COLUMNS - 2), (gy as usize).min(ROWS - 2));
            let (fx, fy) = (gx - cx as f32, gy - cy as f32);
            let at = |column: usize, row: usize| grid[row * COLUMNS + column];
            let above = at(cx, cy) * (1.0 - fx) + at(cx + 1, cy) * fx;
            let below = at(cx, cy + 1) * (1.0 - fx) + at(cx + 1, cy + 1) * fx;
            let (dx, dy) = ((f32::from(x) / w - 0.5) / 0.32, (f32::from(y) / h - 0.5) / 0.4);
            let face = if dx * dx + dy * dy < 1.0 { 12.0 } else { 0.0 };
            let grain = if noise == 0 { 0.0 } else { (next(&mut state) % u64::from(noise)) as f32 };
            out.push((above * (1.0 - fy) + below * fy + face + grain).clamp(0.0, 255.0) as u8);
        }
    }
    out
}

fn encode(pixels: &[u8], width: u16, height: u16, quality: u8) -> Vec<u8> {
    let mut out = Vec::new();
    // Fails only on sizes that do not fit, and these do.
    let _ = Encoder::new(&mut out, quality).encode(pixels, width, height, ColorType::Luma);
    out
}

/// A holder's portrait as the register has it: JPEG, 240 by 320.
pub fn portrait(holder: &Holder) -> Vec<u8> {
    encode(&draw(&holder.number, 240, 320, 6), 240, 320, 90)
}

/// The same person, photographed larger, compressed harder, and with EXIF that tells where.
pub fn reencoded(holder: &Holder) -> Vec<u8> {
    let picture = encode(&draw(&holder.number, 300, 400, 3), 300, 400, 55);
    let exif = b"Exif\0\0MM\0*\0\0\0\x08\0\0GPSLatitude 39.9042N GPSLongitude 116.4074E";
    let length = u16::try_from(exif.len() + 2).unwrap_or_default().to_be_bytes();
    [&picture[..2], &[0xff, 0xe1], &length, exif, &picture[2..]].concat()
}

/// The same person in a picture of almost so many octets: real pixels, not padding.
pub fn of_size(holder: &Holder, octets: usize) -> Vec<u8> {
    let (width, height) = (1280, 1600);
    let pixels = draw(&holder.number, width, height, 48);
    let (mut low, mut high) = (1_u8, 100_u8);
    let mut best = encode(&pixels, width, height, low);
    while low <= high {
        let middle = low.midpoint(high);
        let picture = encode(&pixels, width, height, middle);
        if picture.len() <= octets {
            best = picture;
            low = middle + 1;
        } else {
            high = middle - 1;
        }
    }
    best
}

/// The difference hash of a JPEG picture; none when it cannot be decoded or shows nothing.
pub fn hash(jpeg: &[u8]) -> Option<u64> {
    let mut decoder = jpeg_decoder::Decoder::new(jpeg);
    let pixels = decoder.decode().ok()?;
    let info = decoder.info()?;
    let channels = info.pixel_format.pixel_bytes();
    if !matches!(channels, 1 | 3) {
        return None;
    }
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    let mean = |column: usize, row: usize| -> Option<u64> {
        let (x0, x1) = (column * width / COLUMNS, (column + 1) * width / COLUMNS);
        let (y0, y1) = (row * height / ROWS, (row + 1) * height / ROWS);
        let mut sum = 0;
        for y in y0..y1 {
            let line = pixels.get((y * width + x0) * channels..(y * width + x1) * channels)?;
            sum += line.iter().map(|value| u64::from(*value)).sum::<u64>();
        }
        let count = ((x1 - x0) * (y1 - y0) * channels) as u64;
        // In 256ths, so that small differences do not round away.
        (sum * 256).checked_div(count)
    };
    let mut cells = Vec::with_capacity(COLUMNS * ROWS);
    for row in 0..ROWS {
        for column in 0..COLUMNS {
            cells.push(mean(column, row)?);
        }
    }
    let (low, high) = (cells.iter().min()?, cells.iter().max()?);
    if high - low < u64::from(SPREAD) * 256 {
        return None;
    }
    let bits = cells.chunks(COLUMNS).flat_map(|row| row.windows(2)).map(|pair| u64::from(pair[0] > pair[1]));
    Some(bits.fold(0, |hash, bit| hash << 1 | bit))
}

/// Whether two hashes are of one person.
pub fn same(one: u64, other: u64) -> bool {
    (one ^ other).count_ones() <= THRESHOLD
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::registry::seeded;

    #[test]
    fn every_holder_is_known_again_and_taken_for_nobody_else() {
        let holders = seeded(crate::DEFAULT_SEED);
        let hashes: Vec<u64> = holders.iter().map(|holder| hash(&portrait(holder)).unwrap()).collect();
        for (index, holder) in holders.iter().enumerate() {
            let again = hash(&reencoded(holder)).unwrap();
            assert!(same(again, hashes[index]), "{} bits", (again ^ hashes[index]).count_ones());
            for (other, hash) in hashes.iter().enumerate() {
                assert!(other == index || !same(*hash, hashes[index]), "{index} and {other}");
            }
        }
    }

    #[test]
    fn a_large_picture_is_of_the_same_person_and_nearly_of_the_size() {
        let holder = &seeded(crate::DEFAULT_SEED)[0];
        let large = of_size(holder, 1 << 20);
        assert!((900 * 1024..=1 << 20).contains(&large.len()), "{}", large.len());
        assert!(same(hash(&large).unwrap(), hash(&portrait(holder)).unwrap()));
    }

    #[test]
    fn what_shows_nothing_has_no_hash() {
        assert_eq!(hash(&encode(&[128; 64 * 64], 64, 64, 90)), None);
        assert_eq!(hash(b"\xff\xd8\xff\xd9"), None);
        assert_eq!(hash(b""), None);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_octets_never_panic(octets: Vec<u8>) {
            let _ = hash(&octets);
            let _ = hash(&[&[0xff, 0xd8][..], &octets].concat());
        }
    }
}
