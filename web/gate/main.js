// The gate: a volunteer's phone at a door.

import { Attendance } from '../shared/attendance.js';
import { byId } from '../shared/dom.js';
import { errorText, isNotFound } from '../shared/errors.js';
import { ApiError } from '../shared/http.js';
import { fillTexts, language, languageChanges, setLanguage, text } from '../shared/language.js';
import { Session, SessionEnded } from '../shared/session.js';
import { Camera } from './camera.js';
import { Connection } from './connection.js';
import { EVENTS, EventScreen } from './event-screen.js';
import { showFacts } from './facts-view.js';
import { Flush } from './flush.js';
import { Gate, LAST_ADMISSION } from './gate.js';
import { listenToScanner } from './keyboard-scanner.js';
import { Knowledge } from './knowledge.js';
import { prepareLogin } from './login-screen.js';
import { Notices } from './notices.js';
import { keepPage } from './offline-page.js';
import { problemOfPass, takePass } from './pass.js';
import { askToForget, askToUndo } from './questions.js';
import { QUEUE_CHANNEL, Queue } from './queue.js';
import { Reader } from './reader.js';
import { showAdmission, showNotes, showVerdict } from './scan-view.js';
import { decidingAlone, pageApi, sendingAlone } from './sending.js';
import { Signals } from './signals.js';
import { openStore } from './store.js';
import { isKept } from './verdict.js';
import { WakeLock } from './wake-lock.js';

const main = document.querySelector('main');
const firstPass = takePass();

const store = await openStore();
const session = new Session();
const attendance = new Attendance(session);
const queue = new Queue(store, typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel(QUEUE_CHANNEL));
const flush = new Flush(store);
const connection = new Connection(synchronise, fetchList);
const notices = new Notices();
const camera = new Camera(byId('camera'));
const reader = new Reader(byId('camera'), (read) => isReading() && gate.see(read)?.catch(tellOfFailure));
const signals = new Signals();
const wakeLock = new WakeLock();
const eventScreen = new EventScreen({ store, attendance, session, onStart: start });

/** The gate that is open, what it knows, and its event; `null` before Mulai. */
let gate = null;
let knowledge = null;
let event = null;
let verdict = { state: 'ready' };
let unsynced = 0;
/** What was chosen at the last Mulai. */
let lastStart = null;
/** `wanted` once somebody has to log in again, `refused` if the volunteer goes on without the server. */
let newLogin = null;

// Screens

function showScreen(name) {
  for (const section of main.querySelectorAll('[data-of]')) section.hidden = section.dataset.of !== name;
  main.dataset.screen = name;
  byId('log-out').hidden = name === 'login';
  byId('change-event').hidden = name !== 'scan';
  render();
}

function showLogin(reason = '') {
  close();
  byId('login-error').textContent = reason;
  byId('login-error').hidden = reason === '';
  showScreen('login');
  byId('username').focus({ preventScroll: true });
}

/** `gone` is the id of an event that was just found to be deleted. */
async function showEvents({ gone } = {}) {
  close();
  showScreen('event');
  await eventScreen.show({ gone });
}

function render() {
  byId('heading').textContent = main.dataset.screen === 'scan' ? event.title : 'TixGo';
  document.title = `${main.dataset.screen === 'scan' ? event.title : text('gate.title')} · TixGo`;
  showFacts({ isOnline: connection.isOnline, unsynced, knowledge });
  showVerdict(verdict, camera.isOn && !camera.problem);
  showAdmission(gate?.admission);
  notices.render();
}

// Opening and closing the gate

async function start(choice) {
  const { event: chosen, gate: name } = choice;
  lastStart = choice;
  // In the tap itself, for browsers let a page make sounds and keep the screen on only then.
  signals.start();
  wakeLock.start();
  event = chosen;
  knowledge = new Knowledge(store, chosen.id);
  const onAdmission = () => showAdmission(gate?.admission);
  const parts = { store, queue, knowledge, attendance, connection, session, decidingAlone };
  gate = new Gate({ ...parts, onVerdict: say, onAdmission });
  gate.gateName = name;
  showScreen('scan');
  // Whoever is asked whether the page may use the camera can type meanwhile.
  camera.start();
  reader.start();
  navigator.storage?.persist?.().catch(() => {});
  await Promise.all([knowledge.load(), gate.load(), queue.release()]);
  connection.kick();
  await followQueue();
  render();
}

function close() {
  reader.stop();
  camera.stop();
  wakeLock.stop();
  for (const question of document.querySelectorAll('dialog')) question.close();
  const closing = gate;
  gate = knowledge = event = null;
  closing?.end();
}

/** Nobody is let in behind a question. */
function isReading() {
  return gate !== null && !document.querySelector('dialog[open]');
}

function say(said) {
  verdict = said;
  if (isKept(said)) notices.clear('scan');
  showVerdict(said, camera.isOn && !camera.problem);
  signals.give(said.state);
  if (said.state === 'unsure') byId('allow').scrollIntoView({ block: 'nearest' });
  if (gate) askForLogin();
}

/** Takes a code that was typed. One that has to wait for the volunteer goes to the field, so that it is not lost. */
async function take(code) {
  if (await gate.scan(code)) return;
  if (byId('code').value === '') byId('code').value = code;
  byId('decide-first').hidden = false;
}

/** What the browser refuses to keep, it refuses with a DOMException. */
function tellOfFailure(error) {
  if (error instanceof DOMException) notices.set('scan', { text: 'gate.notice.storeFailed' });
  reportError(error);
}

// Synchronising

async function synchronise() {
  if (!session.user) throw new SessionEnded();
  const { unsynced: before } = await queue.summary();
  await sendingAlone(() => flush.run(pageApi(attendance), session.user.name, () => queue.changed()));
  await knowledge?.fetchChanges(attendance);
  if (before > 0) queue.changed();
}

async function fetchList() {
  const current = knowledge;
  try {
    await current?.fetchList(attendance);
    await current?.fetchChanges(attendance);
    notices.clear('event');
  } catch (error) {
    if (!(error instanceof ApiError) || error.isTemporary || error.status === 401) throw error;
    if (current !== knowledge) return;
    // To the service, a deleted event is one without a list, where any ticket is let in.
    if (isNotFound(error)) return void showEvents({ gone: current.event });
    notices.set('event', { text: 'gate.notice.event', values: { reason: errorText(error) }, screens: ['scan'] });
  }
}

/** Shows what has become of the queue. */
async function followQueue() {
  const summary = await queue.summary();
  unsynced = summary.unsynced;
  showFacts({ isOnline: connection.isOnline, unsynced, knowledge });
  showNotes(summary.notes, dismiss);
  if (!gate) return;
  const news = summary.notes.filter(({ conflict }) => conflict && !conflict.isTold);
  if (news.length === 0) return;
  gate.tell(news);
  await queue.noteTold(news.map(({ order }) => order));
}

/** The server knows a conflict. A scan that it does not take is lost with this phone, so it is asked about. */
function dismiss({ order, ticket, conflict }) {
  if (conflict) queue.dismiss(order);
  else askToForget(ticket, () => queue.dismiss(order));
}

// A session that has ended

function tellThatSessionEnded() {
  // Whoever has logged out knows.
  if (!session.user) return;
  const key = session.user?.event ? 'gate.notice.passEnded' : 'gate.notice.sessionEnded';
  const goOn = lastStart && { action: 'gate.goOn', onAction: goOnWithoutServer };
  const logIn = { action: 'gate.logInAgain', onAction: () => showLogin() };
  notices.set('session', { text: key, ...logIn, screens: ['event', 'scan'] });
  notices.set('login', { text: key, ...goOn, screens: ['login'] });
  newLogin ??= 'wanted';
  askForLogin();
}

/** Asks for a login as soon as no guest waits for a verdict. */
function askForLogin() {
  if (newLogin === 'wanted' && verdict.state === 'ready' && main.dataset.screen !== 'login') showLogin();
}

/** A door must not stay closed: without the server, the phone decides by what it knows. */
function goOnWithoutServer() {
  newLogin = 'refused';
  start(lastStart);
}

/** Keeps the page on the phone, or says why it is not kept. */
async function keep() {
  const problem = await keepPage();
  if (problem) notices.set('page', { text: `gate.notice.page.${problem}`, screens: ['login', 'event'] });
  else notices.clear('page');
}

// Who is here

async function enter() {
  newLogin = null;
  for (const name of ['session', 'login', 'pass']) notices.clear(name);
  await keepToken();
  await queue.release();
  connection.start();
  await showEvents();
}

/** The service worker, which sends the queue in the background, has no other way to the token. */
async function keepToken() {
  const token = await session.token().catch(() => null);
  await store.write(token ? { put: { token } } : { remove: ['token'] });
}

async function usePass(pass) {
  const problem = await problemOfPass(pass, session);
  if (problem) return refusePass(problem);
  session.usePass(pass);
  await enter();
}

async function refusePass(key) {
  if (!session.user || main.dataset.screen === 'login') return showLogin(text(key));
  if (!gate) await enter();
  notices.set('pass', { text: key });
}

async function begin(pass) {
  if (pass !== null) await usePass(pass);
  else if (session.user) await enter();
  else showLogin();
}

// Controls

prepareLogin(session, enter);
byId('log-out').addEventListener('click', async () => {
  connection.stop();
  newLogin = null;
  notices.clear('login');
  showLogin();
  // The queue stays, and which tickets were let in here; nothing else that names a guest.
  await Promise.all([session.logOut(), store.write({ remove: [EVENTS, LAST_ADMISSION] })]);
});
byId('change-event').addEventListener('click', () => showEvents());
byId('language').addEventListener('click', () => setLanguage(language() === 'id' ? 'en' : 'id'));
byId('code-form').addEventListener('submit', (submit) => {
  submit.preventDefault();
  const code = byId('code').value;
  byId('code').value = '';
  take(code).catch(tellOfFailure);
});
byId('allow').addEventListener('click', () => gate.answer(true).catch(tellOfFailure));
byId('deny').addEventListener('click', () => gate.answer(false).catch(tellOfFailure));
byId('torch').addEventListener('click', () => camera.setTorch(!camera.isTorchOn));
listenToScanner(document, (code) => isReading() && take(code).catch(tellOfFailure), () => gate !== null);
byId('undo').addEventListener('click', () => askToUndo(gate, tellOfFailure));

// What happens meanwhile

camera.addEventListener('change', () => {
  const { problem, hasTorch, isTorchOn } = camera;
  if (problem) notices.set('camera', { text: `gate.cameraProblem.${problem}`, screens: ['scan'] });
  else notices.clear('camera');
  main.querySelector('.picture').hidden = problem !== null;
  byId('torch').hidden = !hasTorch;
  byId('torch').setAttribute('aria-pressed', String(isTorchOn));
  if (gate && verdict.state === 'ready') showVerdict(verdict, camera.isOn && !problem);
});
connection.addEventListener('change', render);
connection.addEventListener('progress', () => {
  showFacts({ isOnline: connection.isOnline, unsynced, knowledge });
  // The network may have broken while the files of the page were fetched.
  if (navigator.serviceWorker && !navigator.serviceWorker.controller) keep();
});
connection.addEventListener('ended', tellThatSessionEnded);
queue.addEventListener('change', followQueue);
session.addEventListener('change', async ({ detail }) => {
  await keepToken();
  if (!session.user && main.dataset.screen !== 'login') showLogin();
  // Whoever has logged in here, or has opened a pass, enters by that; to do it twice would close a gate just opened.
  if (!session.user || !detail.isElsewhere) return;
  const isOfOtherEvent = gate && session.user.event && session.user.event !== event.id;
  if (newLogin || isOfOtherEvent) await enter();
});
languageChanges.addEventListener('change', async () => {
  fillTexts();
  render();
  if (main.dataset.screen === 'event') await eventScreen.show();
  await followQueue();
});
addEventListener('hashchange', () => {
  const pass = takePass();
  if (pass !== null) usePass(pass);
});
addEventListener('beforeunload', (leaving) => {
  // Without a tap before, browsers neither ask nor like to be told to.
  if (unsynced > 0 && navigator.userActivation?.hasBeenActive !== false) leaving.preventDefault();
});
setInterval(() => {
  showAdmission(gate?.admission);
  showFacts({ isOnline: connection.isOnline, unsynced, knowledge });
}, 1000);

fillTexts();
if (!store.isLasting) notices.set('store', { text: 'gate.notice.storeRefused' });
// Before any screen is shown: it says how many scans wait.
await followQueue();
await begin(firstPass);
await keep();
