// The people of the committee, and passes for gates.

import { path } from '../shared/attendance.js';
import { element } from '../shared/dom.js';
import { text } from '../shared/language.js';
import { confirm } from './confirm.js';
import { passCard } from './passes.js';
import { say } from './status.js';
import { day } from './times.js';
import { actionButton, card, choice, field, heading, loadInto, table, whenSent } from './ui.js';

const ROLES = ['committee', 'admin'];

export function open(view) {
  const { root } = view;
  const list = element('div', { id: 'people' });
  view.reload = () => loadInto(view, list, () => view.desk.identity.json('/users'), (users) => show(view, list, users));
  root.append(
    heading(text('desk.people.title'), text('desk.people.about')),
    element('div', { class: 'cards' }, passCard(view), addCard(view)),
    card(text('desk.people.list'), list),
  );
  view.reload();
}

function addCard(view) {
  const { desk } = view;
  const form = element(
    'form',
    { id: 'user-form' },
    field({
      name: 'username',
      label: text('common.username'),
      required: true,
      minLength: 3,
      maxLength: 50,
      autocomplete: 'off',
      autocapitalize: 'none',
      spellcheck: false,
    }),
    field({
      name: 'password',
      type: 'text',
      label: text('common.password'),
      required: true,
      minLength: 4,
      autocomplete: 'off',
      spellcheck: false,
      hint: text('desk.people.passwordHint'),
    }),
    field({ name: 'role', label: text('desk.people.role'), make: choice(roleOptions(), 'committee') }),
    element('button', { class: 'primary' }, text('desk.people.add')),
  );
  whenSent(desk, form, async (typed) => {
    const json = { username: typed.get('username').trim(), password: typed.get('password'), role: typed.get('role') };
    const { username } = await desk.identity.json('/auth/register', { method: 'POST', json });
    form.reset();
    say(text('desk.people.added', { name: username }));
    await view.reload();
  });
  return card(text('desk.people.addTitle'), form);
}

function roleOptions() {
  return ROLES.map((role) => [role, text(`desk.roles.${role}`)]);
}

function show(view, list, users) {
  const columns = ['name', 'role', 'state', 'created'].map((name) => text(`desk.people.${name}`));
  const rows = users.map((user) => [
    user.username === view.desk.user.name ? `${user.username} (${text('desk.people.you')})` : user.username,
    text(`desk.roles.${user.role}`),
    text(user.active ? 'desk.people.active' : 'desk.people.inactive'),
    day(user.created_at, view.desk.zone),
    actions(view, user),
  ]);
  list.replaceChildren(table(text('desk.people.list'), [...columns, text('desk.events.actions')], rows));
}

function actions(view, user) {
  const { username, role, active } = user;
  const named = (label) => ({ 'aria-label': `${label}: ${username}` });
  const button = (label, action, properties) =>
    actionButton(view.desk, label, action, { ...named(label), ...properties });
  const otherRole = role === 'admin' ? 'committee' : 'admin';
  return element(
    'div',
    { class: 'buttons' },
    button(text('desk.people.setPassword'), () => setPassword(view, username)),
    button(text(`desk.people.make.${otherRole}`), () => change(view, user, { role: otherRole }, `role.${otherRole}`)),
    button(
      text(active ? 'desk.people.deactivate' : 'desk.people.activate'),
      () => change(view, user, { active: !active }, active ? 'deactivate' : 'activate'),
    ),
    button(text('desk.delete'), () => remove(view, username), { class: 'danger' }),
  );
}

/** Changes the role, or whether the user may log in, after a question: both end the sessions of the user. */
async function change(view, { username }, json, what) {
  // Activation ends nothing, so nobody has to be asked.
  if (what !== 'activate' && !(await isSure(username, what))) return;
  await view.desk.identity.json(path`/users/${username}`, { method: 'PATCH', json });
  say(text('desk.people.changed', { name: username }));
  await view.reload();
}

function isSure(name, what) {
  return confirm({
    question: text(`desk.people.questions.${what}`, { name }),
    explanation: text('desk.people.endsSessions'),
    yes: text('desk.people.yes'),
  });
}

async function remove(view, username) {
  const question = text('desk.people.questions.delete', { name: username });
  const explanation = text('desk.people.deleteExplanation');
  if (!(await confirm({ question, explanation, yes: text('desk.people.deleteYes') }))) return;
  await view.desk.identity.json(path`/users/${username}`, { method: 'DELETE' });
  say(text('desk.people.deleted', { name: username }));
  await view.reload();
}

function setPassword(view, username) {
  const { desk, root, signal } = view;
  const dialog = element('dialog', { 'aria-labelledby': 'new-password-title' });
  const form = element(
    'form',
    { id: 'new-password-form' },
    element('h2', { id: 'new-password-title' }, text('desk.people.passwordOf', { name: username })),
    field({
      name: 'password',
      type: 'text',
      label: text('desk.account.new_password'),
      required: true,
      minLength: 4,
      autocomplete: 'off',
      spellcheck: false,
      hint: text('desk.people.endsSessions'),
    }),
    element(
      'div',
      { class: 'buttons end' },
      element('button', { type: 'button', onclick: () => dialog.close() }, text('common.cancel')),
      element('button', { class: 'primary' }, text('desk.save')),
    ),
  );
  dialog.append(form);
  root.append(dialog);
  dialog.addEventListener('close', () => dialog.remove());
  signal.addEventListener('abort', () => dialog.remove());
  whenSent(desk, form, async (typed) => {
    await desk.identity.json(path`/users/${username}`, { method: 'PATCH', json: { password: typed.get('password') } });
    dialog.close();
    say(text('desk.people.changed', { name: username }));
  });
  dialog.showModal();
}
