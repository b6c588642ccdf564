//! One field element at a time with BMI2 and ADX: MULX keeps the flags, ADCX and ADOX carry in two chains.

#![allow(unsafe_code)]

use core::arch::asm;

use crate::field::{Fe, Multiply, P};

/// Usable only where [`super::has_adx`] says so: `Backend` sees to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Adx;

/// Folds the lowest limb m = `t0` away: adds m·p, and what is left of `t0` is 0. m·p = m·2²⁵⁶ − m·2²²⁴ − m·2⁹⁶ + m·2⁶⁴ − m. Afterwards
/// `t0` takes the carry above `t5`'s place (it must have been 0 there).
macro_rules! fold {
    ($t0:literal, $t1:literal, $t2:literal, $t3:literal, $t4:literal, $t5:literal) => {
        concat!(
            "mov {low}, ",
            $t0,
            "\n",
            "mov {high}, ",
            $t0,
            "\n",
            "shl {low}, 32\n",
            "shr {high}, 32\n",
            "add ",
            $t1,
            ", ",
            $t0,
            "\n",
            "adc ",
            $t2,
            ", 0\n",
            "adc ",
            $t3,
            ", 0\n",
            "adc ",
            $t4,
            ", ",
            $t0,
            "\n",
            "adc ",
            $t5,
            ", 0\n",
            "sub ",
            $t1,
            ", {low}\n",
            "sbb ",
            $t2,
            ", {high}\n",
            "sbb ",
            $t3,
            ", {low}\n",
            "sbb ",
            $t4,
            ", {high}\n",
            "sbb ",
            $t5,
            ", 0\n",
        )
    };
}

/// Adds a·b[i] to `t0`…`t4`, whose sum fits five limbs, and clears `t5`.
macro_rules! row {
    ($offset:literal, $t0:literal, $t1:literal, $t2:literal, $t3:literal, $t4:literal, $t5:literal) => {
        concat!(
            "mov rdx, [{b} + ",
            $offset,
            "]\n",
            "xor ",
            $t5,
            ", ",
            $t5,
            "\n",
            "mulx {high}, {low}, [{a}]\n",
            "adcx ",
            $t0,
            ", {low}\n",
            "adox ",
            $t1,
            ", {high}\n",
            "mulx {high}, {low}, [{a} + 8]\n",
            "adcx ",
            $t1,
            ", {low}\n",
            "adox ",
            $t2,
            ", {high}\n",
            "mulx {high}, {low}, [{a} + 16]\n",
            "adcx ",
            $t2,
            ", {low}\n",
            "adox ",
            $t3,
            ", {high}\n",
            "mulx {high}, {low}, [{a} + 24]\n",
            "adcx ",
            $t3,
            ", {low}\n",
            "adox ",
            $t4,
            ", {high}\n",
            "adcx ",
            $t4,
            ", ",
            $t5,
            "\n",
        )
    };
}

/// Subtracts p from the five limbs `t0`…`t4` unless that goes below zero.
macro_rules! reduce {
    ($t0:literal, $t1:literal, $t2:literal, $t3:literal, $t4:literal, $s3:literal) => {
        concat!(
            "mov {low}, ",
            $t0,
            "\n",
            "mov {high}, ",
            $t1,
            "\n",
            "mov rdx, ",
            $t2,
            "\n",
            "mov ",
            $s3,
            ", ",
            $t3,
            "\n",
            "sub {low}, -1\n",
            "sbb {high}, {p1}\n",
            "sbb rdx, -1\n",
            "sbb ",
            $s3,
            ", {p3}\n",
            "sbb ",
            $t4,
            ", 0\n",
            "cmovnc ",
            $t0,
            ", {low}\n",
            "cmovnc ",
            $t1,
            ", {high}\n",
            "cmovnc ",
            $t2,
            ", rdx\n",
            "cmovnc ",
            $t3,
            ", ",
            $s3,
            "\n",
        )
    };
}

impl Multiply for Adx {
    #[inline(always)]
    fn mul(a: &Fe, b: &Fe) -> Fe {
        let (r0, r1, r2, r3): (u64, u64, u64, u64);
        // SAFETY: reads 32 octets behind each of two references, writes registers only, and the instructions exist where this type is
        // used at all.
        unsafe {
            asm!(
                // The first row has nothing to add to.
                "mov rdx, [{b}]",
                "mulx r9, r8, [{a}]",
                "mulx r10, {low}, [{a} + 8]",
                "add r9, {low}",
                "mulx r11, {low}, [{a} + 16]",
                "adc r10, {low}",
                "mulx r12, {low}, [{a} + 24]",
                "adc r11, {low}",
                "adc r12, 0",
                "xor r13d, r13d",
                fold!("r8", "r9", "r10", "r11", "r12", "r13"),
                row!("8", "r9", "r10", "r11", "r12", "r13", "r8"),
                fold!("r9", "r10", "r11", "r12", "r13", "r8"),
                row!("16", "r10", "r11", "r12", "r13", "r8", "r9"),
                fold!("r10", "r11", "r12", "r13", "r8", "r9"),
                row!("24", "r11", "r12", "r13", "r8", "r9", "r10"),
                fold!("r11", "r12", "r13", "r8", "r9", "r10"),
                reduce!("r12", "r13", "r8", "r9", "r10", "r11"),
                a = in(reg) a.0.as_ptr(),
                b = in(reg) b.0.as_ptr(),
                low = out(reg) _,
                high = out(reg) _,
                p1 = in(reg) P[1],
                p3 = in(reg) P[3],
                out("rdx") _,
                out("r8") r2,
                out("r9") r3,
                out("r10") _,
                out("r11") _,
                out("r12") r0,
                out("r13") r1,
                options(pure, readonly, nostack),
            );
        }
        Fe([r0, r1, r2, r3])
    }

    #[inline(always)]
    fn sqr(a: &Fe) -> Fe {
        Self::mul(a, a)
    }
}
