//! The log, on stderr. Lines wait in a bounded buffer, and one thread writes them, many at once. So nobody who logs waits
//! for whoever reads stderr, neither a request nor an event of `tracing`.

mod buffer;
mod format;
mod notice;
pub(crate) mod rate;
mod timestamp;

pub(crate) use self::buffer::LogHandle;
pub use self::{buffer::Log, format::LogFormat};
