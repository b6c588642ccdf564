//! The steps of the proof, each in the file of what it looks at.

pub(crate) mod anchor;
pub(crate) mod decision;
pub(crate) mod ours;
pub(crate) mod platform;
pub(crate) mod records;
