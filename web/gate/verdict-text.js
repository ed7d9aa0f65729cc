// A verdict in words.

import { language, text } from '../shared/language.js';

/** `{word, guest, reason, ticket}` of a verdict as verdict.js gives it. Empty texts are left out. */
export function verdictTexts(verdict, hasCamera) {
  const { state, ticket = '' } = verdict;
  if (state === 'ready') return readyTexts(verdict, hasCamera);
  return { word: text(`gate.word.${state}`), guest: guestText(verdict.guest), reason: reasonText(verdict), ticket };
}

/** Name and kind of a guest, or ''. */
export function guestText(guest) {
  return [guest?.name, guest?.kind].filter(Boolean).join(' · ');
}

/** Hour and minute, with the day if it was not today. */
export function timeText(at) {
  const time = new Date(at);
  const isToday = time.toDateString() === new Date().toDateString();
  const day = isToday ? {} : { day: 'numeric', month: 'short' };
  return time.toLocaleString(language(), { ...day, hour: '2-digit', minute: '2-digit' });
}

function readyTexts({ undone, notUndone }, hasCamera) {
  const admission = undone ?? notUndone;
  const guest = admission && (guestText(admission.guest) || admission.ticket);
  const reason = admission ? text(undone ? 'gate.undone' : 'gate.notUndone', { guest }) : '';
  return { word: text(hasCamera ? 'gate.word.ready' : 'gate.word.readyToType'), guest: '', reason, ticket: '' };
}

function reasonText({ state, reason, by, at, here, detail }) {
  if (state === 'conflict' && reason !== 'conflict') return text(`gate.reason.${reason}`);
  if (state === 'already' || state === 'conflict') return useText(state, { by, at, here });
  if (state === 'in-unsynced') return text('gate.reason.kept');
  if (reason === 'server') return text('gate.reason.server', { detail });
  return reason ? text(`gate.reason.${reason}`) : '';
}

function useText(state, { by, at, here }) {
  if (!by || !at) return text(state === 'conflict' ? 'gate.reason.conflict' : 'gate.reason.known');
  const values = { name: by, time: timeText(at) };
  if (state === 'conflict') return text('gate.reason.conflictWith', values);
  return text(here ? 'gate.reason.usedHere' : 'gate.reason.usedBy', values);
}
