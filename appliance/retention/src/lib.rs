//! The archive of sealed segments: where evidence goes that need not lie on the node any more, and from where it is proven, held,
//! restored and, past its time, expired (docs/archive-format.md).
//!
//! An object is put once and never overwritten; what is there already is read back and compared. A segment counts as exported
//! once its object was read back, opened and hashed to the sealed segment's hash, and what proves it lies beside it. Nothing
//! here writes to the ledger: the daemon does, after the archive.
#![forbid(unsafe_code)]

mod archive;
mod error;
mod evidence;
mod expire;
mod export;
mod header;
mod hold;
mod http;
mod key;
mod name;
mod proof;
mod restore;
mod seal;
mod store;
mod verify;

pub use archive::{Archive, Object};
pub use error::ArchiveError;
pub use expire::{Class, Expirable, Keep, Tombstone, expirable, expire};
pub use export::{Exporter, Places, still_there};
pub use header::{Header, HeaderError, Kind};
pub use hold::{Hold, Range, Release, holds, place, release};
pub use key::{ArchiveKey, ArchiveKeys, KeyError};
pub use name::Name;
pub use restore::{restore, restore_whole};
pub use seal::ObjectError;
pub use store::{S3, Site, Store};
pub use verify::{Verified, verify};
