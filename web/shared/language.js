// The language of a page: Indonesian unless the browser or the user prefers English.

// A page loads the texts of one language.
const LANGUAGES = { id: () => import('../texts/id.js'), en: () => import('../texts/en.js') };
const KEY = 'tixgo.language';

/** Fires `change` after the language was switched. */
export const languageChanges = new EventTarget();

let current = remembered() ?? (navigator.language?.startsWith('en') ? 'en' : 'id');
let texts = await load(current).catch(() => {
  // Without a network the gate may have the language of the browser alone.
  current = current === 'id' ? 'en' : 'id';
  return load(current);
});

/** `id` or `en`. */
export function language() {
  return current;
}

/** Switches the language of the page and remembers it on this device. Without a network it may stay as it is. */
export async function setLanguage(chosen) {
  try {
    texts = await load(chosen);
    current = chosen;
    localStorage.setItem(KEY, chosen);
  } catch {
    // The other language cannot be loaded, or a browser that stores nothing shows its own next time.
  }
  languageChanges.dispatchEvent(new Event('change'));
}

/** The text `key`, such as `gate.start`, with `{name}` replaced by `values.name`. */
export function text(key, values = {}) {
  const found = key.split('.').reduce((level, name) => level?.[name], texts);
  if (typeof found !== 'string') throw new Error(`no text ${key}`);
  return found.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
}

/**
 * Fills in the texts below `root`: `data-text="key"` the content of an element, and
 * `data-text-<attribute>="key"` an attribute, such as `data-text-placeholder`.
 */
export function fillTexts(root = document) {
  document.documentElement.lang = current;
  for (const element of root.querySelectorAll('[data-text]')) {
    element.textContent = text(element.dataset.text);
  }
  for (const attribute of ['aria-label', 'placeholder', 'title', 'alt']) {
    for (const element of root.querySelectorAll(`[data-text-${attribute}]`)) {
      element.setAttribute(attribute, text(element.getAttribute(`data-text-${attribute}`)));
    }
  }
}

async function load(chosen) {
  return (await LANGUAGES[chosen]()).default;
}

function remembered() {
  try {
    const chosen = localStorage.getItem(KEY);
    return Object.hasOwn(LANGUAGES, chosen) ? chosen : null;
  } catch {
    return null;
  }
}
