// Codewords: eight modules each, masked, interleaved in blocks, and corrected.

import { correct } from './reed-solomon.js';
import { blocksOf, functionPatterns, sizeOf } from './version.js';

// Which modules a mask turns over, by row and column.
const MASKS = [
  (y, x) => (y + x) % 2 === 0,
  (y) => y % 2 === 0,
  (y, x) => x % 3 === 0,
  (y, x) => (y + x) % 3 === 0,
  (y, x) => ((y >> 1) + (x / 3 | 0)) % 2 === 0,
  (y, x) => (y * x) % 2 + (y * x) % 3 === 0,
  (y, x) => ((y * x) % 2 + (y * x) % 3) % 2 === 0,
  (y, x) => ((y + x) % 2 + (y * x) % 3) % 2 === 0,
];

/** The data codewords of a symbol, or null if there are too many errors. */
export function readCodewords(bits, version, { level, mask }) {
  const layout = blocksOf(version, level);
  const blocks = deinterleave(placed(bits, version, MASKS[mask]), layout);
  const data = [];
  for (const block of blocks) {
    if (!correct(block, layout.check, layout.correctable)) return null;
    data.push(...block.subarray(0, block.length - layout.check));
  }
  return Uint8Array.from(data);
}

// Two columns at a time from the right, up and down by turns, around the vertical timing pattern.
function placed(bits, version, isMasked) {
  const size = sizeOf(version);
  const { reserved } = functionPatterns(version);
  const codewords = [];
  let word = 0;
  let count = 0;
  let up = true;
  for (let right = size - 1; right > 0; right -= 2, up = !up) {
    if (right === 6) right--;
    for (let step = 0; step < size; step++) {
      const row = up ? size - 1 - step : step;
      for (const column of [right, right - 1]) {
        const i = row * size + column;
        if (reserved[i]) continue;
        word = word << 1 | (bits[i] ^ (isMasked(row, column) ? 1 : 0));
        if (++count % 8 === 0) {
          codewords.push(word);
          word = 0;
        }
      }
    }
  }
  return codewords;
}

// Blocks give their codewords by turns, the data's first. The last blocks may have one codeword of data more.
function deinterleave(codewords, { codewords: all, blocks: count, check }) {
  const length = Math.floor(all / count);
  const short = count - all % count;
  const blocks = Array.from({ length: count }, (_, i) => new Uint8Array(i < short ? length : length + 1));
  let next = 0;
  for (let i = 0; i <= length - check; i++) {
    for (const block of blocks) {
      if (i < block.length - check) block[i] = codewords[next++];
    }
  }
  for (let i = check; i > 0; i--) {
    for (const block of blocks) block[block.length - i] = codewords[next++];
  }
  return blocks;
}
