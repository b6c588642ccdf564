//! Nothing: this package only names a source.
