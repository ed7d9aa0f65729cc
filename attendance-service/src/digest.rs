//! Digests that stand for tickets on phones: a lost phone gives away no id.

use sha2::{Digest, Sha256};

use crate::record::EventId;

/// The first 8 bytes of SHA-256 over the salt of the event and the id of the ticket.
pub type TicketDigest = [u8; 8];

/// The salt of an event: the same for good, in every process, so it is made from the id and stored nowhere.
#[derive(Clone)]
pub struct Salt {
    bytes: [u8; 16],
    /// Has the salt in it: it is hashed once, and not for every ticket.
    begun: Sha256,
}

impl Salt {
    /// The salt of `event`.
    pub fn of(event: &EventId) -> Self {
        let digest = Sha256::new().chain_update(b"tixgo offline list\0").chain_update(&event.0).finalize();
        let bytes = std::array::from_fn(|index| digest[index]);
        Self { bytes, begun: Sha256::new().chain_update(bytes) }
    }

    /// Its bytes, as `/offline` gives them to phones.
    pub fn bytes(&self) -> [u8; 16] {
        self.bytes
    }

    /// What stands for the ticket `id`.
    pub fn digest(&self, id: &str) -> TicketDigest {
        let digest = self.begun.clone().chain_update(id).finalize();
        std::array::from_fn(|index| digest[index])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_that_of_salt_and_id_one_behind_the_other() {
        let event = EventId("evt1".to_owned());
        let salt = Salt::of(&event);
        assert_eq!(salt.bytes(), Salt::of(&event).bytes());
        assert_ne!(salt.bytes(), Salt::of(&EventId("evt2".to_owned())).bytes());
        let whole = Sha256::digest([&salt.bytes()[..], "T1".as_bytes()].concat());
        assert_eq!(salt.digest("T1")[..], whole[..8]);
    }
}
