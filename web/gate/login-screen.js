// Logging in by name and password.

import { byId, element } from '../shared/dom.js';
import { errorText } from '../shared/errors.js';
import { NoAnswer } from '../shared/http.js';
import { text } from '../shared/language.js';
import { identityUrl } from '../shared/session.js';

/** Logs in with what is typed. `onLogIn` is called when somebody is. */
export function prepareLogin(session, onLogIn) {
  const error = byId('login-error');
  byId('login').addEventListener('submit', async (event) => {
    event.preventDefault();
    error.hidden = true;
    const button = event.target.querySelector('button');
    button.disabled = true;
    try {
      await session.logIn(byId('username').value.trim(), byId('password').value);
      byId('password').value = '';
      onLogIn();
    } catch (failure) {
      error.replaceChildren(...reason(failure));
      error.hidden = false;
    } finally {
      button.disabled = false;
    }
  });
}

function reason(failure) {
  if (!(failure instanceof NoAnswer)) return [errorText(failure)];
  // A certificate of its own has to be accepted there, which a link makes easy.
  const url = identityUrl();
  const [before, after] = text('common.errors.identityDown', { url: '\n' }).split('\n');
  return [before, element('a', { href: url, target: '_blank', rel: 'noopener' }, url), after];
}
