// The events: create, change and delete them.

import { path } from '../shared/attendance.js';
import { element } from '../shared/dom.js';
import { text } from '../shared/language.js';
import { confirm } from './confirm.js';
import { writeRoute } from './route.js';
import { say } from './status.js';
import { dayAndTime } from './times.js';
import { actionButton, card, field, heading, loadInto, nothing, table, whenSent } from './ui.js';
import { fieldMoment, fieldValue, zoneName } from './zones.js';

export function open(view) {
  const { desk, root } = view;
  const create = element('button', { id: 'new-event', type: 'button', class: 'primary' }, text('desk.events.new'));
  create.addEventListener('click', () => edit(view, null));
  const list = element('div', { id: 'events' });
  root.append(heading(text('desk.events.title'), text('desk.events.about'), create), list, otherEvent(desk));
  view.list = list;
  load(view);
}

function load(view) {
  return loadInto(view, view.list, () => view.desk.loadEvents(), () => show(view));
}

function show(view) {
  const { desk, list, state } = view;
  const deleted = state.deleted && element(
    'p',
    { class: 'notice' },
    `${text('desk.events.deleted', { title: state.deleted.title })} `,
    element('a', { href: writeRoute('report', state.deleted.id) }, text('desk.events.deletedReport')),
  );
  if (desk.events.length === 0) {
    list.replaceChildren(...[deleted, nothing(text('desk.events.none'))].filter(Boolean));
    return;
  }
  const columns = ['title', 'when', 'location', 'actions'].map((name) => text(`desk.events.${name}`));
  const rows = [...desk.events].reverse().map((event) => [
    [element('strong', {}, event.title), event.description && element('p', { class: 'soft small' }, event.description)],
    when(event, desk.zone),
    event.location ?? '–',
    actions(view, event),
  ]);
  list.replaceChildren(...[deleted, table(text('desk.events.title'), columns, rows)].filter(Boolean));
}

function when({ start_time, end_time }, zone) {
  const [start, end] = [start_time, end_time].map((moment) => moment && dayAndTime(moment, zone));
  return start && end ? `${start} – ${end}` : (start ?? (end ? `– ${end}` : '–'));
}

function actions(view, event) {
  const { desk } = view;
  const open = element('a', { class: 'button', href: writeRoute('tickets', event.id) }, text('desk.tickets.title'));
  const change = element('button', { type: 'button', onclick: () => edit(view, event) }, text('desk.change'));
  const remove = actionButton(desk, text('desk.delete'), () => removeEvent(view, event), { class: 'danger' });
  for (const [button, label] of [[open, 'desk.tickets.title'], [change, 'desk.change'], [remove, 'desk.delete']]) {
    button.setAttribute('aria-label', `${text(label)}: ${event.title}`);
  }
  return element('div', { class: 'buttons' }, open, change, remove);
}

async function removeEvent(view, { id, title }) {
  const { desk } = view;
  const isSure = await confirm({
    question: text('desk.events.deleteQuestion', { title }),
    explanation: text('desk.events.deleteExplanation'),
    yes: text('desk.events.deleteYes'),
  });
  if (!isSure) return;
  await desk.attendance.json(path`/events/${id}`, { method: 'DELETE' });
  say(text('desk.events.deleted', { title }));
  view.state.deleted = { id, title };
  await load(view);
}

/** Shows the form for a new event, or for a change of `event`. */
function edit(view, event) {
  const { desk, root, signal } = view;
  const dialog = element('dialog', { class: 'wide', 'aria-labelledby': 'event-form-title' });
  const form = eventForm(desk, event, () => dialog.close());
  dialog.append(form);
  root.append(dialog);
  dialog.addEventListener('close', () => dialog.remove());
  signal.addEventListener('abort', () => dialog.remove());
  whenSent(desk, form, async (typed) => {
    const saved = await save(view, event, typed);
    dialog.close();
    say(text(event ? 'desk.events.changed' : 'desk.events.created', { title: saved.title }));
    if (!event) desk.chooseEvent(saved.id);
    await load(view);
  });
  form.addEventListener('input', () => checkOrder(form));
  dialog.showModal();
}

function eventForm(desk, event, onCancel) {
  const title = event ? text('desk.events.changeTitle', { title: event.title }) : text('desk.events.new');
  const zone = zoneName(desk.zone);
  const times = (name) =>
    field({
      name,
      type: 'datetime-local',
      label: text(`desk.events.${name}`, { zone }),
      value: fieldValue(event?.[name], desk.zone),
    });
  return element(
    'form',
    { id: 'event-form' },
    element('h2', { id: 'event-form-title' }, title),
    field({
      name: 'title',
      label: text('desk.events.titleOfEvent'),
      value: event?.title ?? '',
      required: true,
      autocomplete: 'off',
    }),
    field({ name: 'location', label: text('desk.events.location'), value: event?.location ?? '', autocomplete: 'off' }),
    element('div', { class: 'pair' }, times('start_time'), times('end_time')),
    field({
      name: 'description',
      label: text('desk.events.description'),
      value: event?.description ?? '',
      make: (properties) => element('textarea', { ...properties, rows: 3 }),
    }),
    element(
      'div',
      { class: 'buttons end' },
      element('button', { type: 'button', onclick: onCancel }, text('common.cancel')),
      element('button', { class: 'primary' }, text('desk.save')),
    ),
  );
}

function checkOrder({ elements }) {
  const [start, end] = ['start_time', 'end_time'].map((name) => elements.namedItem(name));
  const isReversed = start.value && end.value && end.value < start.value;
  end.setCustomValidity(isReversed ? text('desk.events.endBeforeStart') : '');
}

function save({ desk }, event, typed) {
  const time = (name) => {
    const value = typed.get(name);
    // A time that was not touched stays as precise as it was given.
    return event && value === fieldValue(event[name], desk.zone) ? event[name] : fieldMoment(value, desk.zone);
  };
  const json = {
    title: typed.get('title').trim(),
    location: typed.get('location').trim() || null,
    description: typed.get('description').trim() || null,
    start_time: time('start_time'),
    end_time: time('end_time'),
  };
  return event
    ? desk.attendance.json(path`/events/${event.id}`, { method: 'PUT', json })
    : desk.attendance.json('/events', { method: 'POST', json });
}

/** A way to what came in under an id that is on no list: of a deleted event, or one that was never created here. */
function otherEvent(desk) {
  const form = element(
    'form',
    { id: 'other-event' },
    field({ name: 'id', label: text('desk.events.otherId'), required: true, autocomplete: 'off', spellcheck: false }),
    element('button', {}, text('desk.events.otherOpen')),
  );
  whenSent(desk, form, async (typed) => {
    location.hash = writeRoute('report', typed.get('id').trim());
  });
  return card(text('desk.events.other'), element('p', { class: 'soft' }, text('desk.events.otherAbout')), form);
}
