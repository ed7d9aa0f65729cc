// QR codes that attendance-service draws.

import { element } from '../shared/dom.js';

/** A code of `value`, up to 200 bytes, as an SVG element that is called `label`. */
export async function qrCode(desk, value, label) {
  const response = await desk.attendance.response(
    `/qr?${new URLSearchParams({ text: value })}`,
    { milliseconds: 20_000 },
  );
  return inline(await response.text(), label);
}

/** The same for what must not be in an address, since addresses are logged; up to 1,000 bytes. */
export async function secretQrCode(desk, value, label) {
  const response = await desk.attendance.response('/qr', { method: 'POST', json: { text: value } });
  return inline(await response.text(), label);
}

function inline(svg, label) {
  const { documentElement } = new DOMParser().parseFromString(svg, 'image/svg+xml');
  if (documentElement.localName !== 'svg') return element('p', { class: 'error' }, label);
  documentElement.setAttribute('role', 'img');
  documentElement.setAttribute('aria-label', label);
  documentElement.setAttribute('class', 'qr');
  return document.importNode(documentElement, true);
}

/** Does `work(item)` for every item, at most `width` at a time. Begins no more after the first error. */
export async function inParallel(items, width, work) {
  let next = 0;
  let hasFailed = false;
  const worker = async () => {
    while (next < items.length && !hasFailed) {
      const index = next;
      next += 1;
      try {
        await work(items[index], index);
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
}
