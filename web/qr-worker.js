// Reads QR codes off the page's own thread. In: {id, rgba: ArrayBuffer, width, height}. Out: {id, text, corners, rgba},
// text null where no code was read; rgba is the same buffer, given back for the next picture.

import { decode } from './qr.js';

self.addEventListener('message', ({ data: { id, rgba, width, height } }) => {
  const found = decode(new Uint8ClampedArray(rgba), width, height);
  self.postMessage({ id, text: found?.text ?? null, corners: found?.corners, rgba }, [rgba]);
});
