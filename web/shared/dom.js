// Making elements. Text from users only ever becomes text, never HTML.

/**
 * An element with properties and children: `element('button', { type: 'button', onclick: save }, 'Simpan')`. `class`,
 * `data-…`, `aria-…` and `role` are set as attributes, everything else as properties; `null` and `undefined` are left
 * out, and so are children that are `null` or `false`.
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (/^(class|role|for|colspan|scope|data-.*|aria-.*)$/.test(name)) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** The element with this id. */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element #${id}`);
  return found;
}
