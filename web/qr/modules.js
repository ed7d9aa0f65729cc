// From the brightness of modules to text.

import { readFormat } from './format.js';
import { readCodewords } from './codewords.js';
import { readSegments } from './segments.js';
import { sizeOf } from './version.js';

// Modules on each side whose mean a module is compared with. A symbol is masked so that about half of them are dark.
const RADIUS = 3;
// How much of a neighbour's brightness blur is taken to have brought into a module: none at first.
const SPILLS = [0, 0.15];

/** The text of a symbol by the brightness of its modules in rows, and whether it is mirrored; or null. */
export function readModules(values, version) {
  const size = sizeOf(version);
  for (const spill of SPILLS) {
    const bits = darkModules(spill ? unblurred(values, size, spill) : values, size);
    const text = readBits(bits, version);
    if (text) return { text, mirrored: false };
    const mirrored = readBits(transposed(bits, size), version);
    if (mirrored) return { text: mirrored, mirrored: true };
  }
  return null;
}

function readBits(bits, version) {
  const format = readFormat(bits, sizeOf(version));
  const codewords = format && readCodewords(bits, version, format);
  return codewords && readSegments(codewords, version);
}

function unblurred(values, size, spill) {
  const last = size - 1;
  return values.map((value, i) => {
    const column = i % size;
    const left = column > 0 ? values[i - 1] : value;
    const right = column < last ? values[i + 1] : value;
    const above = i >= size ? values[i - size] : value;
    const below = i + size < values.length ? values[i + size] : value;
    return value + spill * (4 * value - left - right - above - below);
  });
}

function darkModules(values, size) {
  const bits = new Uint8Array(values.length);
  for (let row = 0, i = 0; row < size; row++) {
    const top = Math.max(0, row - RADIUS);
    const bottom = Math.min(size - 1, row + RADIUS);
    for (let column = 0; column < size; column++, i++) {
      const left = Math.max(0, column - RADIUS);
      const right = Math.min(size - 1, column + RADIUS);
      let sum = 0;
      for (let y = top; y <= bottom; y++) {
        for (let x = left; x <= right; x++) sum += values[y * size + x];
      }
      bits[i] = values[i] * (bottom - top + 1) * (right - left + 1) < sum ? 1 : 0;
    }
  }
  return bits;
}

function transposed(bits, size) {
  return bits.map((_, i) => bits[(i % size) * size + (i / size | 0)]);
}
