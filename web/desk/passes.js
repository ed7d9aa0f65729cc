// Passes for gates: a link as a QR code, which the camera of a phone opens.

import { element } from '../shared/dom.js';
import { text } from '../shared/language.js';
import { secretQrCode } from './qr.js';
import { say } from './status.js';
import { dayAndTime } from './times.js';
import { card, choice, field, nothing, whenSent } from './ui.js';

/** The link that lets a phone in at `/gate`. What is behind the `#` reaches no server. */
export function passLink(token) {
  return `${location.origin}/gate#pass=${token}`;
}

/** Why a phone cannot use a link to this page, or not its camera; `null` if nothing speaks against it. */
export function linkProblem({ hostname, protocol } = location) {
  if (/^(localhost|127\.|\[::1\])/.test(hostname)) return text('desk.passes.isLocal', { host: hostname });
  return protocol === 'https:' ? null : text('desk.passes.isInsecure');
}

/** Asks for a pass: `{access_token, expires_at}`. */
export function makePass(desk, name, event_id, hours) {
  return desk.identity.json('/auth/passes', { method: 'POST', json: { name, event_id, hours } });
}

/** The card in which a pass is made and shown. `state.pass` keeps it until the section is left. */
export function passCard(view) {
  const { desk, state } = view;
  if (desk.events.length === 0) return card(text('desk.passes.title'), nothing(text('desk.passes.needsEvent')));
  const events = [...desk.events].reverse().map(({ id, title }) => [id, title]);
  const form = element(
    'form',
    { id: 'pass-form' },
    field({
      name: 'name',
      label: text('desk.passes.name'),
      required: true,
      maxLength: 50,
      autocomplete: 'off',
      hint: text('desk.passes.nameHint'),
    }),
    field({ name: 'event', label: text('desk.passes.event'), make: choice(events, desk.event) }),
    field({
      name: 'hours',
      type: 'number',
      label: text('desk.passes.hours'),
      min: '1',
      max: '72',
      step: '1',
      value: '12',
      required: true,
      inputMode: 'numeric',
    }),
    element('button', { class: 'primary' }, text('desk.passes.make')),
  );
  const place = element('div', { id: 'pass' });
  whenSent(desk, form, async (typed) => {
    const [name, event] = [typed.get('name').trim(), typed.get('event')];
    const pass = await makePass(desk, name, event, Number(typed.get('hours')));
    state.pass = { name, event, token: pass.access_token, expiresAt: pass.expires_at };
    form.elements.namedItem('name').value = '';
    await showPass(view, place, state.pass);
    place.scrollIntoView({ block: 'nearest' });
  });
  if (state.pass) showPass(view, place, state.pass);
  return card(text('desk.passes.title'), element('p', { class: 'soft' }, text('desk.passes.about')), form, place);
}

async function showPass({ desk }, place, pass) {
  const { name, event, token, expiresAt } = pass;
  const link = passLink(token);
  const label = text('desk.passes.codeOf', { name });
  const input = element(
    'input',
    { id: 'pass-link', value: link, readOnly: true, 'aria-label': text('desk.passes.link') },
  );
  input.addEventListener('focus', () => input.select());
  const copy = element('button', { type: 'button', onclick: () => copyFrom(input) }, text('desk.copy'));
  const print = element('button', { type: 'button', onclick: () => window.print() }, text('desk.print'));
  const code = element('div', { class: 'code' });
  const problem = linkProblem();
  place.replaceChildren(
    element(
      'div',
      { class: 'pass', role: 'group', 'aria-label': label },
      element('h3', {}, name),
      element('p', { class: 'soft' }, desk.titleOf(event)),
      code,
      problem && element('p', { class: 'notice' }, problem),
      element('p', {}, text('desk.passes.how')),
      element('p', { class: 'expires' }, text('desk.passes.expires', { time: dayAndTime(expiresAt, desk.zone) })),
      element('div', { class: 'copy' }, input, copy),
      element('div', { class: 'buttons' }, print),
      element('p', { class: 'soft small' }, text('desk.passes.secret')),
    ),
  );
  try {
    const svg = await secretQrCode(desk, link, label);
    svg.id = 'pass-qr';
    code.replaceChildren(svg);
  } catch (error) {
    // The link is good all the same.
    code.replaceChildren(element(
      'p',
      { class: 'error', role: 'alert' },
      text('desk.passes.noCode'),
      ' ',
      desk.failed(error),
    ));
  }
}

/** Copies the text of `input`, also where the page has no clipboard because it came by plain HTTP. */
export async function copyFrom(input) {
  input.select();
  try {
    await navigator.clipboard.writeText(input.value);
  } catch {
    document.execCommand('copy');
  }
  say(text('desk.copied'));
}
