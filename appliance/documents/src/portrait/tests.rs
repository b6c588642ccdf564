#![allow(clippy::unwrap_used)]

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use proptest::prelude::*;

use super::*;

/// A picture with smooth and busy parts.
fn pixels(width: u16, height: u16, channels: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut out = Vec::with_capacity(usize::from(width) * usize::from(height) * channels);
    for y in 0..height {
        for x in 0..width {
            for channel in 0..channels {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = if x > width / 2 { state >> 27 } else { 0 };
                let value = u32::from(x) * 3 + u32::from(y) * 2 + u32::try_from(channel).unwrap() * 40 + noise;
                out.push(u8::try_from(value % 256).unwrap());
            }
        }
    }
    out
}

fn encoded(width: u16, height: u16, colour: ColorType, adjust: impl FnOnce(&mut Encoder<&mut Vec<u8>>)) -> Vec<u8> {
    let channels = if colour == ColorType::Luma { 1 } else { 3 };
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, 85);
    adjust(&mut encoder);
    encoder.encode(&pixels(width, height, channels), width, height, colour).unwrap();
    out
}

fn baseline() -> Vec<u8> {
    encoded(120, 160, ColorType::Rgb, |_| {})
}

fn progressive() -> Vec<u8> {
    encoded(120, 160, ColorType::Rgb, |encoder| encoder.set_progressive(true))
}

/// A segment behind SOI.
fn with_segment(picture: &[u8], kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
    [&picture[..2], &[0xff, kind], &length, content, &picture[2..]].concat()
}

fn decoded(picture: &[u8]) -> Vec<u8> {
    JpegDecoder::new(ZCursor::new(picture)).decode().unwrap()
}

fn read(picture: &[u8]) -> Result<Portrait, Reason> {
    read_portrait(&STANDARD.encode(picture)).map_err(|error| {
        assert_eq!(error.field, "portrait");
        error.reason
    })
}

#[track_caller]
fn assert_refused(picture: &[u8], reason: Reason) {
    assert_eq!(read(picture).expect_err("must be refused"), reason);
}

#[test]
fn pictures_of_every_accepted_kind_keep_their_pixels() {
    let kinds = [
        baseline(),
        progressive(),
        encoded(120, 160, ColorType::Luma, |_| {}),
        encoded(160, 120, ColorType::Rgb, |encoder| encoder.set_sampling_factor(SamplingFactor::R_4_2_0)),
        encoded(121, 163, ColorType::Rgb, |encoder| encoder.set_restart_interval(4)),
    ];
    for picture in &kinds {
        let kept = read(picture).unwrap();
        assert!(kept.expose().len() <= picture.len());
        assert!(decoded(kept.expose()) == decoded(picture));
    }
}

#[test]
fn what_is_beside_the_picture_does_not_come_through() {
    for plain in [baseline(), progressive()] {
        let mut picture = plain.clone();
        for (kind, content) in [
            (0xe1, &b"Exif\0\0GPS 39.9042N 116.4074E"[..]),
            (0xe1, b"http://ns.adobe.com/xap/1.0/\0SECRET"),
            (0xe2, b"ICC_PROFILE\0SECRET"),
            (0xed, b"Photoshop 3.0\0SECRET"),
            (0xee, b"Adobe\0\x64\0\0\0\0\x01"),
            (0xfe, b"SECRET comment"),
        ] {
            picture = with_segment(&picture, kind, content);
        }
        picture.extend_from_slice(b"SECRET behind the end \xff\xd9");
        let kept = read(&picture).unwrap();
        for secret in [&b"SECRET"[..], b"GPS", b"116.4074E", b"Exif", b"Adobe"] {
            assert!(!kept.expose().windows(secret.len()).any(|window| window == secret));
        }
        assert!(decoded(kept.expose()) == decoded(&plain));
        assert_eq!(kept.expose(), read(&plain).unwrap().expose());
    }
}

#[test]
fn dimensions_are_judged_before_a_pixel_is_allocated() {
    for (width, height) in [(63, 64), (64, 63), (64, 129), (129, 64)] {
        assert_refused(&encoded(width, height, ColorType::Rgb, |_| {}), Reason::PortraitDimensions);
    }
    for (width, height) in [(64, 64), (64, 128), (128, 64)] {
        assert!(read(&encoded(width, height, ColorType::Rgb, |_| {})).is_ok());
    }
    // The header says more than there is: nothing of that size may be allocated.
    let picture = baseline();
    let frame = picture.windows(2).position(|window| window == [0xff, 0xc0]).unwrap();
    for (height, width) in [(0xffff_u16, 0xffff_u16), (4096, 4096), (2049, 2048), (0, 120)] {
        let mut bomb = picture.clone();
        bomb[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
        bomb[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
        assert_refused(&bomb, Reason::PortraitDimensions);
    }
}

#[test]
fn what_is_no_picture_of_the_kind_is_refused() {
    let picture = baseline();
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    let cmyk = encoded_cmyk();
    let rgb = with_segment(&picture, 0xee, b"Adobe\0\x64\0\0\0\0\0");
    let frame = picture.windows(2).position(|window| window == [0xff, 0xc0]).unwrap();
    let other_frame = |kind: u8| {
        let mut other = picture.clone();
        other[frame + 1] = kind;
        other
    };
    let twelve_bits = {
        let mut other = picture.clone();
        other[frame + 4] = 12;
        other
    };
    let many_scans = {
        let scans = progressive();
        let first = scans.windows(2).position(|window| window == [0xff, 0xda]).unwrap();
        let length = scan_end(&scans, first + 2 + usize::from(scans[first + 3])).unwrap() - first;
        [&scans[..first], &scans[first..first + length].repeat(40), &scans[first + length..]].concat()
    };
    let all =
        [Vec::new(), png, cmyk, rgb, other_frame(0xc3), other_frame(0xc9), twelve_bits, many_scans, vec![0xff; 300]];
    for other in &all {
        assert_refused(other, Reason::PortraitEncoding);
    }
}

fn encoded_cmyk() -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::new(&mut out, 85).encode(&pixels(64, 64, 4), 64, 64, ColorType::Cmyk).unwrap();
    out
}

#[test]
fn a_picture_without_its_end_is_refused() {
    for picture in [baseline(), progressive()] {
        for length in (0..picture.len()).step_by(97) {
            assert_refused(&picture[..length], Reason::PortraitEncoding);
        }
    }
}

#[test]
fn only_strict_base64_within_the_limit_is_taken() {
    let text = STANDARD.encode(baseline());
    for bad in
        [text.replace('/', "_"), format!(" {text}"), format!("{text}\n"), text.trim_end_matches('=').to_owned() + "A"]
    {
        assert!(read_portrait(&bad).is_err());
    }
    let large = STANDARD.encode(vec![0; MAX_PORTRAIT + 1]);
    assert_eq!(read_portrait(&large).unwrap_err().reason, Reason::PortraitSize);
    // Metadata counts: what is sent has a limit, not what is left of it.
    let mut padded = baseline();
    while padded.len() <= MAX_PORTRAIT {
        padded = with_segment(&padded, 0xfe, &vec![b'x'; 60_000]);
    }
    assert_eq!(read(&padded).unwrap_err(), Reason::PortraitSize);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn arbitrary_octets_never_panic(octets: Vec<u8>, text: String) {
        let _ = read(&octets);
        let _ = read(&[&[0xff, 0xd8][..], &octets].concat());
        let _ = read_portrait(&text);
    }

    #[test]
    fn altered_pictures_are_read_or_refused_and_come_out_without_metadata(
        progressive_one: bool, place: prop::sample::Index, value: u8, more: prop::sample::Index, another: u8,
    ) {
        let mut picture = if progressive_one { progressive() } else { baseline() };
        let length = picture.len();
        picture[place.index(length)] = value;
        picture[more.index(length)] ^= another;
        if let Ok(kept) = read(&picture) {
            let again = read(kept.expose()).unwrap();
            prop_assert_eq!(again.expose(), kept.expose());
        }
    }
}
