//! Ids of tickets that nobody can guess, and that a person can read aloud.

use crate::record::TicketId;

/// Crockford's Base32: without I, L, O and U, which are mistaken for other characters or make words.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Groups of an id, and characters of a group. Together they hold 60 bits.
const GROUPS: usize = 3;
const GROUP: usize = 4;

/// New ids of tickets, such as `7K2M-9QXT-4RBN`. Equal ones among them are as good as impossible, but possible.
///
/// # Errors
///
/// The system gives no random bytes.
pub fn draw(count: usize) -> Result<Vec<TicketId>, getrandom::Error> {
    let mut random = vec![0; count * GROUPS * GROUP];
    getrandom::fill(&mut random)?;
    Ok(random.chunks_exact(GROUPS * GROUP).map(|bytes| TicketId(code(bytes))).collect())
}

fn code(random: &[u8]) -> String {
    let groups =
        random.chunks(GROUP).map(|group| group.iter().map(|byte| character(*byte)).collect::<String>());
    groups.collect::<Vec<_>>().join("-")
}

/// 256 is a multiple of 32, so each character is as likely as any other.
fn character(random: u8) -> char {
    char::from(ALPHABET[usize::from(random) % ALPHABET.len()])
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_have_three_groups_of_four_characters_each_as_likely_as_another() {
        let ids = draw(10_000).unwrap();
        assert_eq!(ids.iter().map(|id| &id.0).collect::<HashSet<_>>().len(), 10_000);
        let mut counts = [0_u32; 256];
        for TicketId(id) in &ids {
            let groups: Vec<_> = id.split('-').collect();
            assert_eq!(groups.iter().map(|group| group.len()).collect::<Vec<_>>(), [4, 4, 4], "{id}");
            groups.concat().bytes().for_each(|byte| counts[usize::from(byte)] += 1);
        }
        for byte in 0..=255 {
            let count = counts[usize::from(byte)];
            // 3,750 are expected; ten standard deviations are 600.
            let is_likely = (3_150..4_350).contains(&count);
            assert_eq!(is_likely, ALPHABET.contains(&byte), "{}: {count}", char::from(byte));
        }
    }

    #[test]
    fn no_id_is_drawn_where_none_is_wanted() {
        assert_eq!(draw(0).unwrap(), []);
    }
}
