// The desk: who is logged in, which section is shown, and what stands around it.

import { byId, element } from '../shared/dom.js';
import { fillTexts, language, languageChanges, setLanguage, text } from '../shared/language.js';
import { Session } from '../shared/session.js';
import * as account from './account.js';
import * as board from './board.js';
import { Desk } from './desk.js';
import * as drill from './drill.js';
import * as events from './events.js';
import { explain, needsLogin } from './explain.js';
import { logIn } from './identity.js';
import * as people from './people.js';
import * as report from './report.js';
import { OF_EVENT, readRoute, writeRoute } from './route.js';
import * as search from './search.js';
import * as sheet from './sheet.js';
import * as tickets from './tickets.js';
import { clearStatus, say } from './status.js';
import { heading, nothing, onlyOnce } from './ui.js';
import { zoneName, zonesToChoose } from './zones.js';

const SECTIONS = { account, board, drill, events, people, report, search, sheet, tickets };
const FOR_ADMINS = ['events', 'tickets', 'sheet', 'people', 'drill'];

const session = new Session();
const desk = new Desk(session);

/** What is shown: `{section, event, user, state, abort}`. `state` outlives a change of language. */
let shown = null;

start();

function start() {
  fillTexts();
  byId('language').value = language();
  byId('language').addEventListener('change', ({ target }) => setLanguage(target.value));
  languageChanges.addEventListener('change', () => {
    fillTexts();
    showAround();
    showAgain();
  });
  byId('time-zone').addEventListener('change', ({ target }) => {
    desk.chooseZone(target.value);
    showAgain();
  });
  byId('event').addEventListener('change', ({ target }) => chooseEvent(target.value));
  byId('log-out').addEventListener('click', () => session.logOut());
  byId('login').addEventListener('submit', sendLogin);
  byId('skip').addEventListener('click', (event) => {
    event.preventDefault();
    (byId('desk').hidden ? byId('username') : byId('section')).focus();
  });
  desk.addEventListener('events', showAround);
  desk.addEventListener('login', ({ detail }) => showLogin(detail));
  desk.connection.addEventListener('recovered', loadMissingEvents);
  session.addEventListener('change', enter);
  addEventListener('hashchange', show);
  enter();
}

/** Shows the desk to whoever is logged in, or asks who it is. */
async function enter() {
  const { user } = session;
  if (!user || user.role === 'gate') {
    leave();
    desk.events = [];
    desk.hasEvents = false;
    showLogin(user ? text('desk.login.isGate', { name: user.name }) : '');
    return;
  }
  // The token was renewed, or the same user has logged in again: everything is still there.
  if (shown && shown.user.name === user.name && shown.user.role === user.role) {
    showDesk();
    return;
  }
  try {
    await desk.loadEvents();
  } catch (error) {
    // A section says what is missing, and the events come once the service answers again.
    desk.failed(error);
    if (needsLogin(error)) return;
  }
  showDesk();
  show();
}

async function loadMissingEvents() {
  if (!session.user || desk.hasEvents) return;
  try {
    await desk.loadEvents();
    show();
  } catch (error) {
    desk.failed(error);
  }
}

function showLogin(reason) {
  byId('desk').hidden = true;
  byId('login-view').hidden = false;
  byId('login-reason').textContent = reason;
  byId('login-reason').hidden = !reason;
  for (const id of ['event-choice', 'time-zone-choice', 'log-out']) byId(id).hidden = true;
  document.title = `${text('desk.title')} · TixGo`;
  byId(byId('username').value ? 'password' : 'username').focus();
}

function showDesk() {
  byId('login-view').hidden = true;
  byId('login-error').hidden = true;
  byId('desk').hidden = false;
  for (const id of ['time-zone-choice', 'log-out']) byId(id).hidden = false;
  showAround();
}

function sendLogin(event) {
  event.preventDefault();
  const [username, password, error] = [byId('username'), byId('password'), byId('login-error')];
  onlyOnce(event.target.querySelector('button'), async () => {
    error.hidden = true;
    const missing = [username, password].find((input) => !input.value);
    try {
      if (!missing) {
        await logIn(session, username.value.trim(), password.value);
        password.value = '';
        return;
      }
      error.textContent = text('desk.login.needBoth');
      missing.focus();
    } catch (failure) {
      error.textContent = explain(failure);
      password.select();
    }
    error.hidden = false;
  });
}

/** Fills in the head and the navigation. */
function showAround() {
  const { user, isAdmin } = desk;
  const zone = byId('time-zone');
  zone.replaceChildren(...zonesToChoose().map((name) => element('option', { value: name }, zoneName(name))));
  zone.value = desk.zone;
  if (!user) return;

  const choice = byId('event');
  const options = desk.events.map(({ id, title }) => element('option', { value: id }, title));
  if (desk.event !== null && desk.hasEvents && !desk.events.some(({ id }) => id === desk.event)) {
    options.push(element('option', { value: desk.event }, text('desk.otherEvent', { event: desk.event })));
  }
  choice.replaceChildren(...options.reverse());
  if (desk.event !== null) choice.value = desk.event;
  byId('event-choice').hidden = options.length === 0 || byId('desk').hidden;

  for (const link of byId('sections').querySelectorAll('[data-section]')) {
    const { section } = link.dataset;
    link.hidden = FOR_ADMINS.includes(section) && !isAdmin;
    if (OF_EVENT.includes(section)) link.href = writeRoute(section, desk.event ?? '-');
    const isCurrent = section === shown?.section || (section === 'tickets' && shown?.section === 'sheet');
    if (isCurrent) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  byId('account-name').textContent = user.name;
  // On a phone the sections are a row that is wider than the screen.
  const sections = byId('sections');
  const current = sections.querySelector('[aria-current]');
  if (current) sections.scrollLeft = current.offsetLeft - (sections.clientWidth - current.clientWidth) / 2;
}

function chooseEvent(id) {
  desk.chooseEvent(id);
  if (shown && OF_EVENT.includes(shown.section)) location.hash = writeRoute(shown.section, id);
  else showAgain();
}

/** Where to begin: with the events for an admin who has none, else with the board. */
function firstRoute() {
  if (desk.event !== null && !desk.isAdmin) return writeRoute('board', desk.event);
  return desk.isAdmin ? '#/events' : writeRoute('board', '-');
}

/** Shows the section that the address names. */
function show() {
  if (!session.user || session.user.role === 'gate') return;
  const route = readRoute(location.hash);
  if (!route) {
    location.replace(firstRoute());
    return;
  }
  if (shown) clearStatus();
  leave();
  if (route.event !== null && route.event !== '-' && route.event !== desk.event) desk.chooseEvent(route.event);
  shown = { ...route, user: session.user, state: {}, abort: new AbortController() };
  open();
  const title = byId('section').querySelector('h1');
  document.title = `${title?.textContent ?? text('desk.title')} · TixGo`;
  title?.focus({ preventScroll: true });
  scrollTo(0, 0);
}

/** Shows the same section again, in another language or time zone, with what was typed. */
function showAgain() {
  if (!shown) return;
  shown.abort.abort();
  shown.abort = new AbortController();
  const typed = [...byId('section').querySelectorAll('input, select, textarea')]
    .filter((input) => (input.name || input.id) && input.type !== 'file')
    .map(({ form, name, id, value, checked }) => ({ form: form?.id, key: name || id, value, checked }));
  open();
  for (const input of byId('section').querySelectorAll('input, select, textarea')) {
    const kept = typed.find(({ form, key }) => form === input.form?.id && key === (input.name || input.id));
    if (!kept || input.type === 'file') continue;
    input.value = kept.value;
    input.checked = kept.checked;
  }
}

function open() {
  const { section, event, state, abort } = shown;
  const root = byId('section');
  root.replaceChildren();
  root.dataset.section = section;
  showAround();
  const view = { desk, root, event, state, signal: abort.signal };
  if (FOR_ADMINS.includes(section) && !desk.isAdmin) {
    root.append(heading(text(`desk.${section}.title`)), nothing(text('desk.adminOnly')));
  } else if (event === '-') {
    const link = element('a', { class: 'button primary', href: '#/events' }, text('desk.events.new'));
    root.append(heading(text(`desk.${section}.title`)), nothing(text('desk.noEvent'), desk.isAdmin && link));
  } else {
    SECTIONS[section].open(view);
  }
}

function leave() {
  shown?.abort.abort();
  shown = null;
  byId('section').replaceChildren();
}

addEventListener('unhandledrejection', () => say(text('desk.broken')));
