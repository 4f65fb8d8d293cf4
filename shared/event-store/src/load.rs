//! Loading streams.
