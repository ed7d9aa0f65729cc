// Questions before something that cannot be taken back.

import { byId } from '../shared/dom.js';

/**
 * Asks, and resolves to whether the answer was yes. The focus goes back to where it was.
 *
 * @param {{question: string, explanation?: string, yes: string}} texts `yes` names what is then done
 */
export function confirm({ question, explanation = '', yes }) {
  const dialog = byId('confirm');
  const [yesButton, noButton] = [byId('confirm-yes'), byId('confirm-no')];
  byId('confirm-question').textContent = question;
  byId('confirm-explanation').textContent = explanation;
  byId('confirm-explanation').hidden = !explanation;
  yesButton.textContent = yes;
  yesButton.className = 'danger solid';
  dialog.showModal();
  noButton.focus();
  return new Promise((resolve) => {
    dialog.returnValue = '';
    yesButton.onclick = () => dialog.close('yes');
    noButton.onclick = () => dialog.close('');
    dialog.onclose = () => resolve(dialog.returnValue === 'yes');
  });
}
