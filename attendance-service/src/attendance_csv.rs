//! The check-ins of an event as CSV.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use serde::Deserialize;

use crate::{
    csv_writer::{BOM, push_row},
    record::{EventId, TicketId},
    store::{Chunk, EventStore, StoreError},
    ticket::TicketInfo,
};

/// Of how many tickets the store is asked at once.
const PAGE: usize = 500;

const HEADER: [&str; 6] = ["event_id", "ticket_id", "name", "kind", "checked_in_by", "checked_in_at"];

/// What the document begins with: the byte order mark, and the names of the columns.
pub fn beginning() -> Vec<u8> {
    let mut csv = BOM.to_vec();
    push_row(&mut csv, &HEADER);
    csv
}

/// The rows of `records`, with the names on the list of `event`. It is read as it is sent: there may be a million.
pub fn rows(
    event: EventId,
    records: BoxStream<'static, Result<Chunk, StoreError>>,
    events: Arc<dyn EventStore>,
) -> BoxStream<'static, Result<Bytes, StoreError>> {
    let rows = Rows { event, records, events, splitter: Splitter::default() };
    stream::try_unfold(rows, async |mut rows| Ok(rows.next().await?.map(|csv| (csv, rows)))).boxed()
}

struct Rows {
    event: EventId,
    records: BoxStream<'static, Result<Chunk, StoreError>>,
    events: Arc<dyn EventStore>,
    splitter: Splitter,
}

impl Rows {
    /// The rows of the next chunk in which a record ends.
    async fn next(&mut self) -> Result<Option<Bytes>, StoreError> {
        while let Some(chunk) = self.records.try_next().await? {
            let records = self.splitter.records(&chunk.json);
            let records = records.map_err(|error| StoreError::Internal(Arc::new(error)))?;
            if records.is_empty() {
                continue;
            }
            let mut csv = Vec::with_capacity(chunk.json.len());
            for page in records.chunks(PAGE) {
                let tickets: Vec<_> = page.iter().map(|record| record.ticket_id.clone()).collect();
                let infos = self.events.ticket_infos(&self.event, &tickets).await?;
                for (record, info) in page.iter().zip(infos) {
                    record.push_to(&mut csv, &info.unwrap_or_default());
                }
            }
            return Ok(Some(csv.into()));
        }
        Ok(None)
    }
}

#[derive(Debug, Deserialize)]
struct Record {
    event_id: String,
    ticket_id: TicketId,
    checked_in_by: String,
    checked_in_at: String,
}

impl Record {
    fn push_to(&self, csv: &mut Vec<u8>, TicketInfo { name, kind }: &TicketInfo) {
        let cell = |text: &'_ Option<String>| text.clone().unwrap_or_default();
        let (name, kind) = (cell(name), cell(kind));
        let cells =
            [&self.event_id, &self.ticket_id.0, &name, &kind, &self.checked_in_by, &self.checked_in_at];
        push_row(csv, &cells.map(String::as_str));
    }
}

/// Finds the records in a list whose JSON comes in pieces, cut anywhere. It keeps no more than the record that is not
/// whole yet.
#[derive(Default)]
struct Splitter {
    /// The record so far.
    json: Vec<u8>,
    is_in_string: bool,
    is_escaped: bool,
}

impl Splitter {
    /// The records that end in `piece`.
    fn records(&mut self, piece: &[u8]) -> serde_json::Result<Vec<Record>> {
        let mut records = Vec::new();
        for byte in piece {
            // Between two records.
            if self.json.is_empty() && *byte == b',' {
                continue;
            }
            self.json.push(*byte);
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.is_in_string = !self.is_in_string,
                // A record has no objects in it.
                b'}' if !self.is_in_string => {
                    records.push(serde_json::from_slice(&self.json)?);
                    self.json.clear();
                }
                _ => {}
            }
        }
        Ok(records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{RecordPrefix, Scan, Timestamp};

    #[test]
    fn records_are_found_wherever_the_list_is_cut() {
        let tickets = ["T1", "a},{\"b", "\\", "\\\"", "\u{1}é🎫", ",", "{", ""];
        let at = Timestamp::from_micros(0).unwrap();
        let record = |ticket: &&str| {
            let scan = Scan::new(EventId("e\"}".to_owned()), TicketId((*ticket).to_owned()), "a\\".into());
            RecordPrefix::new(&scan).unwrap().finish(at)
        };
        let list = tickets.iter().map(record).collect::<Vec<_>>().join(&b","[..]);
        for length in 1..list.len() {
            let mut splitter = Splitter::default();
            let records: Vec<_> =
                list.chunks(length).flat_map(|piece| splitter.records(piece).unwrap()).collect();
            let found: Vec<_> = records.iter().map(|record| &*record.ticket_id.0).collect();
            assert_eq!(found, tickets, "{length}");
            assert!(records.iter().all(|record| record.event_id == "e\"}" && record.checked_in_by == "a\\"));
            assert!(splitter.json.is_empty());
        }
    }
}
