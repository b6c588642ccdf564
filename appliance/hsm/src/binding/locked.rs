//! Memory that is never written to disk and is wiped before it is given back.

use std::io;
use std::sync::atomic::{Ordering, compiler_fence};

use zeroize::Zeroize;

/// The largest page of any Linux kernel. Memory is locked by pages, so nothing else may lie in one.
const PAGE: usize = 64 * 1024;

#[repr(C, align(65536))]
struct Page([u8; PAGE]);

/// `N` octets, locked. Not printable, not cloneable.
pub(crate) struct Locked<const N: usize>(Box<Page>);

impl<const N: usize> Locked<N> {
    /// Zeros. Fails where the process may lock no more memory (`RLIMIT_MEMLOCK`).
    pub(crate) fn new() -> io::Result<Self> {
        const { assert!(N <= PAGE) };
        // SAFETY: zeros are octets, and a page is nothing else. Made where it stays, because it is large for a stack.
        let mut page = unsafe { Box::<Page>::new_zeroed().assume_init() };
        // SAFETY: the page is an allocation of this length, and locking changes nothing in it.
        unsafe { rustix::mm::mlock((&raw mut page.0).cast(), PAGE) }?;
        Ok(Self(page))
    }

    pub(crate) fn expose(&self) -> &[u8; N] {
        // `N` is at most the page's length, so there is a first chunk of `N`.
        self.0.0.first_chunk().unwrap_or_else(|| unreachable!("asserted in `new`"))
    }

    pub(crate) fn expose_mut(&mut self) -> &mut [u8; N] {
        self.0.0.first_chunk_mut().unwrap_or_else(|| unreachable!("asserted in `new`"))
    }
}

impl<const N: usize> Drop for Locked<N> {
    fn drop(&mut self) {
        self.expose_mut().zeroize();
        compiler_fence(Ordering::SeqCst);
        // SAFETY: the page is an allocation of this length that was locked and shares its pages with nothing else.
        let unlocked = unsafe { rustix::mm::munlock((&raw mut self.0.0).cast(), PAGE) };
        if let Err(error) = unlocked {
            tracing::debug!(%error, "a page stays locked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kilobytes that this process has locked.
    fn locked() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmLck:")).expect("a line of its own");
        line.split_whitespace().next().expect("a number").parse().expect("a number")
    }

    #[test]
    fn a_secret_s_page_is_locked_while_it_lives() {
        let before = locked();
        let mut secret = Locked::<32>::new().expect("a page may be locked");
        secret.expose_mut().fill(7);
        assert_eq!(locked(), before + 64);
        assert_eq!(secret.expose(), &[7; 32]);
        drop(secret);
        assert_eq!(locked(), before);
    }
}
