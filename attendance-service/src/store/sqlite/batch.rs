//! Which entries a number of jobs makes.

use std::{collections::HashSet, hash::BuildHasher};

use foldhash::fast::RandomState;

use super::job::{Job, QueuedScan, ScanReply};
use crate::{
    history::EntryKind,
    record::{EventId, Scan, TicketId, Timestamp},
    store::{
        CheckIn, StoreError, UndoOutcome,
        budget::Reservation,
        entry::Entry,
        memory::{Applied, Lookup, MemoryCheckInStore},
        reply::Reply,
    },
};

/// Jobs by what has to be done for them.
#[derive(Default)]
pub(super) struct Batch {
    /// Entries to write in one commit. No two of them are of the same attempt. Two are about the same ticket only if both are
    /// conflicts, for those change nothing for those that come after them.
    pub(super) entries: Vec<Entry>,
    /// Who waits for each of them.
    pub(super) waiting: Vec<Waiting>,
    pub(super) probes: Vec<Reply<()>>,
    /// Jobs that are about more than a ticket, to be done after the entries.
    pub(super) alone: Vec<Job>,
    /// Jobs that can be decided when all that is done, in order.
    pub(super) deferred: Vec<Job>,
}

/// Who waits for an entry to be written.
pub(super) enum Waiting {
    Scan(ScanReply, Reservation),
    Undo(Reply<UndoOutcome>),
}

impl Waiting {
    /// Sends the outcome of the entry.
    pub(super) fn answer(self, applied: Result<Applied, StoreError>) {
        match self {
            Self::Undo(reply) => reply.send(applied.map(UndoOutcome::from)),
            Self::Scan(reply, _reservation) => reply.send(applied.and_then(|applied| match applied {
                Applied::CheckedIn(record) => Ok(CheckIn::Accepted(record)),
                Applied::Conflict(record) => Ok(CheckIn::Conflict(Some(record))),
                Applied::Undone(_) | Applied::Contradicted => {
                    Err(StoreError::Unavailable("the scan has to be sent again".into()))
                }
            })),
        }
    }
}

/// Sorts `jobs`, and leaves none of them. Answers at once what memory can decide.
pub(super) fn sort(memory: &MemoryCheckInStore, jobs: &mut Vec<Job>) -> Batch {
    let mut sorter = Sorter {
        memory,
        now: Timestamp::now(),
        taken: HashSet::with_capacity_and_hasher(jobs.len(), RandomState::default()),
        batch: Batch::default(),
    };
    for job in jobs.drain(..) {
        sorter.add(job);
    }
    sorter.batch
}

struct Sorter<'m> {
    memory: &'m MemoryCheckInStore,
    now: Timestamp,
    /// Hashes of the tickets and of the attempts about which nobody may decide before the entries are applied: those of entries
    /// and of deferred jobs. If two are the same by chance, a job waits for the next round.
    taken: HashSet<u64, RandomState>,
    batch: Batch,
}

impl Sorter<'_> {
    fn add(&mut self, job: Job) {
        match job {
            Job::Probe(reply) => self.batch.probes.push(reply),
            job @ (Job::UndoAll(..) | Job::Change(..)) => self.batch.alone.push(job),
            // Jobs that came before are done before.
            job if !self.batch.alone.is_empty() => self.batch.deferred.push(job),
            Job::CheckIn(queued) => self.add_scan(queued),
            Job::Undo(undo, reply) => {
                if reply.is_closed() {
                    return;
                }
                let ticket = self.ticket(&undo.event_id, &undo.ticket_id);
                if self.taken.contains(&ticket) {
                    return self.batch.deferred.push(Job::Undo(undo, reply));
                }
                match self.memory.look_up_undo(&undo, self.now) {
                    Err(error) => reply.send(Err(error)),
                    Ok(Lookup::Decided(outcome)) => reply.send(Ok(outcome)),
                    Ok(Lookup::Write(kind, _)) => {
                        self.taken.insert(ticket);
                        self.push(
                            kind,
                            Scan::new(undo.event_id, undo.ticket_id, undo.by),
                            Waiting::Undo(reply),
                        );
                    }
                }
            }
        }
    }

    fn add_scan(&mut self, queued: QueuedScan) {
        // The client is gone. If its scan were written, the next scan of the ticket would be refused as a duplicate,
        // though no client saw it accepted.
        if queued.reply.is_closed() {
            return;
        }
        let QueuedScan { scan, reply, reservation } = queued;
        let ticket = self.ticket(&scan.event_id, &scan.ticket_id);
        let attempt = self.attempt(&scan);
        if self.taken.contains(&ticket) || attempt.is_some_and(|attempt| self.taken.contains(&attempt)) {
            self.taken.insert(ticket);
            self.taken.extend(attempt);
            return self.batch.deferred.push(Job::CheckIn(QueuedScan { scan, reply, reservation }));
        }
        match self.memory.look_up(&scan) {
            Err(error) => reply.send(Err(error)),
            Ok(Lookup::Decided(outcome)) => reply.send(Ok(outcome)),
            Ok(Lookup::Write(kind, _)) => {
                self.taken.extend(attempt);
                if kind != EntryKind::Conflict {
                    self.taken.insert(ticket);
                }
                self.push(kind, scan, Waiting::Scan(reply, reservation));
            }
        }
    }

    fn push(&mut self, kind: EntryKind, scan: Scan, waiting: Waiting) {
        let last = self.batch.entries.iter().rev().find(|entry| entry.scan.event_id == scan.event_id);
        let at = self.memory.next_timestamp(&scan.event_id, last.map(|entry| entry.at), self.now);
        self.batch.entries.push(Entry { kind, scan, at });
        self.batch.waiting.push(waiting);
    }

    fn ticket(&self, event: &EventId, ticket: &TicketId) -> u64 {
        self.taken.hasher().hash_one((event, ticket))
    }

    fn attempt(&self, scan: &Scan) -> Option<u64> {
        let key = scan.idempotency_key.as_ref()?;
        Some(self.taken.hasher().hash_one((&scan.checked_in_by, key.as_ref())))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::mpsc;

    use super::*;
    use crate::{
        record::IdempotencyKey,
        store::{CheckInStore, reply::submit},
    };

    fn scan(ticket: &str, key: usize) -> Scan {
        Scan {
            idempotency_key: IdempotencyKey::new(key.to_string().as_bytes()),
            admitted: true,
            ..Scan::new(EventId("e".to_owned()), TicketId(ticket.to_owned()), "gate".into())
        }
    }

    #[tokio::test]
    async fn conflicts_of_one_ticket_share_a_commit_and_what_depends_on_an_entry_waits_for_it() {
        let memory = Arc::new(MemoryCheckInStore::new(1 << 20));
        memory.check_in(scan("used", 0)).await.unwrap();
        let (jobs, mut queue) = mpsc::channel(16);
        for (ticket, key) in [("used", 1), ("used", 2), ("new", 3), ("used", 3), ("new", 4), ("used", 5)] {
            let (jobs, reservation) = (jobs.clone(), memory.reserve(0).unwrap());
            let make = move |reply| {
                let reply = ScanReply::Alone(reply);
                Job::CheckIn(QueuedScan { scan: scan(ticket, key), reply, reservation })
            };
            // It waits for the outcome, so that the scan counts.
            tokio::spawn(async move { submit(&jobs, make).await });
            tokio::task::yield_now().await;
        }
        let mut waiting = Vec::new();
        queue.recv_many(&mut waiting, 16).await;
        let batch = sort(&memory, &mut waiting);
        let entries: Vec<_> =
            batch.entries.iter().map(|entry| (entry.kind, entry.scan.ticket_id.0.as_str())).collect();
        let (new, conflict) = (EntryKind::CheckedIn, EntryKind::Conflict);
        assert_eq!(entries, [(conflict, "used"), (conflict, "used"), (new, "new")]);
        // The key of the fourth is that of the third; the fifth is about its ticket; the last comes after the fourth.
        assert_eq!(batch.deferred.len(), 3);
    }
}
