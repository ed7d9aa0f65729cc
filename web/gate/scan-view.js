// The screen at the door: the verdict, what can be undone, and what somebody has to see.

import { byId, element } from '../shared/dom.js';
import { text } from '../shared/language.js';
import { guestText, timeText, verdictTexts } from './verdict-text.js';
import { UNDO_MS, isHopeless } from './verdict.js';

const main = document.querySelector('main');

/**
 * Shows a verdict: the words first, so that whoever waits for the state finds them there. What is shown already is left
 * alone, for it would be read out once more.
 */
export function showVerdict(verdict, hasCamera) {
  const texts = verdictTexts(verdict, hasCamera);
  const status = byId('status');
  for (const [name, content] of Object.entries(texts)) {
    const line = status.querySelector(`.${name}`);
    if (line.textContent !== content) line.textContent = content;
    line.hidden = content === '';
  }
  byId('verdict-icon').setAttribute('href', `#icon-${verdict.state}`);
  document.querySelector('.verdict .answers').hidden = verdict.state !== 'unsure';
  if (verdict.state !== 'unsure') byId('decide-first').hidden = true;
  if (main.dataset.state !== verdict.state) main.dataset.state = verdict.state;
}

/** Shows what can be undone, and for how long. */
export function showAdmission(admission) {
  const left = admission ? Math.ceil((admission.at + UNDO_MS - Date.now()) / 1000) : 0;
  byId('undo').hidden = left <= 0;
  if (left <= 0) return;
  byId('undo-text').textContent = text('gate.undo', { guest: admissionText(admission) });
  byId('undo-left').textContent = text('gate.seconds', { seconds: left });
}

/** Whom an admission has let in. */
export function admissionText({ guest, ticket }) {
  return guest?.name || ticket;
}

/** Shows the scans that somebody has to know of. `onDismiss` is called with the scan that was seen to. */
export function showNotes(scans, onDismiss) {
  byId('notes').hidden = byId('notes-link').hidden = scans.length === 0;
  byId('notes-link').textContent = text('gate.notesCount', { count: scans.length });
  byId('conflicts').replaceChildren(...scans.map((scan) => note(scan, onDismiss)));
}

function note(scan, onDismiss) {
  const { conflict, held, ticket, scannedAt } = scan;
  const who = [guestText(conflict?.guest), ticket].filter(Boolean).join(' · ');
  const otherTime = conflict?.at ? timeText(conflict.at) : '?';
  const values = { time: timeText(scannedAt), name: conflict?.by ?? '?', otherTime };
  const why = conflict ? text(`gate.note.${conflict.why}`, values) : heldText(held, values);
  const dismiss = { type: 'button', onclick: () => onDismiss(scan) };
  return element(
    'li',
    {},
    element('div', {}, element('strong', {}, who), element('p', {}, why)),
    (conflict || isHopeless(scan)) && element('button', dismiss, text('gate.seenTo')),
  );
}

function heldText({ why, status }, values) {
  switch (why) {
    case 'forbidden':
    case 'notUndone':
      return text(`gate.held.${why}`, values);
    default:
      return text('gate.held.refused', { ...values, status: status ?? why });
  }
}
