// What ISO/IEC 18004 fixes for each version and error correction level.

export const LAST_VERSION = 10;

export function sizeOf(version) {
  return 17 + 4 * version;
}

// The rows and columns whose crossings are centres of alignment patterns, besides row and column 6.
const ALIGNMENT = [[], [], [18], [22], [26], [30], [34], [22, 38], [24, 42], [26, 46], [28, 50]];

const CODEWORDS = [0, 26, 44, 70, 100, 134, 172, 196, 242, 292, 346];

// For each level and version: check codewords a block, and blocks.
const BLOCKS = {
  L: [[7, 1], [10, 1], [15, 1], [20, 1], [26, 1], [18, 2], [20, 2], [24, 2], [30, 2], [18, 4]],
  M: [[10, 1], [16, 1], [26, 1], [18, 2], [24, 2], [16, 4], [18, 4], [22, 4], [22, 5], [26, 5]],
  Q: [[13, 1], [22, 1], [18, 2], [26, 2], [18, 4], [24, 4], [18, 6], [22, 6], [20, 8], [24, 8]],
  H: [[17, 1], [28, 1], [22, 2], [16, 4], [22, 4], [28, 4], [26, 5], [26, 6], [24, 8], [28, 8]],
};

// Some check codewords of the smallest symbols may only detect errors, so that none is taken for another text.
const DETECT_ONLY = { L1: 3, M1: 2, Q1: 1, H1: 1, L2: 2, L3: 1 };

/** How the codewords of a symbol are divided: {codewords, blocks, check, correctable}, the last two for each block. */
export function blocksOf(version, level) {
  const [check, blocks] = BLOCKS[level][version - 1];
  const detectOnly = DETECT_ONLY[level + version] ?? 0;
  return { codewords: CODEWORDS[version], blocks, check, correctable: (check - detectOnly) >> 1 };
}

/** The centre of the alignment pattern near the bottom right corner, as row and column alike. Version 1 has none. */
export function lastAlignment(version) {
  return ALIGNMENT[version].at(-1);
}

const patterns = [];

/**
 * The function patterns of a version, for all modules in rows: `colours` is 1 for dark, -1 for light, and 0 for what
 * holds format, version or data; `reserved` says which modules hold no data. `drawn` lists the modules with a colour, and
 * `fixing` those by which a grid can be fitted: in version 1, where nothing is drawn at the bottom right, all.
 */
export function functionPatterns(version) {
  patterns[version] ??= draw(version);
  return patterns[version];
}

function draw(version) {
  const size = sizeOf(version);
  const colours = new Int8Array(size * size);
  const reserved = new Uint8Array(size * size);
  const set = (row, column, dark) => {
    if (row < 0 || column < 0 || row >= size || column >= size) return;
    colours[row * size + column] = dark ? 1 : -1;
    reserved[row * size + column] = 1;
  };
  // Rings around a centre, light where the distance from it is one of these.
  const square = (centreRow, centreColumn, radius, light) => {
    for (let y = -radius; y <= radius; y++) {
      for (let x = -radius; x <= radius; x++) {
        set(centreRow + y, centreColumn + x, !light.includes(Math.max(Math.abs(x), Math.abs(y))));
      }
    }
  };
  const reserve = (top, left, rows, columns) => {
    for (let row = top; row < top + rows; row++) reserved.fill(1, row * size + left, row * size + left + columns);
  };

  for (let i = 0; i < size; i++) {
    set(6, i, i % 2 === 0);
    set(i, 6, i % 2 === 0);
  }
  const centres = [6, ...ALIGNMENT[version]];
  const last = centres.at(-1);
  for (const row of centres) {
    for (const column of centres) {
      const besideFinder = row + column === 12 || (row === 6 && column === last) || (row === last && column === 6);
      if (!besideFinder) square(row, column, 2, [1]);
    }
  }
  for (const [row, column] of [[3, 3], [3, size - 4], [size - 4, 3]]) square(row, column, 4, [2, 4]);
  reserve(0, 0, 9, 9);
  reserve(0, size - 8, 9, 8);
  reserve(size - 8, 0, 8, 9);
  if (version >= 7) {
    reserve(0, size - 11, 6, 3);
    reserve(size - 11, 0, 3, 6);
  }
  const all = Uint16Array.from({ length: size * size }, (_, i) => i);
  const drawn = all.filter((i) => colours[i] !== 0);
  return { colours, reserved, drawn, fixing: version > 1 ? drawn : all };
}
