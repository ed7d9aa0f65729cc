//! Parts of a list.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::budget::Budget;
use crate::deflate::Deflated;

/// A part of a list.
#[derive(Clone)]
pub struct Part {
    /// Its bytes.
    pub json: Bytes,
    /// Where they are kept compressed, if others will read the same part.
    pub slot: Option<Arc<Slot>>,
}

impl From<Bytes> for Part {
    fn from(json: Bytes) -> Self {
        Self { json, slot: None }
    }
}

/// Where the compressed form of a part is kept for the next reader.
pub struct Slot {
    kept: OnceLock<Arc<Deflated>>,
    budget: Arc<Budget>,
}

impl Slot {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        Self { kept: OnceLock::new(), budget }
    }

    /// The compressed form, if it is kept.
    pub fn get(&self) -> Option<Arc<Deflated>> {
        self.kept.get().cloned()
    }

    /// Keeps it, if there is room: the last quarter of the budget is for check-ins alone.
    pub fn keep(&self, deflated: &Arc<Deflated>) {
        let bytes = deflated.bytes.len() as u64;
        if self.kept.get().is_none() && self.budget.try_take(bytes, self.budget.limit() / 4) {
            let _ = self.kept.set(Arc::clone(deflated));
        }
    }
}
