// Choosing the event, and which door this is.

import { path } from '../shared/attendance.js';
import { byId, element } from '../shared/dom.js';
import { errorText, isNotFound } from '../shared/errors.js';
import { text } from '../shared/language.js';
import { forgetOtherEvents } from './knowledge.js';

export const EVENTS = 'events';
const CHOICE = 'choice';

/** The screen between logging in and the first guest. */
export class EventScreen {
  #store;
  #attendance;
  #session;
  #events = [];

  /** `onStart` is called with `{event, gate}` in the tap on Mulai. */
  constructor({ store, attendance, session, onStart }) {
    this.#store = store;
    this.#attendance = attendance;
    this.#session = session;
    byId('event-form').addEventListener('submit', (submit) => {
      submit.preventDefault();
      const event = this.#events.find(({ id }) => id === byId('event').value);
      if (!event) return;
      // The server takes neither control characters nor halves of surrogate pairs.
      const gate = byId('gate-name').value.replace(/[\p{Cc}\p{Cs}]/gu, '').trim();
      store.write({ put: { [CHOICE]: { event: event.id, gate } } }).catch(reportError);
      onStart({ event, gate });
    });
  }

  /** Shows the events that are known, then those that the server has. `gone`, the id of one, says that it has it no more. */
  async show({ gone } = {}) {
    const { event, name } = this.#session.user;
    byId('event-heading').textContent = text('gate.hello', { name });
    byId('event-error').hidden = true;
    if (gone) this.#say(text(event ? 'gate.notice.passEventGone' : 'gate.eventGone'));
    const [kept = [], choice] = [await this.#store.get(EVENTS), await this.#store.get(CHOICE)];
    if (choice && !byId('gate-name').value) byId('gate-name').value = choice.gate;
    const known = event ? passEvent(kept, event) : kept;
    this.#offer(known.filter(({ id }) => id !== gone), event ?? choice?.event);
    try {
      const asked = event ? [this.#attendance.json(path`/events/${event}`)] : await this.#attendance.json('/events');
      const events = await Promise.all(asked);
      this.#offer(events, event ?? (byId('event').value || choice?.event));
      if (events.length === 0 && !gone) this.#say(text('gate.noEvents'));
      await this.#store.write({ put: { [EVENTS]: events } });
      await forgetOtherEvents(this.#store, events.map(({ id }) => id));
    } catch (error) {
      if (!this.#session.user) return;
      if (event && isNotFound(error)) {
        this.#offer([]);
        this.#say(text('gate.notice.passEventGone'));
      } else if (!gone) this.#say(errorText(error));
    }
  }

  #offer(events, chosen) {
    this.#events = events;
    const options = events.map(({ id, title }) => element('option', { value: id }, title));
    byId('event').replaceChildren(...options);
    if (events.some(({ id }) => id === chosen)) byId('event').value = chosen;
    byId('start').disabled = events.length === 0;
  }

  #say(sentence) {
    byId('event-error').textContent = sentence;
    byId('event-error').hidden = false;
  }
}

/** The event of a gate pass, by name if it is known. */
function passEvent(kept, id) {
  return [kept.find((event) => event.id === id) ?? { id, title: text('gate.passEvent') }];
}
