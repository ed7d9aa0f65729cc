// The live board: how many are in, how fast they come, and where.

import { element } from '../shared/dom.js';
import { text } from '../shared/language.js';
import { minuteChart } from './chart.js';
import { byGate } from './counts.js';
import { FullScreen } from './full-screen.js';
import { follow } from './live.js';
import { Records } from './records.js';
import { clock, number } from './times.js';
import { card, heading, table } from './ui.js';

const SHOWN_RECORDS = 20;
const SHOWN_GATES = 12;

export function open(view) {
  const { desk, root, event, signal } = view;
  const parts = frame(view);
  const board = { state: null, stateAt: null, isConnected: false, records: new Records(), timer: null, parts, view };
  view.signal.addEventListener('abort', () => clearTimeout(board.timer));
  root.append(...parts.all);
  showNumbers(board);

  const screen = new FullScreen(signal, (isFull) => {
    document.body.classList.toggle('full-screen', isFull);
    parts.full.textContent = text(isFull ? 'desk.board.leaveFull' : 'desk.board.full');
    parts.full.onclick = () => (isFull ? screen.leave() : screen.enter());
  });
  parts.full.onclick = () => screen.enter();

  follow(desk, event, signal, {
    onState: (state) => {
      Object.assign(board, { state, stateAt: Date.now(), isConnected: true });
      if (board.records.take(state)) loadRecords(board);
      showNumbers(board);
      showRecords(board);
    },
    onLost: (error) => {
      if (error) {
        board.isConnected = false;
        parts.problem.textContent = desk.failed(error);
      }
      showConnection(board);
    },
  });
  // A chart is drawn for the width it has.
  addEventListener('resize', () => board.state && showNumbers(board), { signal });
  const ages = setInterval(() => showConnection(board), 5_000);
  signal.addEventListener('abort', () => clearInterval(ages));
}

function frame({ desk, event }) {
  const figure = (id) => element('span', { id, class: 'number' });
  const [counted, of, share] = [figure('board-in'), figure('board-of'), figure('board-share')];
  const bar = element('progress', { id: 'board-bar', max: 1, value: 0, 'aria-label': text('desk.board.share') });
  const full = element('button', { id: 'board-full', type: 'button' }, text('desk.board.full'));
  const connection = element('p', { id: 'board-connection', role: 'status' });
  const problem = element('p', { class: 'error', hidden: true });
  const [chart, rate, gates, last, asOf] = ['chart', 'rate', 'gates', 'last', 'as-of'].map((name) => element(
    'div',
    { id: `board-${name}` },
  ));
  const total = element(
    'section',
    { class: 'card total', 'aria-label': text('desk.board.total') },
    element('p', { class: 'in' }, counted),
    element('p', { class: 'of' }, `${text('desk.board.in')} `, of, ' ', share),
    bar,
    connection,
    problem,
  );
  const all = [
    heading(text('desk.board.title'), desk.titleOf(event), full),
    element(
      'div',
      { class: 'board' },
      total,
      card(text('desk.board.perMinute'), chart, rate),
      card(text('desk.board.byGate'), element('p', { class: 'soft' }, text('desk.report.byGateAbout')), gates),
      card(text('desk.board.last', { count: SHOWN_RECORDS }), last, asOf),
    ),
  ];
  return { all, counted, of, share, bar, full, connection, problem, chart, rate, gates, last, asOf };
}

function showNumbers(board) {
  const { state, parts } = board;
  showConnection(board);
  if (!state) {
    parts.counted.textContent = '–';
    return;
  }
  const { total_checked_in: counted, registered, per_minute: perMinute } = state;
  parts.counted.textContent = number(counted);
  parts.counted.style.setProperty('--characters', Math.max(3, number(counted).length));
  parts.of.textContent = registered === null ? text('desk.board.noList') : text(
    'desk.board.of',
    { of: number(registered) },
  );
  const share = registered ? Math.min(1, counted / registered) : 0;
  parts.share.textContent = registered ? `(${Math.floor(share * 100)}%)` : '';
  parts.bar.value = share;
  parts.bar.hidden = !registered;

  const sum = (minutes) => perMinute.slice(-minutes).reduce((all, count) => all + count, 0);
  const most = Math.max(...perMinute);
  const width = parts.chart.clientWidth;
  const summary = text('desk.board.rate', { hour: number(sum(60)), quarter: number(sum(15)), most: number(most) });
  parts.rate.textContent = summary;
  const ago = (minutes) => text('desk.board.ago', { minutes });
  parts.chart.replaceChildren(minuteChart(
    perMinute,
    width,
    { label: `${text('desk.board.perMinute')}: ${summary}`, now: text('desk.board.now'), ago },
  ));
}

/** Whether the figures are live, and else how old they are. */
function showConnection({ isConnected, state, stateAt, parts, view }) {
  parts.problem.hidden = isConnected || parts.problem.textContent === '';
  parts.connection.classList.toggle('lost', !isConnected && state !== null);
  const said = connectionText(isConnected, stateAt, view.desk.zone);
  // What has not changed is not read out again.
  if (parts.connection.textContent !== said) parts.connection.textContent = said;
}

function connectionText(isConnected, stateAt, zone) {
  if (isConnected) return text('desk.board.connected');
  if (stateAt === null) return text('desk.board.connecting');
  const minutes = Math.floor((Date.now() - stateAt) / 60_000);
  return text('desk.board.lost', { time: clock(new Date(stateAt).toISOString(), zone), minutes });
}

/** Asks for the list as soon as the box can bear it, and nobody asks already. */
function loadRecords(board) {
  if (board.timer !== null) return;
  const { desk, event, signal } = board.view;
  board.timer = setTimeout(async () => {
    try {
      // Nobody looks on: the list can wait.
      if (document.hidden) await shown(signal);
      const { version } = board.state;
      await board.records.load(desk, event, version, signal);
    } catch (error) {
      if (!signal.aborted) desk.failed(error);
    }
    board.timer = null;
    if (signal.aborted) return;
    if (board.records.take(board.state)) loadRecords(board);
    showRecords(board);
  }, board.records.pause);
}

function shown(signal) {
  return new Promise((resolve) => {
    document.addEventListener('visibilitychange', resolve, { once: true, signal });
    signal.addEventListener('abort', resolve, { once: true });
  });
}

function showRecords({ records, state, parts, view: { desk } }) {
  if (records.completeAt === null) return;
  const { list } = records;
  const newest = list.slice(-SHOWN_RECORDS).reverse();
  const { last } = state;
  // The list may be some seconds old; the newest record came with the state.
  if (!records.isComplete && last && newest[0]?.ticket_id !== last.ticket_id) newest.unshift(last);
  const columns = ['ticket', 'time', 'by'].map((name) => text(`desk.board.${name}`));
  const rows = newest.slice(0, SHOWN_RECORDS).map(({ ticket_id, checked_in_at, checked_in_by }) => [
    ticket_id,
    clock(checked_in_at, desk.zone),
    checked_in_by,
  ]);
  const made = table(text('desk.board.last', { count: SHOWN_RECORDS }), columns, rows);
  made.className = 'dense';
  parts.last.replaceChildren(rows.length > 0 ? made : element('p', { class: 'soft' }, text('desk.board.nobody')));
  const age = { time: clock(new Date(records.completeAt).toISOString(), desk.zone) };
  parts.asOf.textContent = records.isComplete ? '' : text('desk.board.asOf', age);

  const gates = byGate(list);
  const bars = gates.slice(0, SHOWN_GATES).map(({ name, count, last: at }) =>
    element(
      'li',
      {},
      element('span', { class: 'name' }, name),
      element('span', { class: 'number' }, number(count)),
      element('progress', { max: gates[0].count, value: count, 'aria-hidden': 'true' }),
      element('span', { class: 'soft small' }, text('desk.board.lastAt', { time: clock(at, desk.zone) })),
    ),
  );
  const more = gates.length - bars.length;
  parts.gates.replaceChildren(
    bars.length > 0 ? element('ul', { class: 'gates' }, bars) : element(
      'p',
      { class: 'soft' },
      text('desk.board.nobody'),
    ),
    more > 0 ? element('p', { class: 'soft small' }, text('desk.board.moreGates', { count: more })) : '',
  );
}
