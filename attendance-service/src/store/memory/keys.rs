//! Idempotency keys that were used, as fingerprints that lead to an entry.

use sha2::{Digest, Sha256};

use super::log::LogPosition;
use crate::record::IdempotencyKey;

/// What a key takes in the table of keys, at most: the table is at least 7/16 full, with a control byte an entry.
pub(super) const KEY_BYTES: u64 = (size_of::<(Fingerprint, KeyUse)>() as u64 + 1) * 16 / 7 + 1;

/// A hash of a user and an idempotency key, too long to collide.
pub(super) type Fingerprint = [u8; 16];

/// The entry that was made under a key.
pub(super) struct KeyUse {
    // u32 index: half the size of an Arc, and there may be one for every record.
    pub(super) event: u32,
    pub(super) entry: KeyEntry,
}

/// What was made under a key.
#[derive(Clone, Copy)]
pub(super) enum KeyEntry {
    /// A check-in: where its record begins.
    CheckIn(LogPosition),
    /// A conflict: its index among the past entries of its event.
    Conflict(u32),
}

/// Users choose their keys independently, so the user is part of it.
pub(super) fn fingerprint(user: &str, key: &IdempotencyKey) -> Fingerprint {
    let digest = Sha256::new().chain_update((user.len() as u64).to_le_bytes()).chain_update(user);
    let digest = digest.chain_update(key.as_ref()).finalize();
    std::array::from_fn(|index| digest[index])
}
