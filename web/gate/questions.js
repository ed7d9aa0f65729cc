// The questions that are asked before something is undone, or forgotten.

import { byId } from '../shared/dom.js';
import { text } from '../shared/language.js';
import { admissionText } from './scan-view.js';

/** Asks before the last admission of `gate` is undone. Meanwhile the next guest may come. `onFailure` hears why it failed. */
export function askToUndo(gate, onFailure) {
  const { admission } = gate;
  byId('undo-title').textContent = text('gate.undoQuestion', { guest: admissionText(admission) });
  ask('undo', () => gate.undo(admission).catch(onFailure));
}

/** Asks before a scan of `ticket` is forgotten that the server does not take: it is lost with this phone. */
export function askToForget(ticket, onForget) {
  byId('forget-title').textContent = text('gate.forgetQuestion', { ticket });
  ask('forget', onForget);
}

function ask(name, onConfirm) {
  const question = byId(`${name}-question`);
  byId(`${name}-cancel`).onclick = () => question.close();
  byId(`${name}-confirm`).onclick = () => {
    question.close();
    onConfirm();
  };
  question.showModal();
}
