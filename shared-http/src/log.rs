//! The log, on stderr. Lines are added to a bounded buffer, which one thread writes to stderr in batches. So logging
//! never waits for the reader of stderr.

mod buffer;
mod format;
mod notice;
pub(crate) mod rate;
mod timestamp;

pub(crate) use self::buffer::LogHandle;
pub use self::{buffer::Log, format::LogFormat};
