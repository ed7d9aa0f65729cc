// Bringing a list of tickets in: from a file or pasted, looked at before it is sent.

import { path } from '../shared/attendance.js';
import { byId, element } from '../shared/dom.js';
import { ApiError } from '../shared/http.js';
import { text } from '../shared/language.js';
import { importDocument, MAX_BYTES, MAX_TICKETS, problemsOfLines, readTable, roundedIds, tickets } from './columns.js';
import { problemText } from './explain.js';
import { readText } from './text-file.js';
import { number } from './times.js';
import { card, choice, field, onlyOnce, table } from './ui.js';
import { upload } from './upload.js';

const SHOWN_ROWS = 6;
const COLUMNS = ['ticket_id', 'name', 'kind'];

/**
 * The card for bringing a list in. `state.import` keeps what was brought through a change of language:
 * `{table, source, encoding, problems, counts}`.
 */
export function importCard(view, onImported) {
  const { state } = view;
  state.import ??= { table: null };
  const parts = ['preview', 'result', 'errors'].map((name) => element('div', { id: `import-${name}` }));
  const [preview, result, errors] = parts;
  result.setAttribute('role', 'status');
  const again = () => showPreview(view, { preview, result, errors }, onImported);
  const onFile = (file) => bringFile(state.import, file).then(again);
  const onPasted = (pasted) => {
    bring(state.import, pasted, text('desk.import.pasted'));
    again();
  };
  const made = card(
    text('desk.import.title'),
    element('p', { class: 'soft' }, text('desk.import.about')),
    fileField(onFile),
    pasteField(onPasted),
    ...parts,
  );
  const drop = (event) => {
    event.preventDefault();
    const dropped = event.dataTransfer.files[0];
    if (event.type === 'drop' && dropped) onFile(dropped);
  };
  made.addEventListener('dragover', drop);
  made.addEventListener('drop', drop);
  again();
  return made;
}

function fileField(onFile) {
  const made = field({
    id: 'import-file',
    name: 'file',
    type: 'file',
    accept: '.csv,.txt,.tsv,text/csv',
    label: text('desk.import.file'),
    hint: text('desk.import.fileHint'),
  });
  made.querySelector('input').addEventListener('change', ({ target }) => {
    if (target.files[0]) onFile(target.files[0]);
  });
  return made;
}

function pasteField(onPasted) {
  const made = field({
    id: 'import-paste',
    name: 'paste',
    label: text('desk.import.paste'),
    hint: text('desk.import.pasteHint'),
    make: (properties) => element(
      'textarea',
      { ...properties, rows: 4, spellcheck: false, placeholder: text('desk.import.pasteExample') },
    ),
  });
  let timer = null;
  made.querySelector('textarea').addEventListener('input', ({ target }) => {
    clearTimeout(timer);
    timer = setTimeout(() => onPasted(target.value), 200);
  });
  return made;
}

async function bringFile(brought, file) {
  if (file.size > 2 * MAX_BYTES) return refuse(brought, text('desk.import.tooLarge'));
  const read = readText(new Uint8Array(await file.arrayBuffer()));
  if (!read) return refuse(brought, text('desk.import.workbook', { file: file.name }));
  bring(brought, read.text, file.name);
  brought.encoding = read.encoding;
}

function bring(brought, content, source) {
  const read = content.trim() === '' ? null : readTable(content);
  Object.assign(brought, { table: read, source, encoding: 'utf-8', refused: null, problems: null, counts: null });
}

function refuse(brought, reason) {
  Object.assign(brought, { table: null, refused: reason, problems: null, counts: null });
}

function showPreview(view, places, onImported) {
  const brought = view.state.import;
  const { preview } = places;
  showOutcome(view, places);
  if (brought.refused) preview.replaceChildren(element('p', { class: 'error', role: 'alert' }, brought.refused));
  if (!brought.table) {
    if (!brought.refused) preview.replaceChildren();
    return;
  }
  const list = tickets(brought.table);
  const again = () => showPreview(view, places, onImported);
  const send = element(
    'button',
    { id: 'import-send', type: 'button', class: 'primary' },
    text('desk.import.send', { count: number(list.length) }),
  );
  send.addEventListener(
    'click',
    () => onlyOnce(send, () => sendList(view, places, tickets(brought.table), onImported)),
  );
  const problem = whyNot(brought.table, list);
  preview.replaceChildren(
    element('h3', {}, text('desk.import.preview', { source: brought.source })),
    element('p', {}, text('desk.import.count', { count: number(list.length) })),
    ...columnChoices(brought, again),
    firstRows(list),
    ...warnings(brought, list),
    problem ? element('p', { class: 'error', role: 'alert' }, problem) : element('div', { class: 'buttons' }, send),
  );
}

/** Where the ids, names and kinds are, and whether the first line is a heading: all may be changed. */
function columnChoices(brought, again) {
  const { rows, width, hasHeader, columns } = brought.table;
  const nameOf = (index) => {
    const cell = rows[0].cells[index] ?? '';
    return text(hasHeader ? 'desk.import.columnNamed' : 'desk.import.column', { number: index + 1, name: cell });
  };
  const options = [...Array(width).keys()].map((index) => [String(index), nameOf(index)]);
  const choices = COLUMNS.map((column) => {
    const none = column === 'ticket_id' ? [] : [['-1', text('desk.import.none')]];
    const made = field({
      label: text(`desk.columns.${column}`),
      name: `column-${column}`,
      make: choice([...none, ...options], String(columns[column])),
    });
    made.querySelector('select').addEventListener('change', ({ target }) => {
      columns[column] = Number(target.value);
      again();
      byFocus(`column-${column}`);
    });
    return made;
  });
  const heading = element('input', { type: 'checkbox', name: 'has-header', checked: hasHeader });
  heading.addEventListener('change', () => {
    brought.table.hasHeader = heading.checked;
    again();
    byFocus('has-header');
  });
  return [
    element('div', { class: 'pair' }, choices),
    element('label', { class: 'check' }, heading, text('desk.import.hasHeader')),
  ];
}

/** The preview is made anew after a choice: the focus stays on what was chosen. */
function byFocus(name) {
  byId('import-preview').querySelector(`[name="${name}"]`)?.focus();
}

function firstRows(list) {
  const rows = list.slice(0, SHOWN_ROWS).map(({ line, ticket_id, name, kind }) => [
    String(line),
    ticket_id,
    name ?? '–',
    kind ?? '–',
  ]);
  const columns = [text('desk.import.line'), ...COLUMNS.map((column) => text(`desk.columns.${column}`))];
  const made = table(text('desk.import.firstRows'), columns, rows);
  made.className = 'dense';
  const more = list.length - rows.length;
  return element(
    'div',
    { class: 'scroll' },
    made,
    more > 0 && element('p', { class: 'soft small' }, text('desk.import.more', { count: number(more) })),
  );
}

function warnings({ encoding, table: { width, columns } }, list) {
  const rounded = roundedIds(list);
  const unused = width - COLUMNS.filter((column) => columns[column] !== -1).length;
  return [
    encoding === 'windows-1252' && text('desk.import.notUtf8'),
    rounded.length > 0 && text(
      'desk.import.rounded',
      { count: number(rounded.length), line: rounded[0].line, id: rounded[0].ticket_id },
    ),
    unused > 0 && text('desk.import.unused', { count: unused }),
  ]
    .filter(Boolean)
    .map((warning) => element('p', { class: 'notice' }, warning));
}

/** Why a list cannot be sent, or `null`. */
function whyNot({ openQuote }, list) {
  if (openQuote !== null) return text('desk.import.openQuote', { line: openQuote });
  if (list.length === 0) return text('desk.import.empty');
  if (list.length > MAX_TICKETS) return text('desk.import.tooMany', { most: number(MAX_TICKETS) });
  return null;
}

async function sendList(view, places, list, onImported) {
  const { desk, event, signal, state } = view;
  const document = importDocument(list);
  Object.assign(state.import, { problems: null, counts: null });
  showOutcome(view, places);
  const bar = element('progress', { max: 1, value: 0, 'aria-label': text('desk.import.sending') });
  const said = element('p', { class: 'soft', role: 'status' }, text('desk.import.sending'));
  places.preview.append(bar, said);
  const onProgress = (sent) => {
    if (sent < 1) bar.value = sent;
    // The service reads and stores the list now, and does not say how far it is.
    else bar.removeAttribute('value');
    said.textContent = text(sent < 1 ? 'desk.import.sending' : 'desk.import.storing');
  };
  try {
    if (new Blob([document]).size > MAX_BYTES) throw new ApiError(413, text('desk.import.tooLarge'));
    const options = { body: document, type: 'text/csv; charset=utf-8', onProgress, signal };
    const counts = await desk.attendance.asUser((token) => upload(
      path`/events/${event}/tickets`,
      { ...options, token },
    ));
    Object.assign(state.import, { table: null, counts });
    byId('import-file').value = '';
    byId('import-paste').value = '';
    showPreview(view, places, onImported);
    onImported();
  } catch (error) {
    if (signal.aborted) return;
    const isOfLines = error instanceof ApiError && Array.isArray(error.detail);
    state.import.problems = isOfLines ? problemsOfLines(error.detail, list) : [{
      line: null,
      said: desk.failed(error),
    }];
    showOutcome(view, places);
    places.errors.scrollIntoView({ block: 'nearest' });
  } finally {
    bar.remove();
    said.remove();
  }
}

/** What the last import did, or which lines stand in its way. */
function showOutcome({ state }, { result, errors }) {
  const { counts, problems } = state.import;
  const numbers = counts && {
    added: number(counts.added),
    updated: number(counts.updated),
    unchanged: number(counts.unchanged),
    total: number(counts.total),
  };
  result.replaceChildren(numbers ? element('p', { class: 'notice good' }, text('desk.import.done', numbers)) : '');
  errors.replaceChildren();
  if (!problems) return;
  const isRefused = problems.some(({ said }) => !said);
  if (isRefused) errors.append(element('p', { class: 'error', role: 'alert' }, text('desk.import.refused')));
  const ofLines = problems.filter(({ line }) => line !== null);
  const whole = problems
    .filter(({ line }) => line === null)
    .map((problem) => element('p', { class: 'error', role: 'alert' }, problem.said ?? lineProblem(problem)));
  errors.append(...whole);
  if (ofLines.length === 0) return;
  const columns = ['line', 'inColumn', 'content', 'problem'].map((name) => text(`desk.import.${name}`));
  const rows = ofLines.map((problem) => [
    String(problem.line),
    problem.column in COLUMN_NAMES ? text(`desk.columns.${problem.column}`) : (problem.column ?? ''),
    element('code', {}, shortened(problem.input)),
    lineProblem(problem),
  ]);
  errors.append(table(text('desk.import.refused'), columns, rows));
  if (problems.length >= 100) errors.append(element('p', { class: 'soft small' }, text('desk.import.first100')));
}

const COLUMN_NAMES = Object.fromEntries(COLUMNS.map((column) => [column, true]));

function lineProblem({ type, msg, firstLine }) {
  if (firstLine !== null && firstLine !== undefined) return text('desk.import.twice', { line: firstLine });
  const known = {
    'at most 200 bytes of UTF-8 are allowed': 'desk.import.tooLongId',
    'control characters are not allowed': 'desk.import.control',
    'String should have at least 1 character': 'desk.import.noId',
  }[msg];
  return known ? text(known) : problemText({ type, msg, ctx: { max_length: Number(/(\d+)/.exec(msg)?.[1]) } });
}

function shortened(input) {
  const written = typeof input === 'string' ? input : '';
  return written.length > 60 ? `${written.slice(0, 60)}…` : written;
}
