// Gladi bersih: a rehearsal event with made-up tickets, on which every phone shows that it works.

import { path } from '../shared/attendance.js';
import { element } from '../shared/dom.js';
import { ApiError } from '../shared/http.js';
import { text } from '../shared/language.js';
import { checksOf, nextStep } from './drill-checks.js';
import { entriesOf } from './history.js';
import { follow } from './live.js';
import { linkProblem, makePass, passLink } from './passes.js';
import { inParallel, qrCode, secretQrCode } from './qr.js';
import { say } from './status.js';
import { clock, dayAndTime } from './times.js';
import { actionButton, field, freshId, heading, loadInto, nothing, whenSent } from './ui.js';

const KEY = 'tixgo.desk.drill';
const PASS_HOURS = 3;
const MOST_PHONES = 30;
/** One for the scan at once, and some for tries without a network. */
const TICKETS_A_PHONE = 5;
const PARALLEL = 4;

export function open(view) {
  const { root, state } = view;
  state.drill ??= remembered();
  state.scans ??= new Map();
  const body = element('div', { id: 'drill' });
  root.append(heading(text('desk.drill.title'), text('desk.drill.about')), body);
  if (state.drill) run(view, body);
  else begin(view, body);
}

/** `{event, title, phones: [{name, sound}]}`, or `null`. No pass is kept: one that is needed again is made again. */
function remembered() {
  try {
    return JSON.parse(localStorage.getItem(KEY));
  } catch {
    return null;
  }
}

function remember(drill) {
  try {
    if (drill) localStorage.setItem(KEY, JSON.stringify(drill));
    else localStorage.removeItem(KEY);
  } catch {
    // A browser that stores nothing forgets the rehearsal at a reload; its event is on the list of events.
  }
}

function begin(view, body) {
  const { desk, state } = view;
  const form = element(
    'form',
    { id: 'drill-form', class: 'card' },
    element('h2', {}, text('desk.drill.begin')),
    element(
      'ol',
      { class: 'steps' },
      ['what1', 'what2', 'what3', 'what4'].map((step) => element('li', {}, text(`desk.drill.${step}`))),
    ),
    field({
      name: 'phones',
      label: text('desk.drill.phones'),
      hint: text('desk.drill.phonesHint'),
      required: true,
      make: (properties) => element('textarea', { ...properties, rows: 4, value: text('desk.drill.phonesExample') }),
    }),
    element('div', { class: 'buttons' }, element('button', { class: 'primary' }, text('desk.drill.start'))),
  );
  whenSent(desk, form, async (typed) => {
    const lines = typed.get('phones').split('\n').map((name) => name.trim());
    const names = [...new Set(lines.filter(Boolean))].slice(0, MOST_PHONES);
    // Created once, whatever fails afterwards.
    state.begun ??= await createEvent(desk);
    await addTickets(desk, state.begun.id, names.length);
    state.drill = {
      event: state.begun.id,
      title: state.begun.title,
      phones: names.map((name) => ({ name, sound: null })),
    };
    state.begun = null;
    state.summary = null;
    remember(state.drill);
    run(view, body);
    await desk.loadEvents();
  });
  body.replaceChildren(...[state.summary && summary(state.summary), form].filter(Boolean));
}

function createEvent(desk) {
  const title = text('desk.drill.eventTitle', { time: dayAndTime(new Date().toISOString(), desk.zone) });
  return desk.attendance.json(
    '/events',
    { method: 'POST', json: { title, description: text('desk.drill.eventDescription') } },
  );
}

function addTickets(desk, event, phones) {
  const tickets = Array.from({ length: phones }, (_, phone) => ticketsOf(phone)).flat();
  const json = { tickets: tickets.map((ticket_id, index) => ({
    ticket_id,
    name: text('desk.drill.guest', { number: index + 1 }),
    kind: text('desk.drill.title'),
  })) };
  return desk.attendance.json(path`/events/${event}/tickets`, { method: 'PUT', json });
}

/** The made-up tickets that are shown to the phone with this number. */
function ticketsOf(phone) {
  return Array.from(
    { length: TICKETS_A_PHONE },
    (_, index) => `GLADI-${String(phone + 1).padStart(2, '0')}-${index + 1}`,
  );
}

/** Shows how far the phones are, and what to do with one of them. */
function run(view, body) {
  const { desk, signal, state } = view;
  const { drill } = state;
  const list = element('ul', { class: 'phones', 'aria-label': text('desk.drill.phones') });
  const guide = element('div', { class: 'card guide' });
  const connection = element('p', { class: 'error', role: 'alert', hidden: true });
  const end = actionButton(
    desk,
    text('desk.drill.end'),
    () => finish(view, body),
    { id: 'drill-end', class: 'danger' },
  );
  body.replaceChildren(
    element('div', { class: 'drill' }, element('div', {}, list, connection), guide),
    element(
      'div',
      { class: 'card end' },
      element('p', {}, text('desk.drill.endAbout', { title: drill.title })),
      element('div', { class: 'buttons' }, end),
    ),
  );
  const drilled = new AbortController();
  signal.addEventListener('abort', () => drilled.abort());
  view.stop = () => drilled.abort();
  view.show = () => {
    showPhones(view, list);
    showGuide(view, guide);
  };
  view.list = list;
  state.chosen ??= drill.phones[0].name;
  view.show();
  follow(desk, drill.event, drilled.signal, {
    onState: async () => {
      connection.hidden = true;
      await takeScans(view, drilled.signal);
    },
    onLost: (error) => {
      if (!error) return;
      connection.textContent = desk.failed(error);
      connection.hidden = false;
    },
  });
}

/** Takes in the scans that are new: which phone, when, and whether they had to wait. */
async function takeScans(view, signal) {
  const { desk, state } = view;
  const { event } = state.drill;
  try {
    const { records } = await desk.attendance.json(path`/attendance/${event}`, { signal });
    const fresh = records.filter(({ ticket_id }) => !state.scans.has(ticket_id));
    await inParallel(fresh, PARALLEL, async ({ ticket_id }) => {
      const entries = await entriesOf({ desk, event }, ticket_id);
      state.scans.set(ticket_id, entries.find(({ kind }) => kind === 'checked_in'));
    });
    if (fresh.length === 0 || signal.aborted) return;
    view.show();
    const phone = state.drill.phones.find(({ name }) => name === state.chosen);
    say(stepTitle(phone, nextStep(checks(view, phone))));
  } catch (error) {
    // The stream tells what is wrong, and the scans come with its next state.
    if (!signal.aborted) desk.failed(error);
  }
}

function checks({ state }, { name, sound }) {
  const scans = [...state.scans.values()].sort((a, b) => (a.at < b.at ? -1 : 1));
  return checksOf(name, scans, sound);
}

const MARKS = { yes: '✓', no: '✗', open: '○' };

/** The four things about a phone: `[{text, mark}]`. */
function marksOf({ direct, late, sound, clockOff }) {
  const mark = (is) => (is === null || is === undefined ? 'open' : is ? 'yes' : 'no');
  const marks = [
    [text('desk.drill.camera'), mark(direct && true)],
    [text('desk.drill.queue'), mark(late && true)],
    [text('desk.drill.sync'), mark(late && true)],
    [text('desk.drill.sound'), mark(sound)],
  ];
  if (clockOff) marks.push([text('desk.drill.clock'), 'no']);
  return marks.map(([name, kind]) =>
    element(
      'span',
      { class: `mark ${kind}` },
      element('span', { 'aria-hidden': 'true' }, MARKS[kind]),
      ` ${name}`,
      element('span', { class: 'visually-hidden' }, `: ${text(`desk.drill.marks.${kind}`)}`),
    ),
  );
}

function showPhones(view, list) {
  const { state } = view;
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.phone : null;
  list.replaceChildren(
    ...state.drill.phones.map((phone) => {
      const checked = checks(view, phone);
      const button = element(
        'button',
        { type: 'button', 'data-phone': phone.name, 'aria-pressed': String(phone.name === state.chosen) },
        element('strong', {}, phone.name),
        element('span', { class: 'marks' }, marksOf(checked)),
      );
      button.addEventListener('click', () => {
        state.chosen = phone.name;
        view.show();
      });
      return element('li', { class: checked.isReady ? 'ready' : '' }, button);
    }),
  );
  if (focused) [...list.querySelectorAll('button')].find(({ dataset }) => dataset.phone === focused)?.focus();
}

/** Shows the next step of the chosen phone, unless it is shown already: a code must not flicker under a camera. */
function showGuide(view, guide) {
  const { state } = view;
  const phone = state.drill.phones.find(({ name }) => name === state.chosen);
  const checked = checks(view, phone);
  const step = nextStep(checked);
  const ticket = ticketsOf(state.drill.phones.indexOf(phone)).find((id) => !state.scans.has(id)) ?? null;
  const isJoining = step === 'direct' && !phone.hasPass;
  const shown = [phone.name, isJoining ? 'join' : step, ticket, checked.notLate, phone.sound].join('\n');
  if (guide.dataset.shown === shown) return;
  guide.dataset.shown = shown;
  const id = freshId();
  guide.setAttribute('aria-labelledby', id);
  const parts = isJoining ? join(view, phone) : STEPS[step](view, phone, checked, ticket);
  guide.replaceChildren(element('h2', { id }, stepTitle(phone, isJoining ? 'join' : step)), ...parts.filter(Boolean));
}

function stepTitle({ name }, step) {
  return text(`desk.drill.steps.${step}`, { name });
}

/** The first step: the phone opens its pass. */
function join(view, phone) {
  const { desk, state } = view;
  const place = element('div', { class: 'code' });
  loadInto(view, place, async () => {
    const { access_token } = await makePass(desk, phone.name, state.drill.event, PASS_HOURS);
    return secretQrCode(desk, passLink(access_token), text('desk.passes.codeOf', { name: phone.name }));
  }, (code) => {
    code.id = 'drill-pass';
    place.replaceChildren(code);
  });
  const on = element(
    'button',
    { type: 'button', class: 'primary', 'data-action': 'joined' },
    text('desk.drill.joined'),
  );
  on.addEventListener('click', () => {
    phone.hasPass = true;
    remember(state.drill);
    view.show();
  });
  const problem = linkProblem();
  return [
    problem && element('p', { class: 'notice' }, problem),
    element('p', {}, text('desk.drill.joinHow')),
    place,
    element('div', { class: 'buttons' }, on),
  ];
}

const STEPS = {
  direct: (view, phone, _, ticket) => [
    element('p', {}, text('desk.drill.directHow')),
    ticketCode(view, ticket),
    element('p', { class: 'soft' }, text('desk.drill.directWait')),
    element('div', { class: 'buttons' }, passAgain(view, phone)),
  ],
  late: (view, phone, { notLate }, ticket) => [
    notLate && element('p', { class: 'notice', role: 'alert' }, text('desk.drill.notLate')),
    element(
      'ol',
      { class: 'steps' },
      ['late1', 'late2', 'late3'].map((step) => element('li', {}, text(`desk.drill.${step}`))),
    ),
    ticketCode(view, ticket),
    element('p', { class: 'soft' }, text('desk.drill.lateWait')),
    element('div', { class: 'buttons' }, passAgain(view, phone)),
  ],
  sound: (view, phone, checked) => {
    const answer = (heard, label) => {
      const button = element(
        'button',
        { type: 'button', class: heard ? 'primary' : '', 'data-action': heard ? 'heard' : 'not-heard' },
        text(label),
      );
      button.addEventListener('click', () => setSound(view, phone, heard));
      return button;
    };
    return [
      result(view, checked),
      element('p', {}, text('desk.drill.soundHow')),
      element('div', { class: 'buttons' }, answer(true, 'desk.drill.heard'), answer(false, 'desk.drill.notHeard')),
    ];
  },
  done: (view, phone, checked) => {
    const next = view.state.drill.phones.find((other) => nextStep(checks(view, other)) !== 'done');
    const go = next && element(
      'button',
      { type: 'button', class: 'primary' },
      text('desk.drill.next', { name: next.name }),
    );
    go?.addEventListener('click', () => {
      view.state.chosen = next.name;
      view.show();
    });
    const askAgain = element(
      'button',
      { type: 'button', onclick: () => setSound(view, phone, null) },
      text('desk.drill.askSound'),
    );
    return [
      result(view, checked),
      checked.sound === false && element('p', { class: 'notice' }, text('desk.drill.noSound')),
      element(
        'p',
        { class: checked.isReady ? 'notice good' : 'notice' },
        text(checked.isReady ? 'desk.drill.ready' : 'desk.drill.notReady', { name: phone.name }),
      ),
      element('div', { class: 'buttons' }, go, askAgain),
    ];
  },
};

function setSound(view, phone, heard) {
  phone.sound = heard;
  remember(view.state.drill);
  view.show();
}

function passAgain(view, phone) {
  const button = element('button', { type: 'button' }, text('desk.drill.passAgain'));
  button.addEventListener('click', () => {
    phone.hasPass = false;
    view.show();
  });
  return button;
}

function ticketCode(view, ticket) {
  if (!ticket) return nothing(text('desk.drill.noTickets'));
  const place = element('div', { class: 'code', id: 'drill-code', 'data-ticket': ticket });
  loadInto(
    view,
    place,
    () => qrCode(view.desk, ticket, text('desk.sheet.codeOf', { ticket })),
    (code) => place.replaceChildren(code, element('code', {}, ticket)),
  );
  return place;
}

/** What the scans of a phone have shown, in sentences. */
function result({ desk }, { direct, late, clockOff }) {
  const sentences = [
    direct && text('desk.drill.directAt', { time: clock(direct, desk.zone) }),
    late && text('desk.drill.lateAt', { time: clock(late.at, desk.zone), seconds: late.seconds }),
    clockOff && text('desk.drill.clockOff', { minutes: Math.abs(clockOff) }),
  ];
  return element('ul', {}, sentences.filter(Boolean).map((sentence) => element('li', {}, sentence)));
}

/** Deletes the rehearsal event, and keeps what it has shown on the page. */
async function finish(view, body) {
  const { desk, state } = view;
  const { event, phones } = state.drill;
  const results = phones.map((phone) => ({ name: phone.name, checked: checks(view, phone) }));
  try {
    await desk.attendance.json(path`/events/${event}`, { method: 'DELETE' });
  } catch (error) {
    // Somebody has deleted it on the list of events.
    if (!(error instanceof ApiError) || error.status !== 404) throw error;
  }
  view.stop();
  remember(null);
  Object.assign(state, { drill: null, chosen: null, scans: new Map(), summary: results });
  say(text('desk.drill.ended'));
  begin(view, body);
  await desk.loadEvents();
}

function summary(results) {
  const ready = results.filter(({ checked }) => checked.isReady).length;
  return element(
    'section',
    { class: 'card', id: 'drill-summary' },
    element('h2', {}, text('desk.drill.summary', { ready, total: results.length })),
    element(
      'ul',
      { class: 'phones' },
      results.map(({ name, checked }) => element(
        'li',
        {},
        element('strong', {}, name),
        element('span', { class: 'marks' }, marksOf(checked)),
      )),
    ),
  );
}
