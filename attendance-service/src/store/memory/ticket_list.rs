//! The list of the tickets of one event, in order of id.
//!
//! A list never changes: a change makes a new one, so that readers need no lock. All tickets stand in one piece of
//! memory, one behind the other: that takes half of what a text for each id and name would.

use crate::{
    record::TicketId,
    ticket::{ImportCounts, NewTicket, TicketInfo, TicketSearch},
};

/// The list of one event.
#[derive(Default)]
pub(in crate::store) struct TicketList {
    /// The tickets, each as [`push`] writes it.
    bytes: Vec<u8>,
    /// Where each ticket begins, in order of id.
    offsets: Vec<u32>,
    revoked: usize,
}

/// A ticket on a list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ListedTicket<'a> {
    pub(super) id: &'a str,
    pub(super) name: Option<&'a str>,
    pub(super) kind: Option<&'a str>,
    pub(super) is_revoked: bool,
}

impl ListedTicket<'_> {
    /// What is known of it besides its id.
    pub(super) fn info(&self) -> TicketInfo {
        TicketInfo { name: self.name.map(str::to_owned), kind: self.kind.map(str::to_owned) }
    }

    /// Whether its id or its name contains `text`, which is in lower case.
    fn contains(&self, text: &str) -> bool {
        contains_ignoring_case(self.id, text)
            || self.name.is_some_and(|name| contains_ignoring_case(name, text))
    }
}

const REVOKED: u8 = 1;
const HAS_NAME: u8 = 2;
const HAS_KIND: u8 = 4;

impl TicketList {
    /// How many tickets are on the list.
    pub(super) fn len(&self) -> usize {
        self.offsets.len()
    }

    /// How many of them are not revoked.
    pub(super) fn valid(&self) -> usize {
        self.len() - self.revoked
    }

    /// The memory of the list, in bytes.
    pub(super) fn memory(&self) -> u64 {
        (self.bytes.capacity() + self.offsets.capacity() * size_of::<u32>() + size_of::<Self>() + 64) as u64
    }

    /// All tickets, in order of id.
    pub(super) fn iter(&self) -> impl Iterator<Item = ListedTicket<'_>> {
        self.offsets.iter().filter_map(|offset| self.read(*offset))
    }

    /// The ticket with this id.
    pub(super) fn find(&self, id: &str) -> Option<ListedTicket<'_>> {
        let found = self.offsets.binary_search_by(|offset| self.id_at(*offset).cmp(id.as_bytes())).ok()?;
        self.read(self.offsets[found])
    }

    /// How many tickets `search` finds in all, and the first of them whose id comes after the one that is named there.
    pub(super) fn search(&self, search: &TicketSearch) -> (usize, Vec<ListedTicket<'_>>) {
        let TicketSearch { text, after, limit } = search;
        if text.is_empty() {
            let begin = self.offsets.partition_point(|offset| self.id_at(*offset) <= after.as_bytes());
            let page = self.offsets[if after.is_empty() { 0 } else { begin }..].iter().take(*limit);
            return (self.len(), page.filter_map(|offset| self.read(*offset)).collect());
        }
        let is_after = |ticket: &ListedTicket<'_>| after.is_empty() || ticket.id > after.as_str();
        let (mut total, mut page) = (0, Vec::new());
        for ticket in self.iter().filter(|ticket| ticket.contains(text)) {
            total += 1;
            if page.len() < *limit && is_after(&ticket) {
                page.push(ticket);
            }
        }
        (total, page)
    }

    /// The list with these tickets, whose ids differ, and what that changes.
    pub(super) fn with(&self, mut tickets: Vec<NewTicket>) -> (Self, ImportCounts) {
        tickets.sort_unstable_by(|one, other| one.ticket_id.0.cmp(&other.ticket_id.0));
        let mut list = Self { bytes: Vec::with_capacity(self.bytes.len()), ..Self::default() };
        let mut counts = ImportCounts::default();
        let mut old = self.iter().peekable();
        for NewTicket { ticket_id: TicketId(id), name, kind } in &tickets {
            while let Some(ticket) = old.next_if(|ticket| ticket.id < id.as_str()) {
                list.push(ticket);
            }
            let before = old.next_if(|ticket| ticket.id == id.as_str());
            let name = name.as_ref().map_or(before.and_then(|ticket| ticket.name), Option::as_deref);
            let kind = kind.as_ref().map_or(before.and_then(|ticket| ticket.kind), Option::as_deref);
            let is_revoked = before.is_some_and(|ticket| ticket.is_revoked);
            let ticket = ListedTicket { id, name, kind, is_revoked };
            match before {
                None => counts.added += 1,
                Some(before) if before == ticket => counts.unchanged += 1,
                Some(_) => counts.updated += 1,
            }
            list.push(ticket);
        }
        old.for_each(|ticket| list.push(ticket));
        list.shrink();
        counts.total = list.len() as u64;
        (list, counts)
    }

    /// The list with the ticket `id` revoked.
    pub(super) fn with_revoked(&self, id: &str) -> Self {
        let mut list = Self { bytes: Vec::with_capacity(self.bytes.len()), ..Self::default() };
        for ticket in self.iter() {
            list.push(ListedTicket { is_revoked: ticket.is_revoked || ticket.id == id, ..ticket });
        }
        list.shrink();
        list
    }

    /// Adds a ticket whose id comes after all others.
    pub(super) fn push(&mut self, ticket: ListedTicket<'_>) {
        let ListedTicket { id, name, kind, is_revoked } = ticket;
        self.offsets.push(self.bytes.len() as u32);
        self.revoked += usize::from(is_revoked);
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let flags =
            flag(is_revoked, REVOKED) | flag(name.is_some(), HAS_NAME) | flag(kind.is_some(), HAS_KIND);
        self.bytes.push(flags);
        for text in [Some(id), name, kind].into_iter().flatten() {
            self.bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
            self.bytes.extend_from_slice(text.as_bytes());
        }
    }

    /// Gives back the memory that no ticket takes.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.offsets.shrink_to_fit();
    }

    fn id_at(&self, offset: u32) -> &[u8] {
        self.text_at(offset as usize + 1).map_or(&[], |(id, _)| id)
    }

    /// The text at `offset`, and where it ends.
    fn text_at(&self, offset: usize) -> Option<(&[u8], usize)> {
        let length = self.bytes.get(offset..)?.first_chunk().map(|length| u32::from_le_bytes(*length))?;
        let end = offset + 4 + length as usize;
        Some((self.bytes.get(offset + 4..end)?, end))
    }

    fn read(&self, offset: u32) -> Option<ListedTicket<'_>> {
        let mut end = offset as usize + 1;
        let flags = *self.bytes.get(offset as usize)?;
        let mut text = |is_there: bool| {
            let text;
            (text, end) = if is_there { self.text_at(end)? } else { return None };
            std::str::from_utf8(text).ok()
        };
        Some(ListedTicket {
            id: text(true)?,
            name: text(flags & HAS_NAME != 0),
            kind: text(flags & HAS_KIND != 0),
            is_revoked: flags & REVOKED != 0,
        })
    }
}

/// Whether `text` contains `wanted`, which is in lower case.
fn contains_ignoring_case(text: &str, wanted: &str) -> bool {
    if !text.is_ascii() {
        return text.to_lowercase().contains(wanted);
    }
    // Without a copy of the text: a search asks every ticket of the list.
    let is_same = |part: &[u8]| part.eq_ignore_ascii_case(wanted.as_bytes());
    wanted.is_empty() || text.as_bytes().windows(wanted.len()).any(is_same)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    fn new(id: &str, name: Option<Option<&str>>, kind: Option<Option<&str>>) -> NewTicket {
        let owned = |text: Option<Option<&str>>| text.map(|text| text.map(str::to_owned));
        NewTicket { ticket_id: TicketId(id.to_owned()), name: owned(name), kind: owned(kind) }
    }

    #[test]
    fn what_is_not_given_stays_and_a_revoked_ticket_stays_revoked() {
        let (list, counts) = TicketList::default()
            .with(vec![new("b", Some(Some("Budi")), Some(Some("VIP"))), new("a", None, None)]);
        assert_eq!(counts, ImportCounts { added: 2, total: 2, ..ImportCounts::default() });
        let list = list.with_revoked("b");
        let (list, counts) =
            list.with(vec![new("c", None, None), new("b", None, Some(None)), new("a", Some(None), None)]);
        assert_eq!(counts, ImportCounts { added: 1, updated: 1, unchanged: 1, total: 3 });
        let b = ListedTicket { id: "b", name: Some("Budi"), kind: None, is_revoked: true };
        assert_eq!(list.find("b"), Some(b));
        assert_eq!((list.len(), list.valid(), list.find("d")), (3, 2, None));
        let ids = |text: &str, after: &str| {
            let (text, after) = (text.to_owned(), after.to_owned());
            let (total, page) = list.search(&TicketSearch { text, after, limit: 2 });
            (total, page.iter().map(|ticket| ticket.id).collect::<Vec<_>>().concat())
        };
        assert_eq!(ids("", ""), (3, "ab".to_owned()));
        assert_eq!(ids("", "b"), (3, "c".to_owned()));
        assert_eq!(ids("budi", ""), (1, "b".to_owned()));
        assert_eq!(ids("budi", "b"), (1, String::new()));
    }

    #[test]
    fn a_search_ignores_case_in_every_alphabet() {
        for (text, wanted, is_found) in [
            ("Siti Rahayu", "raha", true),
            ("Siti Rahayu", "", true),
            ("SITI", "siti", true),
            ("Siti", "sitia", false),
            ("ÉLODIE", "élo", true),
            ("Siti", "é", false),
            ("Ж", "ж", true),
        ] {
            assert_eq!(contains_ignoring_case(text, wanted), is_found, "{text} {wanted}");
        }
    }

    #[test]
    fn a_ticket_with_a_name_of_20_characters_takes_less_than_120_bytes() {
        let tickets = (0..10_000).map(|n| new(&format!("{n:012}"), Some(Some("Siti Rahayu Kusuma W")), None));
        let (list, _) = TicketList::default().with(tickets.collect());
        assert!(list.memory() < 10_000 * 60, "{}", list.memory());
    }

    proptest! {
        #[test]
        fn any_lists_agree_with_a_map(imports in vec(vec(("[a-c]{0,2}", option::of(option::of("[x-z]"))), 0..8), 0..6)) {
            let mut list = TicketList::default();
            let mut model: BTreeMap<String, Option<String>> = BTreeMap::new();
            for import in imports {
                let import: BTreeMap<_, _> = import.into_iter().collect();
                let tickets = import.iter().map(|(id, name)| NewTicket {
                    ticket_id: TicketId(id.clone()),
                    name: name.clone(),
                    kind: None,
                });
                let counts;
                (list, counts) = list.with(tickets.collect());
                let before = model.len();
                for (id, name) in import {
                    let known = model.entry(id).or_default();
                    if let Some(name) = name {
                        *known = name;
                    }
                }
                prop_assert_eq!(counts.added, (model.len() - before) as u64);
                prop_assert_eq!(counts.total, model.len() as u64);
                let listed: Vec<_> = list.iter().map(|t| (t.id.to_owned(), t.name.map(str::to_owned))).collect();
                prop_assert_eq!(listed, model.clone().into_iter().collect::<Vec<_>>());
                for id in model.keys() {
                    prop_assert_eq!(list.find(id).map(|ticket| ticket.id), Some(id.as_str()));
                }
            }
        }
    }
}
