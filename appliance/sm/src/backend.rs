//! Which code multiplies: chosen once for the machine.

use core::sync::atomic::{AtomicU8, Ordering};

/// A way to do the arithmetic. All give the same answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Backend {
    /// Rust without anything that a particular processor would have to know.
    Portable = 1,
    /// x86-64 with BMI2 and ADX: one field element at a time.
    Adx = 2,
    /// x86-64 with AVX-512 F, DQ, VL, BW, VBMI2 and IFMA: eight field elements at a time; one at a time as [`Backend::Adx`].
    Ifma = 3,
}

impl Backend {
    /// Every back end that this machine can run, the slowest first.
    pub fn available() -> impl Iterator<Item = Self> {
        [Self::Portable, Self::Adx, Self::Ifma].into_iter().filter(|backend| backend.is_available())
    }

    /// The name that `YANQIAN_SM_BACKEND` takes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Adx => "adx",
            Self::Ifma => "ifma",
        }
    }

    fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            Self::Adx => crate::arch::has_adx(),
            Self::Ifma => crate::arch::has_adx() && crate::arch::has_ifma(),
        }
    }

    /// The one in use: the fastest that there is, or the one that `YANQIAN_SM_BACKEND` names (`portable`, `adx`, `ifma`) if the machine can
    /// run it. The variable is read once.
    pub fn current() -> Self {
        let known = [Self::Portable, Self::Adx, Self::Ifma];
        let chosen = CHOSEN.load(Ordering::Relaxed);
        if let Some(backend) = known.into_iter().find(|backend| *backend as u8 == chosen) {
            return backend;
        }
        let forced = forced().and_then(|name| known.into_iter().find(|backend| backend.as_str() == name));
        let best = forced.filter(|backend| backend.is_available()).or_else(|| Self::available().last());
        let best = best.unwrap_or(Self::Portable);
        CHOSEN.store(best as u8, Ordering::Relaxed);
        best
    }

    /// Makes this one the current one for the whole process, if the machine can run it; says whether it can. For comparing and measuring:
    /// answers are the same, and keys that were tabled before stay good.
    pub fn choose(self) -> bool {
        let available = self.is_available();
        if available {
            CHOSEN.store(self as u8, Ordering::Relaxed);
        }
        available
    }
}

static CHOSEN: AtomicU8 = AtomicU8::new(0);

#[cfg(feature = "std")]
fn forced() -> Option<alloc::string::String> {
    std::env::var("YANQIAN_SM_BACKEND").ok()
}

#[cfg(not(feature = "std"))]
fn forced() -> Option<&'static str> {
    None
}
