//! SM3's compression function for sixteen messages at once, with AVX-512: a word of each message in the lanes of a vector.

#![allow(unsafe_code)]

use core::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_loadu_si512, _mm512_rol_epi32, _mm512_set1_epi32, _mm512_set4_epi32,
    _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_shuffle_i32x4, _mm512_storeu_si512, _mm512_ternarylogic_epi32,
    _mm512_unpackhi_epi32, _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64, _mm512_xor_si512,
};

use super::Ifma;
use crate::sm3_many::{Block, LANES, States};

/// The round's constant, rotated left by its number (GB/T 32905-2016 §4.2).
const CONSTANTS: [u32; 64] = {
    let mut constants = [0; 64];
    let (mut round, mut turn) = (0, 0);
    while round < 64 {
        let constant: u32 = if round < 16 { 0x79cc_4519 } else { 0x7a87_9d8a };
        constants[round] = constant.rotate_left(turn);
        (round, turn) = (round + 1, turn + 1);
    }
    constants
};

// Truth tables of three operands.
const XOR: i32 = 0x96;
const MAJORITY: i32 = 0xe8;
const CHOOSE: i32 = 0xca;

impl Ifma {
    /// Takes blocks of each message into its state: as many as the message that has fewest.
    // The value is the proof that the unsafe call needs.
    #[allow(clippy::unused_self)]
    pub(crate) fn sm3_compress(self, states: &mut States, blocks: &[&[Block]; LANES]) {
        // SAFETY: `Ifma` exists only where the instructions do.
        unsafe { compress(states, blocks) }
    }
}

macro_rules! avx512 {
    ($($(#[$meta:meta])* fn $name:ident($($args:tt)*) $(-> $result:ty)? $body:block)*) => {
        $(
            $(#[$meta])*
            #[inline]
            #[target_feature(enable = "avx512f,avx512bw")]
            fn $name($($args)*) $(-> $result)? $body
        )*
    };
}

/// One round on the words named, which take each other's places afterwards.
macro_rules! round {
    ($w:ident, $j:expr, $ff:expr, $gg:expr, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
        let a12 = _mm512_rol_epi32::<12>($a);
        let constant = _mm512_set1_epi32(CONSTANTS[$j].cast_signed());
        let ss1 = _mm512_rol_epi32::<7>(add(add(a12, $e), constant));
        let tt1 = _mm512_ternarylogic_epi32::<{ $ff }>($a, $b, $c);
        let tt1 = add(add(tt1, $d), add(_mm512_xor_si512(ss1, a12), _mm512_xor_si512($w[$j], $w[$j + 4])));
        let tt2 = _mm512_ternarylogic_epi32::<{ $gg }>($e, $f, $g);
        let tt2 = add(add(tt2, $h), add(ss1, $w[$j]));
        $b = _mm512_rol_epi32::<9>($b);
        $d = tt1;
        $f = _mm512_rol_epi32::<19>($f);
        $h = p0(tt2);
    };
}

macro_rules! four_rounds {
    ($w:ident, $j:expr, $ff:expr, $gg:expr, $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => {
        round!($w, $j, $ff, $gg, $a $b $c $d $e $f $g $h);
        round!($w, $j + 1, $ff, $gg, $d $a $b $c $h $e $f $g);
        round!($w, $j + 2, $ff, $gg, $c $d $a $b $g $h $e $f);
        round!($w, $j + 3, $ff, $gg, $b $c $d $a $f $g $h $e);
    };
}

avx512! {
    fn add(a: __m512i, b: __m512i) -> __m512i {
        _mm512_add_epi32(a, b)
    }

    fn xor3(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
        _mm512_ternarylogic_epi32::<XOR>(a, b, c)
    }

    fn p0(x: __m512i) -> __m512i {
        xor3(x, _mm512_rol_epi32::<9>(x), _mm512_rol_epi32::<17>(x))
    }

    fn p1(x: __m512i) -> __m512i {
        xor3(x, _mm512_rol_epi32::<15>(x), _mm512_rol_epi32::<23>(x))
    }

    /// Word i of every block, for each i: the blocks' words transposed, as numbers.
    fn words(blocks: &[&Block; LANES]) -> [__m512i; 16] {
        // Big-endian words to little-endian ones.
        let order = _mm512_set4_epi32(0x0c0d_0e0f, 0x0809_0a0b, 0x0405_0607, 0x0001_0203);
        let mut r = [_mm512_setzero_si512(); LANES];
        for (row, block) in r.iter_mut().zip(blocks) {
            // SAFETY: a block is 64 octets that may be read.
            *row = _mm512_shuffle_epi8(unsafe { _mm512_loadu_si512(block.as_ptr().cast()) }, order);
        }
        // Pairs of rows, then fours: within each quarter of 128 bits, word i of four rows together.
        let mut quads = [_mm512_setzero_si512(); LANES];
        for (rows, out) in r.chunks_exact(4).zip(quads.chunks_exact_mut(4)) {
            let (l0, h0) = (_mm512_unpacklo_epi32(rows[0], rows[1]), _mm512_unpackhi_epi32(rows[0], rows[1]));
            let (l1, h1) = (_mm512_unpacklo_epi32(rows[2], rows[3]), _mm512_unpackhi_epi32(rows[2], rows[3]));
            out[0] = _mm512_unpacklo_epi64(l0, l1);
            out[1] = _mm512_unpackhi_epi64(l0, l1);
            out[2] = _mm512_unpacklo_epi64(h0, h1);
            out[3] = _mm512_unpackhi_epi64(h0, h1);
        }
        // The quarters of four such vectors: word 4·quarter + i of all rows.
        let mut words = [_mm512_setzero_si512(); 16];
        for i in 0..4 {
            let even0 = _mm512_shuffle_i32x4::<0x88>(quads[i], quads[4 + i]);
            let odd0 = _mm512_shuffle_i32x4::<0xdd>(quads[i], quads[4 + i]);
            let even1 = _mm512_shuffle_i32x4::<0x88>(quads[8 + i], quads[12 + i]);
            let odd1 = _mm512_shuffle_i32x4::<0xdd>(quads[8 + i], quads[12 + i]);
            words[i] = _mm512_shuffle_i32x4::<0x88>(even0, even1);
            words[4 + i] = _mm512_shuffle_i32x4::<0x88>(odd0, odd1);
            words[8 + i] = _mm512_shuffle_i32x4::<0xdd>(even0, even1);
            words[12 + i] = _mm512_shuffle_i32x4::<0xdd>(odd0, odd1);
        }
        words
    }

    /// Words `from` to `from` + 3 (GB/T 32905-2016 §5.3.2).
    fn expand(w: &mut [__m512i; 68], from: usize) {
        for j in from..from + 4 {
            let mixed = p1(xor3(w[j - 16], w[j - 9], _mm512_rol_epi32::<15>(w[j - 3])));
            w[j] = xor3(mixed, _mm512_rol_epi32::<7>(w[j - 13]), w[j - 6]);
        }
    }

    /// GB/T 32905-2016 §5.3.3, block after block.
    fn compress(states: &mut States, blocks: &[&[Block]; LANES]) {
        let mut v = [_mm512_setzero_si512(); 8];
        for (vector, words) in v.iter_mut().zip(&states.0) {
            // SAFETY: sixteen words of four octets that may be read.
            *vector = unsafe { _mm512_loadu_si512(words.as_ptr().cast()) };
        }
        let mut w = [_mm512_setzero_si512(); 68];
        let count = blocks.iter().map(|blocks| blocks.len()).min().unwrap_or(0);
        for block in 0..count {
            w[..16].copy_from_slice(&words(&blocks.map(|blocks| &blocks[block])));
            let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = v;
            // Rounds wait for each other; words are made in between.
            for j in (0..16).step_by(4) {
                expand(&mut w, j + 16);
                four_rounds!(w, j, XOR, XOR, a b c d e f g h);
            }
            for j in (16..52).step_by(4) {
                expand(&mut w, j + 16);
                four_rounds!(w, j, MAJORITY, CHOOSE, a b c d e f g h);
            }
            for j in (52..64).step_by(4) {
                four_rounds!(w, j, MAJORITY, CHOOSE, a b c d e f g h);
            }
            for (old, new) in v.iter_mut().zip([a, b, c, d, e, f, g, h]) {
                *old = _mm512_xor_si512(*old, new);
            }
        }
        for (words, vector) in states.0.iter_mut().zip(v) {
            // SAFETY: sixteen words of four octets that may be written.
            unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) };
        }
    }
}
