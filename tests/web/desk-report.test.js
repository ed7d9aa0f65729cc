import assert from 'node:assert/strict';
import { test } from 'node:test';
import { writeCsv } from '../../web/desk/csv.js';
import { readRecords, readTickets, reportRows } from '../../web/desk/service-csv.js';

const CSV =
  '\ufeffevent_id,ticket_id,name,kind,checked_in_by,checked_in_at\r\n' +
  'e,A-1,"Rahayu, Siti",VIP,Gerbang Timur,2026-12-01T18:30:05.415880+00:00\r\n' +
  "e,A-2,'=HYPERLINK(1),,budi,2026-12-01T18:31:00.000000+00:00\r\n";

test('the report has local times and no formula', () => {
  const rows = reportRows(readRecords(CSV), 'Asia/Jakarta', ['Kode', 'Nama', 'Jenis', 'Masuk (WIB)', 'Oleh']);
  assert.equal(
    writeCsv(rows),
    '\ufeffKode,Nama,Jenis,Masuk (WIB),Oleh\r\n' +
      'A-1,"Rahayu, Siti",VIP,2026-12-02 01:30:05,Gerbang Timur\r\n' +
      "A-2,'=HYPERLINK(1),,2026-12-02 01:31:00,budi\r\n",
  );
});

test('a name is read without what keeps it from being a formula', () => {
  assert.equal(readRecords(CSV)[1].name, '=HYPERLINK(1)');
  assert.deepEqual(readRecords('\ufeffevent_id,ticket_id\r\n'), []);
});

test('the list of tickets is read as the service gives it in JSON', () => {
  const csv =
    '\ufeffticket_id,name,kind,revoked,checked_in_at,checked_in_by\r\n' +
    "'-1,Siti,,false,2026-12-01T18:30:05.415880+00:00,budi\r\nA-2,,VIP,true,,\r\n";
  assert.deepEqual(readTickets(csv), [
    { ticket_id: '-1', name: 'Siti', kind: null, revoked: false, checked_in_at: '2026-12-01T18:30:05.415880+00:00', checked_in_by: 'budi' },
    { ticket_id: 'A-2', name: null, kind: 'VIP', revoked: true, checked_in_at: null, checked_in_by: null },
  ]);
});
