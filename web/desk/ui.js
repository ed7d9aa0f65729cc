// Parts of which the sections are made.

import { element } from '../shared/dom.js';
import { ApiError } from '../shared/http.js';
import { text } from '../shared/language.js';
import { problemText } from './explain.js';
import { IdentityDown } from './identity.js';

const IDENTITY_RETRY_MS = 10_000;

let ids = 0;

/** An id that nothing else on the page has. */
export function freshId() {
  ids += 1;
  return `id-${ids}`;
}

/** The head of a section: its title, what it is about, and its main actions. */
export function heading(title, about, ...actions) {
  return element(
    'div',
    { class: 'heading' },
    element('div', {}, element('h1', { tabIndex: -1 }, title), about ? element('p', { class: 'soft' }, about) : null),
    actions.length > 0 ? element('div', { class: 'buttons' }, ...actions) : null,
  );
}

/** A part of a section with a title of its own. */
export function card(title, ...children) {
  const id = freshId();
  return element('section', { class: 'card', 'aria-labelledby': id }, element('h2', { id }, title), ...children);
}

/**
 * A labelled field: an `input` unless `make` makes something else. `properties` go to it; `name` is needed.
 *
 * @param {{label: string, hint?: string, make?: (properties: object) => Element} & Record<string, unknown>} properties
 */
export function field({ label, hint, make = (own) => element('input', own), ...properties }) {
  const id = properties.id ?? freshId();
  const described = [hint ? `${id}-hint` : null, `${id}-error`].filter(Boolean).join(' ');
  return element(
    'div',
    { class: 'field' },
    element('label', { for: id }, label),
    make({ ...properties, id, 'aria-describedby': described }),
    hint ? element('p', { id: `${id}-hint`, class: 'soft small' }, hint) : null,
    element('p', { id: `${id}-error`, class: 'error small', hidden: true }),
  );
}

/** Makes of `options`, `[value, label]` each, the `make` of a {@link field}. */
export function choice(options, chosen) {
  return (properties) => {
    const made = element('select', properties);
    made.append(...options.map(([value, label]) => element('option', { value, selected: value === chosen }, label)));
    return made;
  };
}

/** A button that does `action` once at a time; what goes wrong is said beside it. */
export function actionButton(desk, label, action, properties = {}) {
  const button = element('button', { type: 'button', ...properties }, label);
  button.addEventListener('click', () => onlyOnce(button, () => withError(desk, button, action)));
  return button;
}

async function withError(desk, button, action) {
  const group = button.closest('.buttons') ?? button;
  if (group.nextElementSibling?.matches('.action-error')) group.nextElementSibling.remove();
  try {
    await action(button);
  } catch (error) {
    group.after(element('p', { class: 'error action-error', role: 'alert' }, desk.failed(error)));
  }
}

/** Runs `action` unless it is running: a second click does nothing. */
export async function onlyOnce(button, action) {
  if (button.getAttribute('aria-busy') === 'true') return;
  // Not `disabled`, which would take the focus away.
  button.setAttribute('aria-busy', 'true');
  button.setAttribute('aria-disabled', 'true');
  try {
    await action();
  } finally {
    button.removeAttribute('aria-busy');
    button.removeAttribute('aria-disabled');
  }
}

/**
 * Makes `form` send itself by `action`, once at a time. What the service does not accept is said beside its field,
 * everything else above the button, and what was typed stays.
 */
export function whenSent(desk, form, action) {
  const button = form.querySelector('button:not([type="button"])');
  const error = element('p', { class: 'error', role: 'alert', hidden: true });
  (button.closest('.buttons') ?? button).before(error);
  form.noValidate = true;
  form.addEventListener('input', ({ target }) => fieldError(target, ''));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    onlyOnce(button, async () => {
      clearErrors(form, error);
      if (!checkFields(form)) return;
      try {
        await action(new FormData(form));
      } catch (failure) {
        const rest = showProblems(form, failure);
        if (rest === null) return;
        error.textContent = rest ?? desk.failed(failure);
        error.hidden = false;
      }
    });
  });
}

function clearErrors(form, error) {
  error.hidden = true;
  for (const input of form.elements) fieldError(input, '');
}

/** Says of every field that is empty or wrong what is wrong. Whether all are right. */
function checkFields(form) {
  const wrong = [...form.elements].filter((input) => input.willValidate && !input.validity.valid);
  for (const input of wrong) {
    fieldError(input, whatIsWrong(input));
  }
  wrong[0]?.focus();
  return wrong.length === 0;
}

/** In the language of the page, which need not be that of the browser. */
function whatIsWrong({ validity, validationMessage, min, max, minLength, type }) {
  if (validity.valueMissing) return text('desk.problems.missing');
  if (validity.rangeUnderflow) return text('desk.problems.tooSmall', { least: min });
  if (validity.rangeOverflow) return text('desk.problems.tooLarge', { most: max });
  if (validity.tooShort) return text('desk.problems.tooShort', { length: minLength });
  if (validity.stepMismatch || (validity.badInput && type === 'number')) return text('desk.problems.noNumber');
  if (validity.badInput) return text('desk.problems.noMoment');
  return validationMessage;
}

/** Shows the entries of a 422 beside their fields. Returns what has no field, `null` if nothing is left to be said, and
 * `undefined` for another error. */
function showProblems(form, failure) {
  if (!(failure instanceof ApiError) || !Array.isArray(failure.detail)) return undefined;
  const rest = [];
  let first = null;
  for (const problem of failure.detail) {
    const input = form.elements.namedItem(String(problem.loc.at(-1)));
    if (input?.id) {
      fieldError(input, problemText(problem));
      first ??= input;
    } else rest.push(problemText(problem));
  }
  first?.focus();
  return rest.length > 0 ? rest.join(' ') : null;
}

function fieldError(input, message) {
  const place = document.getElementById(`${input.id}-error`);
  if (!place) return;
  place.textContent = message;
  place.hidden = !message;
  if (message) input.setAttribute('aria-invalid', 'true');
  else input.removeAttribute('aria-invalid');
}

/**
 * Loads something into `place`, and shows it by `show`. Without an answer it says so, offers to try again, and does so
 * by itself once the service answers again.
 *
 * @param {{desk: import('./desk.js').Desk, signal: AbortSignal}} view
 */
export async function loadInto(view, place, load, show) {
  const { desk, signal } = view;
  place.setAttribute('aria-busy', 'true');
  if (place.childElementCount === 0) place.replaceChildren(element(
    'p',
    { class: 'soft loading' },
    text('desk.loading'),
  ));
  try {
    const loaded = await load();
    if (signal.aborted) return;
    const hadFocus = place.contains(document.activeElement);
    show(loaded);
    // What had the focus is gone: the next Tab goes on from here, and not from the top of the page.
    if (hadFocus && !place.contains(document.activeElement)) {
      place.tabIndex = -1;
      place.focus({ preventScroll: true });
    }
  } catch (error) {
    if (signal.aborted) return;
    const again = () => loadInto(view, place, load, show);
    const button = element('button', { type: 'button', onclick: again }, text('desk.tryAgain'));
    place.replaceChildren(element('p', { class: 'error', role: 'alert' }, desk.failed(error)), button);
    const retry = () => button.isConnected && again();
    desk.connection.addEventListener('recovered', retry, { once: true, signal });
    if (error instanceof IdentityDown) setTimeout(retry, IDENTITY_RETRY_MS);
  } finally {
    place.removeAttribute('aria-busy');
  }
}

/**
 * A table. On a narrow screen every row becomes a block in which each cell is named by its column.
 *
 * @param {string} caption what it shows, for those who hear it
 * @param {string[]} columns
 * @param {(Element[] | string[])[]} rows
 */
export function table(caption, columns, rows) {
  return element(
    'table',
    {},
    element('caption', { class: 'visually-hidden' }, caption),
    element('thead', {}, element('tr', {}, columns.map((column) => element('th', { scope: 'col' }, column)))),
    element('tbody', {}, rows.map((cells) => tableRow(columns, cells))),
  );
}

/** A row of a {@link table}; its first cell names it. */
export function tableRow(columns, cells) {
  return element(
    'tr',
    {},
    cells.map((cell, index) =>
      index === 0
        ? element('th', { scope: 'row' }, cell)
        : element('td', { 'data-label': columns[index] }, cell),
    ),
  );
}

/** What is shown where there is nothing yet, and what to do about it. */
export function nothing(sentence, ...actions) {
  return element('div', { class: 'nothing' }, element('p', {}, sentence), ...actions);
}

/** Hands `content` to the browser as a file to keep. */
export function keepFile(name, content, type) {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  element('a', { href: url, download: name }).click();
  // The browser has taken the file by then.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** A part of the name of a file. */
export function fileName(title) {
  return title.replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-|-$/g, '').slice(0, 60).toLowerCase() || 'event';
}
