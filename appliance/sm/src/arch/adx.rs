//! One field element at a time with BMI2 and ADX: MULX keeps the flags, ADCX and ADOX carry in two chains.

#![allow(unsafe_code)]

use core::arch::asm;

use crate::field::{Fe, Multiply, P};

/// Usable only where [`super::has_adx`] says so: `Backend` sees to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Adx;

/// Lines of assembly, each ended.
macro_rules! lines {
    ($($line:literal)*) => {
        concat!($($line, "\n"),*)
    };
}

/// Adds a·b[i] to the product: `t0`…`t3` hold what is there, `t4` takes the new highest limb.
macro_rules! row {
    ($offset:literal, $t0:literal, $t1:literal, $t2:literal, $t3:literal, $t4:literal) => {
        concat!(
            "mov rdx, [{b} + ",
            $offset,
            "]\n",
            "xor ",
            $t4,
            ", ",
            $t4,
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
            "adc ",
            $t4,
            ", 0\n",
        )
    };
}

/// Adds m·p to the four limbs from m = `t0` up, where m·p = m·2²⁵⁶ − m·2²²⁴ − m·2⁹⁶ + m·2⁶⁴ − m: the lowest limb becomes 0, and `t0` takes
/// the limb above `t3`. The sum fits the four limbs then; what wraps around on the way wraps back.
macro_rules! fold {
    ($t0:literal, $t1:literal, $t2:literal, $t3:literal) => {
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
            $t0,
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
            $t0,
            ", {high}\n",
        )
    };
}

/// From a product in r8 … r15 to its Montgomery reduction in r8 … r11. The sum of the folded low half and the high half is below 2p, so p is
/// subtracted at most once.
macro_rules! reduce {
    () => {
        concat!(
            fold!("r8", "r9", "r10", "r11"),
            fold!("r9", "r10", "r11", "r8"),
            fold!("r10", "r11", "r8", "r9"),
            fold!("r11", "r8", "r9", "r10"),
            lines!(
                "add r8, r12"
                "adc r9, r13"
                "adc r10, r14"
                "adc r11, r15"
                "mov edx, 0"
                "adc rdx, 0"
                "mov r12, r8"
                "mov r13, r9"
                "mov r14, r10"
                "mov r15, r11"
                "mov {low}, {p1}"
                "mov {high}, {p3}"
                "sub r12, -1"
                "sbb r13, {low}"
                "sbb r14, -1"
                "sbb r15, {high}"
                "sbb rdx, 0"
                "cmovnc r8, r12"
                "cmovnc r9, r13"
                "cmovnc r10, r14"
                "cmovnc r11, r15"
            )
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
                lines!(
                    "mov rdx, [{b}]"
                    "mulx r9, r8, [{a}]"
                    "mulx r10, {low}, [{a} + 8]"
                    "add r9, {low}"
                    "mulx r11, {low}, [{a} + 16]"
                    "adc r10, {low}"
                    "mulx r12, {low}, [{a} + 24]"
                    "adc r11, {low}"
                    "adc r12, 0"
                ),
                row!("8", "r9", "r10", "r11", "r12", "r13"),
                row!("16", "r10", "r11", "r12", "r13", "r14"),
                row!("24", "r11", "r12", "r13", "r14", "r15"),
                reduce!(),
                a = in(reg) a.0.as_ptr(),
                b = in(reg) b.0.as_ptr(),
                low = out(reg) _,
                high = out(reg) _,
                p1 = const P[1],
                p3 = const P[3],
                out("rdx") _,
                out("r8") r0,
                out("r9") r1,
                out("r10") r2,
                out("r11") r3,
                out("r12") _,
                out("r13") _,
                out("r14") _,
                out("r15") _,
                options(pure, readonly, nostack),
            );
        }
        Fe([r0, r1, r2, r3])
    }

    #[inline(always)]
    fn sqr(a: &Fe) -> Fe {
        let (r0, r1, r2, r3): (u64, u64, u64, u64);
        // SAFETY: reads 32 octets behind a reference; else as above.
        unsafe {
            asm!(
                // The products of unlike limbs, once each.
                lines!(
                    "mov rdx, [{a}]"
                    "mulx r10, r9, [{a} + 8]"
                    "mulx r11, {low}, [{a} + 16]"
                    "add r10, {low}"
                    "mulx r12, {low}, [{a} + 24]"
                    "adc r11, {low}"
                    "adc r12, 0"
                    "mov rdx, [{a} + 8]"
                    "mulx {high}, {low}, [{a} + 16]"
                    "mulx r13, r14, [{a} + 24]"
                    "add r11, {low}"
                    "adc r12, {high}"
                    "adc r13, 0"
                    "mov rdx, [{a} + 16]"
                    "mulx {high}, {low}, [{a} + 24]"
                    "add r12, r14"
                    "adc r13, {low}"
                    "mov r14, {high}"
                    "adc r14, 0"
                ),
                // Twice, and the squares of the limbs.
                lines!(
                    "xor r15d, r15d"
                    "add r9, r9"
                    "adc r10, r10"
                    "adc r11, r11"
                    "adc r12, r12"
                    "adc r13, r13"
                    "adc r14, r14"
                    "adc r15, 0"
                    "mov rdx, [{a}]"
                    "mulx {high}, r8, rdx"
                    "mov rdx, [{a} + 8]"
                    "add r9, {high}"
                    "mulx {high}, {low}, rdx"
                    "mov rdx, [{a} + 16]"
                    "adc r10, {low}"
                    "adc r11, {high}"
                    "mulx {high}, {low}, rdx"
                    "mov rdx, [{a} + 24]"
                    "adc r12, {low}"
                    "adc r13, {high}"
                    "mulx {high}, {low}, rdx"
                    "adc r14, {low}"
                    "adc r15, {high}"
                ),
                reduce!(),
                a = in(reg) a.0.as_ptr(),
                low = out(reg) _,
                high = out(reg) _,
                p1 = const P[1],
                p3 = const P[3],
                out("rdx") _,
                out("r8") r0,
                out("r9") r1,
                out("r10") r2,
                out("r11") r3,
                out("r12") _,
                out("r13") _,
                out("r14") _,
                out("r15") _,
                options(pure, readonly, nostack),
            );
        }
        Fe([r0, r1, r2, r3])
    }
}
