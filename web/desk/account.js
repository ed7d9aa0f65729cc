// One's own account.

import { element } from '../shared/dom.js';
import { text } from '../shared/language.js';
import { logIn } from './identity.js';
import { say } from './status.js';
import { card, field, heading, whenSent } from './ui.js';

export function open({ desk, root }) {
  const { user } = desk;
  const password = (name, autocomplete, more = {}) =>
    field({ name, type: 'password', label: text(`desk.account.${name}`), required: true, autocomplete, ...more });
  const form = element(
    'form',
    { id: 'password-form' },
    // For password managers, which would not know whose password it is.
    element('input', { name: 'username', value: user.name, autocomplete: 'username', hidden: true, readOnly: true }),
    password('old_password', 'current-password'),
    password('new_password', 'new-password', { minLength: 4, hint: text('desk.account.passwordHint') }),
    element('button', { class: 'primary' }, text('desk.account.changePassword')),
  );
  whenSent(desk, form, async (typed) => {
    const [old_password, new_password] = [typed.get('old_password'), typed.get('new_password')];
    await desk.identity.json('/auth/password', { method: 'POST', json: { old_password, new_password } });
    form.reset();
    say(text('desk.account.passwordChanged'));
    // The old session has ended with the old password.
    await logIn(desk.session, user.name, new_password);
  });
  const may = user.role === 'admin' ? 'desk.account.adminMay' : 'desk.account.committeeMay';
  root.append(
    heading(
      text('desk.account.title'),
      text('desk.account.is', { name: user.name, role: text(`desk.roles.${user.role}`) }),
    ),
    element(
      'div',
      { class: 'cards' },
      card(text('desk.account.changePassword'), form),
      card(text('desk.account.may'), element('p', {}, text(may))),
    ),
  );
}
