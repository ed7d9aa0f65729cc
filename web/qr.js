// Reads a QR code in a picture: model 2, versions 1 to 10, every error correction level, after ISO/IEC 18004.
// Needs neither DOM nor network, so it runs in a page, in a worker and in Node alike.

import { grayscale, halved } from './qr/gray.js';
import { binarize } from './qr/binarize.js';
import { findFinders } from './qr/finder.js';
import { findSymbols } from './qr/symbols.js';
import { fitGrids } from './qr/grid.js';
import { readModules } from './qr/modules.js';

/**
 * The text of the code that the picture shows, and its corners in pixels: top left, top right, bottom right and bottom
 * left as the code itself has them. Null if there is none that can be read.
 *
 * @param {Uint8ClampedArray} rgba 4 * width * height bytes
 * @returns {{text: string, corners: {x: number, y: number}[]} | null}
 */
export function decode(rgba, width, height) {
  const picture = grayscale(rgba, width, height);
  if (!picture) return null;
  for (const gray of scales(picture)) {
    const found = read(gray);
    if (!found) continue;
    const scale = width / gray.width;
    return { text: found.text, corners: found.corners.map(({ x, y }) => ({ x: x * scale, y: y * scale })) };
  }
  return null;
}

// Small modules need every pixel. Noise and large modules are read better, and large pictures sooner, at half the size.
function* scales(picture) {
  const half = halved(picture);
  const quarter = halved(half);
  const large = picture.width * picture.height > 500_000;
  yield* large ? [half, picture, quarter] : [picture, half, quarter];
}

function read(gray) {
  const bitmap = binarize(gray);
  for (const symbol of findSymbols(bitmap, findFinders(bitmap))) {
    for (const grid of fitGrids(gray, symbol)) {
      const read = readModules(grid.sample(gray), grid.version);
      if (read) return { text: read.text, corners: grid.corners(read.mirrored) };
    }
  }
  return null;
}
