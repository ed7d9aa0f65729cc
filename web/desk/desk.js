// What all sections share: who is logged in, the services, the events, the time zone.

import { Attendance } from '../shared/attendance.js';
import { Connection } from './connection.js';
import { explain, isLost, needsLogin } from './explain.js';
import { Identity } from './identity.js';
import { zonesToChoose } from './zones.js';

const EVENT_KEY = 'tixgo.desk.event';
const ZONE_KEY = 'tixgo.desk.zone';

/** Fires `events` when the list of events or the current one has changed, and `login` when somebody has to log in. */
export class Desk extends EventTarget {
  /** The events, oldest first, once they are loaded. */
  events = [];
  /** Whether `events` are those of the service. */
  hasEvents = false;
  /** The id of the current event, which need not be one of `events`; `null` for none. */
  event = remembered(EVENT_KEY);

  constructor(session) {
    super();
    this.session = session;
    this.attendance = new Attendance(session);
    this.identity = new Identity(session);
    this.connection = new Connection();
    const zone = remembered(ZONE_KEY);
    this.zone = zonesToChoose().includes(zone) ? zone : zonesToChoose()[0];
  }

  get user() {
    return this.session.user;
  }

  get isAdmin() {
    return this.user?.role === 'admin';
  }

  /** Asks for the events. Unless the current one is among them, the newest becomes it. */
  async loadEvents() {
    this.events = await this.attendance.json('/events');
    this.hasEvents = true;
    if (!this.events.some(({ id }) => id === this.event)) {
      this.event = this.events.at(-1)?.id ?? null;
      // An event that is created later, such as a rehearsal, does not take its place.
      remember(EVENT_KEY, this.event);
    }
    this.dispatchEvent(new Event('events'));
  }

  /** Makes `id` the current event and remembers it on this device. */
  chooseEvent(id) {
    this.event = id;
    remember(EVENT_KEY, id);
    this.dispatchEvent(new Event('events'));
  }

  /** What the event `id` is called: its title, or its id where it is on no list. */
  titleOf(id) {
    return this.events.find((event) => event.id === id)?.title ?? id;
  }

  chooseZone(zone) {
    this.zone = zone;
    remember(ZONE_KEY, zone);
  }

  /** What to say of `error`. Whatever follows from it for the whole page is done too. */
  failed(error) {
    const sentence = explain(error);
    if (needsLogin(error)) {
      this.dispatchEvent(new CustomEvent('login', { detail: sentence }));
    } else if (isLost(error)) {
      this.connection.lost();
    }
    return sentence;
  }
}

function remembered(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function remember(key, value) {
  try {
    if (value === null) localStorage.removeItem(key);
    else localStorage.setItem(key, value);
  } catch {
    // A browser that stores nothing begins with the newest event next time.
  }
}
