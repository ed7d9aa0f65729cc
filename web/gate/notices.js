// What the page has to tell: each once, as long as it holds.

import { byId, element } from '../shared/dom.js';
import { text } from '../shared/language.js';

/** Notices by name. Each is `{text, values?, action?, onAction?, screens?}`: keys of texts, and where it is shown. */
export class Notices {
  #notices = new Map();
  #content = '';

  set(name, notice) {
    this.#notices.set(name, notice);
    this.render();
  }

  clear(name) {
    if (this.#notices.delete(name)) this.render();
  }

  render() {
    const screen = document.querySelector('main').dataset.screen;
    const shown = [...this.#notices.values()].filter(({ screens }) => !screens || screens.includes(screen));
    const paragraphs = shown.map(paragraph);
    // What is shown already would be read out once more.
    const content = paragraphs.map(({ textContent }) => textContent).join('\n');
    if (content === this.#content) return;
    this.#content = content;
    byId('notice').replaceChildren(...paragraphs);
  }
}

function paragraph({ text: key, values, action, onAction }) {
  const button = action && element('button', { type: 'button', onclick: onAction }, text(action));
  return element('div', {}, element('p', {}, text(key, values)), button);
}
