//! Requests to valgrind's memcheck, for tests: which memory it is to take for unknown. Its rule then is ours: it reports every branch and
//! every address that depends on such memory, through all computations.

#![allow(unsafe_code)]

use core::arch::asm;
use core::hint::black_box;

const RUNNING_ON_VALGRIND: usize = 0x1001;
const COUNT_ERRORS: usize = 0x1201;
/// Requests of memcheck itself: 'M', 'C' and a number.
const MAKE_MEM_UNDEFINED: usize = 0x4d43_0001;
const MAKE_MEM_DEFINED: usize = 0x4d43_0002;

/// Valgrind's answer, or 0 where there is no valgrind.
fn request(what: usize, address: usize, length: usize) -> usize {
    let arguments = [what, address, length, 0, 0, 0];
    let mut answer = 0;
    // SAFETY: the rotations add up to 128 bits and the exchange is of a register with itself, so that without valgrind nothing changes;
    // with it, the answer is written to RDX. Valgrind reads `arguments`, and the requests above change no octet of any memory.
    unsafe {
        asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") arguments.as_ptr(),
            inout("rdx") answer,
            options(nostack),
        );
    }
    answer
}

pub(crate) fn is_running() -> bool {
    request(RUNNING_ON_VALGRIND, 0, 0) != 0
}

/// How many errors there have been.
pub(crate) fn errors() -> usize {
    request(COUNT_ERRORS, 0, 0)
}

/// Makes a value unknown.
pub(crate) fn hide<T: ?Sized>(value: &mut T) {
    mark(MAKE_MEM_UNDEFINED, value);
}

/// Makes a value known: one that is published.
pub(crate) fn reveal<T: ?Sized>(value: &mut T) {
    mark(MAKE_MEM_DEFINED, value);
}

fn mark<T: ?Sized>(what: usize, value: &mut T) {
    let length = size_of_val(value);
    request(what, core::ptr::from_mut(value).cast::<u8>().expose_provenance(), length);
    // The compiler must read the memory anew: what it holds in registers is not marked.
    black_box(value);
}
