// The decoder stage by stage, then whole. symbols.json was made by another encoder (tests/web/corpus/symbols.py).

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { decode } from '../../web/qr.js';
import { binarize } from '../../web/qr/binarize.js';
import { readCodewords } from '../../web/qr/codewords.js';
import { findFinders } from '../../web/qr/finder.js';
import { decodeFormat, encodeFormat, readFormat } from '../../web/qr/format.js';
import { grayscale, halved } from '../../web/qr/gray.js';
import { correct } from '../../web/qr/reed-solomon.js';
import { readSegments } from '../../web/qr/segments.js';
import { findSymbols } from '../../web/qr/symbols.js';
import { LAST_VERSION, blocksOf, functionPatterns, sizeOf } from '../../web/qr/version.js';

const SYMBOLS = JSON.parse(readFileSync(new URL('symbols.json', import.meta.url)));

// Reed-Solomon

test('as many errors as may be corrected are corrected', () => {
  const random = generator(1);
  for (const [check, correctable] of [[7, 2], [10, 4], [13, 6], [17, 8], [26, 13], [30, 15]]) {
    for (let errors = 0; errors <= correctable; errors++) {
      const block = encoded(random, 40, check);
      const damaged = withErrors(random, block, errors);
      assert.equal(correct(damaged, check, correctable), true, `${errors} errors, ${check} check codewords`);
      assert.deepEqual(damaged, block);
    }
  }
});

test('one error more is refused, and so are many more', () => {
  const random = generator(2);
  for (const [check, correctable] of [[7, 2], [10, 4], [26, 13], [30, 15]]) {
    // Another code word differs in check + 1 codewords or more, so these cannot be within reach of one.
    for (let errors = correctable + 1; errors + correctable <= check; errors++) {
      assert.equal(correct(withErrors(random, encoded(random, 40, check), errors), check, correctable), false, `${errors}/${check}`);
    }
  }
  for (let i = 0; i < 50; i++) assert.equal(correct(bytes(random, 70), 30, 15), false);
});

// Format

test('the format of the example in the standard', () => {
  assert.equal(encodeFormat(0b00101), 0b100000011001110);
  assert.deepEqual(decodeFormat(0b100000011001110, 0b100000011001110), { level: 'M', mask: 5 });
});

test('every format is read with up to three wrong bits, and by either copy', () => {
  for (let five = 0; five < 32; five++) {
    const word = encodeFormat(five);
    const expected = { level: 'MLHQ'[five >> 3], mask: five & 7 };
    for (let a = 0; a < 15; a++) {
      for (let b = a; b < 15; b++) {
        for (let c = b; c < 15; c++) {
          const damaged = word ^ (1 << a | 1 << b | 1 << c);
          assert.deepEqual(decodeFormat(damaged, damaged), expected);
        }
      }
      assert.deepEqual(decodeFormat(word, word ^ 0b1111 << a & 0x7fff), expected);
      assert.deepEqual(decodeFormat(word ^ 0b1111 << a & 0x7fff, word), expected);
    }
  }
});

test('what is near no format has none', () => {
  const distance = (word) => Math.min(...Array.from({ length: 32 }, (_, five) => ones(encodeFormat(five) ^ word)));
  const far = Array.from({ length: 1 << 15 }, (_, word) => word).filter((word) => distance(word) > 3);
  assert.ok(far.length > 0);
  for (const word of far) assert.equal(decodeFormat(word, word), null);
});

// Versions

test('each version has room for its codewords and less than one more', () => {
  for (let version = 1; version <= LAST_VERSION; version++) {
    const free = functionPatterns(version).reserved.filter((taken) => !taken).length;
    assert.equal(free >> 3, blocksOf(version, 'L').codewords);
    for (const level of 'LMQH') {
      const { codewords, blocks, check, correctable } = blocksOf(version, level);
      assert.ok(codewords / blocks > check && 2 * correctable <= check, `${version}-${level}`);
    }
  }
});

test('function patterns are where another encoder draws them', () => {
  for (const { version, rows } of SYMBOLS) {
    const bits = bitsOf(rows, version);
    functionPatterns(version).colours.forEach((colour, i) => {
      if (colour) assert.equal(bits[i], colour > 0 ? 1 : 0, `version ${version}, module ${i}`);
    });
  }
});

// Codewords and segments

test('format, codewords and text of symbols by another encoder', () => {
  for (const { text, version, level, mask, rows } of SYMBOLS) {
    const bits = bitsOf(rows, version);
    const format = readFormat(bits, sizeOf(version));
    assert.deepEqual(format, { level, mask });
    assert.equal(readSegments(readCodewords(bits, version, format), version), text);
  }
});

test('a symbol is read with as many wrong codewords as may be, and not with more', () => {
  const random = generator(3);
  for (const { version, level, rows } of SYMBOLS) {
    const clean = bitsOf(rows, version);
    const format = readFormat(clean, sizeOf(version));
    const expected = readCodewords(clean, version, format);
    const { correctable } = blocksOf(version, level);
    // The modules at the right edge, from below, hold the first codeword, and each codeword is of one block.
    const damaged = damage(random, clean, version, correctable);
    assert.deepEqual(readCodewords(damaged, version, format), expected, `${version}-${level}`);
    const ruined = damaged.map((bit, i) => (functionPatterns(version).reserved[i] ? bit : bit ^ (random() < 0.4 ? 1 : 0)));
    assert.equal(readCodewords(ruined, version, format), null, `${version}-${level}`);
  }
});

for (const version of [1, 9, 10]) {
  const large = version === 10;
  const numeric = (text) => [[1, 4], [text.length, large ? 12 : 10],
    ...text.match(/.{1,3}/g).map((digits) => [Number(digits), [0, 4, 7, 10][digits.length]])];
  const alphanumeric = (text) => [[2, 4], [text.length, large ? 11 : 9], ...text.match(/.{1,2}/g).map((pair) => {
    const [a, b] = Array.from(pair, (character) => '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:'.indexOf(character));
    return b === undefined ? [a, 6] : [45 * a + b, 11];
  })];
  const binary = (values) => [[4, 4], [values.length, large ? 16 : 8], ...Array.from(values, (value) => [value, 8])];
  const utf8 = (text) => binary(new TextEncoder().encode(text));
  const read = (...fields) => readSegments(packed(fields.flat()), version);

  test(`segments of version ${version}`, () => {
    for (const text of ['01234567', '0', '00', '007', '9999']) assert.equal(read(numeric(text)), text);
    for (const text of ['AC-42', 'A', 'A:', '7K3M-9QXT-0ABC', ' $%*+-./:']) assert.equal(read(alphanumeric(text)), text);
    for (const text of ['abc', 'é – 欢迎 🎟', '\u0000']) assert.equal(read(utf8(text)), text);
    assert.equal(read(binary([0xe9, 0x20, 0xff])), 'é ÿ');
    assert.equal(read([[7, 4], [26, 8]], utf8('tiket é')), 'tiket é');
    assert.equal(read(alphanumeric('TIKET '), numeric('0042'), utf8(' ✓')), 'TIKET 0042 ✓');
    const [first, ...rest] = new TextEncoder().encode('é');
    assert.equal(read(binary([first]), binary(rest)), 'é');
    assert.equal(read(numeric('12'), [[0, 4], [0xec, 8], [0x11, 8]]), '12');
  });

  test(`segments of version ${version} that are not read`, () => {
    assert.equal(read([[0, 4]]), null);
    assert.equal(read(binary([])), null);
    assert.equal(read([[8, 4], [1, large ? 10 : 8], [100, 13]]), null, 'kanji');
    assert.equal(read([[3, 4], [0, 16]], utf8('part')), null, 'structured append');
    assert.equal(read([[5, 4]], utf8('a')), null, 'FNC1');
    assert.equal(read([[7, 4], [20, 8]], utf8('a')), null, 'Shift JIS');
    assert.equal(read([[1, 4], [3, large ? 12 : 10], [1000, 10]]), null, 'no three digits');
    assert.equal(read([[1, 4], [1, large ? 12 : 10], [10, 4]]), null, 'no digit');
    assert.equal(read([[2, 4], [2, large ? 11 : 9], [2047, 11]]), null, 'no two characters');
    assert.equal(read([[2, 4], [1, large ? 11 : 9], [45, 6]]), null, 'no character');
    assert.equal(read([[4, 4], [20, large ? 16 : 8], [65, 8]]), null, 'shorter than it says');
    assert.equal(readSegments(new Uint8Array(0), version), null);
  });
}

test('bytes by chance end in a text or in null', () => {
  const random = generator(4);
  for (let i = 0; i < 3000; i++) {
    const text = readSegments(bytes(random, 1 + random() * 60 | 0), 1 + i % LAST_VERSION);
    assert.ok(text === null || (typeof text === 'string' && text.length > 0));
  }
});

// Pictures

test('brightness weighs the colours, and half the size has the mean of four pixels', () => {
  const width = 22;
  const rgba = new Uint8ClampedArray(4 * width * width);
  rgba.set([255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255, 255, 255, 255, 255]);
  const gray = grayscale(rgba, width, width);
  assert.deepEqual([...gray.data.subarray(0, 5)], [76, 149, 28, 255, 0]);
  assert.equal(halved(gray).data[0], Math.round((76 + 149) / 4));
  assert.deepEqual([halved(gray).width, halved(gray).height], [11, 11]);
});

test('dark and light are told apart across a gradient', () => {
  const [width, height] = [200, 100];
  const data = new Uint8Array(width * height);
  const isDark = (x, y) => ((x >> 2) + (y >> 2)) % 2 === 0;
  for (let i = 0; i < data.length; i++) {
    const light = 60 + i % width / 2;
    data[i] = isDark(i % width, i / width | 0) ? light * 0.4 : light;
  }
  const bitmap = binarize({ data, width, height });
  bitmap.data.forEach((bit, i) => assert.equal(bit, isDark(i % width, i / width | 0) ? 1 : 0));
});

test('the three finder patterns make one symbol, top left first', () => {
  const symbol = SYMBOLS.find(({ version }) => version === 4);
  const size = sizeOf(4);
  const gray = grayscale(...render(symbol, { scale: 4, angle: 0.5 }));
  const bitmap = binarize(gray);
  const finders = findFinders(bitmap);
  const [found] = findSymbols(bitmap, finders);
  assert.ok(Math.abs(found.span - (size - 7)) < 1, `a span of ${found.span}`);
  const place = placer(size, gray.width, { scale: 4, angle: 0.5 });
  for (const [name, u, v] of [['topLeft', 3.5, 3.5], ['topRight', size - 3.5, 3.5], ['bottomLeft', 3.5, size - 3.5]]) {
    assertNear(found[name], place(u, v), 1, name);
  }
});

test('every symbol is read upright, turned, mirrored and inverted', () => {
  for (const symbol of SYMBOLS) {
    for (const how of [{}, { angle: Math.PI / 2 }, { angle: 0.4 }, { angle: 2.5 }, { angle: 4.1 }, { mirrored: true, angle: 1 }, { inverted: true, angle: 5 }]) {
      const found = decode(...render(symbol, { scale: 4, ...how }));
      assert.equal(found?.text, symbol.text, `version ${symbol.version}-${symbol.level}, ${JSON.stringify(how)}`);
    }
  }
});

test('the corners are those of the symbol in its own order', () => {
  const symbol = SYMBOLS.find(({ version }) => version === 3);
  const size = sizeOf(3);
  for (const how of [{ scale: 4, angle: 0.3 }, { scale: 11, angle: 2 }, { scale: 4, angle: 1, mirrored: true }]) {
    const [rgba, width, height] = render(symbol, how);
    const { corners } = decode(rgba, width, height);
    const place = placer(size, width, how);
    [[0, 0], [size, 0], [size, size], [0, size]].forEach(([u, v], i) => {
      // Sharp modules look the same all over, which leaves the grid some play.
      assertNear(corners[i], place(u, v), 1.5 * how.scale, `corner ${i}, ${JSON.stringify(how)}`);
    });
  }
});

test('what is no picture of a code gives null', () => {
  const random = generator(5);
  for (const [width, height] of [[320, 240], [64, 64], [641, 479], [21, 21], [1000, 22]]) {
    for (let i = 0; i < 4; i++) {
      const noise = Uint8ClampedArray.from({ length: 4 * width * height }, () => random() * 256);
      assert.equal(decode(noise, width, height), null);
    }
    for (const value of [0, 127, 255]) {
      assert.equal(decode(new Uint8ClampedArray(4 * width * height).fill(value), width, height), null);
    }
  }
});

test('empty, tiny and huge pictures and wrong sizes give null', () => {
  for (const [width, height] of [[0, 0], [1, 1], [20, 20], [1, 4000], [4000, 1]]) {
    assert.equal(decode(new Uint8ClampedArray(4 * width * height), width, height), null);
  }
  assert.equal(decode(new Uint8ClampedArray(4 * 6000 * 4000), 6000, 4000), null);
  for (const [width, height] of [[640, 480], [-100, -100], [NaN, 100], [100.5, 100], [Infinity, 0], [undefined, undefined]]) {
    assert.equal(decode(new Uint8ClampedArray(4 * 100 * 100), width, height), null);
  }
  assert.equal(decode(undefined, 100, 100), null);
});

test('a code in a very large picture is read', () => {
  const symbol = SYMBOLS[0];
  assert.equal(decode(...render(symbol, { scale: 90, angle: 0.2 }))?.text, symbol.text);
});

test('a picture full of finder patterns is given up in good time', () => {
  const [width, height] = [1280, 720];
  for (const module of [1, 2, 3, 5]) {
    const rgba = new Uint8ClampedArray(4 * width * height).fill(255);
    for (let i = 0; i < width * height; i++) {
      const x = (i % width / module | 0) % 9 - 4;
      const y = (i / width / module | 0) % 9 - 4;
      if (![2, 4].includes(Math.max(Math.abs(x), Math.abs(y)))) rgba.fill(0, 4 * i, 4 * i + 3);
    }
    const began = performance.now();
    assert.equal(decode(rgba, width, height), null);
    assert.ok(performance.now() - began < 5000);
  }
});

test('the worker answers with the same id and gives the buffer back', async () => {
  const sent = [];
  let receive;
  globalThis.self = {
    addEventListener: (type, listener) => { receive = listener; },
    postMessage: (message, transfer) => sent.push({ message, transfer }),
  };
  await import('../../web/qr-worker.js');
  const [rgba, width, height] = render(SYMBOLS[0], { scale: 4 });
  receive({ data: { id: 7, rgba: rgba.buffer, width, height } });
  receive({ data: { id: 8, rgba: new ArrayBuffer(4 * 30 * 30), width: 30, height: 30 } });
  assert.deepEqual(sent.map(({ message: { id, text } }) => ({ id, text })), [{ id: 7, text: SYMBOLS[0].text }, { id: 8, text: null }]);
  assert.equal(sent[0].message.corners.length, 4);
  assert.equal(sent[0].message.rgba, rgba.buffer);
  assert.deepEqual(sent[0].transfer, [rgba.buffer]);
});

// Numbers from 0 to 1, the same each time (mulberry32).
function generator(seed) {
  return () => {
    seed = seed + 0x6d2b79f5 | 0;
    let value = Math.imul(seed ^ seed >>> 15, 1 | seed);
    value = value + Math.imul(value ^ value >>> 7, 61 | value) ^ value;
    return ((value ^ value >>> 14) >>> 0) / 2 ** 32;
  };
}

function bytes(random, length) {
  return Uint8Array.from({ length }, () => random() * 256);
}

function ones(word) {
  return word.toString(2).replaceAll('0', '').length;
}

// Product in the field of 256 elements, by shifting and adding.
function product(a, b) {
  let sum = 0;
  for (; b; b >>= 1, a = a << 1 ^ (a & 0x80 ? 0x11d : 0)) if (b & 1) sum ^= a;
  return sum;
}

// Data by chance with its check codewords: the remainder by (x - 1)(x - 2)(x - 4) ...
function encoded(random, length, check) {
  let divisor = [1];
  for (let i = 0, root = 1; i < check; i++, root = product(root, 2)) {
    divisor = [...divisor, 0].map((value, j) => value ^ product(divisor[j - 1] ?? 0, root));
  }
  const block = new Uint8Array(length + check);
  block.set(bytes(random, length));
  const rest = block.slice();
  for (let i = 0; i < length; i++) {
    const factor = rest[i];
    divisor.forEach((value, j) => { rest[i + j] ^= product(value, factor); });
  }
  block.set(rest.subarray(length), length);
  return block;
}

function withErrors(random, block, errors) {
  const damaged = block.slice();
  const places = new Set();
  while (places.size < errors) places.add(random() * block.length | 0);
  for (const place of places) damaged[place] ^= 1 + random() * 255 | 0;
  return damaged;
}

// Turns over one module in each of the first codewords, which stand eight data modules apart on the way through.
function damage(random, bits, version, count) {
  const size = sizeOf(version);
  const { reserved } = functionPatterns(version);
  const damaged = bits.slice();
  let passed = 0;
  let up = true;
  for (let right = size - 1; right > 0; right -= 2, up = !up) {
    if (right === 6) right--;
    for (let step = 0; step < size; step++) {
      for (const column of [right, right - 1]) {
        const i = (up ? size - 1 - step : step) * size + column;
        if (reserved[i]) continue;
        if (passed % 8 === 3 && passed >> 3 < count) damaged[i] ^= 1;
        passed++;
      }
    }
  }
  return damaged;
}

function bitsOf(rows, version) {
  const size = sizeOf(version);
  return Uint8Array.from(rows.split(' ').map((row) => BigInt(`0x${row}`).toString(2).padStart(size, '0')).join(''));
}

// Fields of [value, bits] as codewords.
function packed(fields) {
  const bits = fields.map(([value, length]) => value.toString(2).padStart(length, '0')).join('');
  return Uint8Array.from((bits.match(/.{1,8}/g) ?? []).map((eight) => parseInt(eight.padEnd(8, '0'), 2)));
}

// Where a point of a symbol comes to lie in a square picture of this width.
function placer(size, width, { scale, angle = 0, mirrored = false }) {
  return (u, v) => {
    const x = (u - size / 2) * scale * (mirrored ? -1 : 1);
    const y = (v - size / 2) * scale;
    return { x: width / 2 + x * Math.cos(angle) - y * Math.sin(angle), y: width / 2 + x * Math.sin(angle) + y * Math.cos(angle) };
  };
}

// A square picture of a symbol, turned around its middle: [rgba, width, height].
function render({ rows, version }, { scale, angle = 0, mirrored = false, inverted = false }) {
  const size = sizeOf(version);
  const bits = bitsOf(rows, version);
  const width = Math.ceil((size + 8) * scale * (Math.abs(Math.cos(angle)) + Math.abs(Math.sin(angle))));
  const rgba = new Uint8ClampedArray(4 * width * width).fill(255);
  for (let i = 0; i < width * width; i++) {
    const x = i % width + 0.5 - width / 2;
    const y = Math.floor(i / width) + 0.5 - width / 2;
    const u = (x * Math.cos(angle) + y * Math.sin(angle)) * (mirrored ? -1 : 1) / scale + size / 2;
    const v = (y * Math.cos(angle) - x * Math.sin(angle)) / scale + size / 2;
    const inside = u >= 0 && v >= 0 && u < size && v < size;
    const dark = (inside && bits[Math.floor(v) * size + Math.floor(u)] === 1) !== inverted;
    rgba.fill(dark ? 20 : 230, 4 * i, 4 * i + 3);
  }
  return [rgba, width, width];
}

function assertNear(actual, expected, most, what) {
  const distance = Math.hypot(actual.x - expected.x, actual.y - expected.y);
  assert.ok(distance <= most, `${what}: ${JSON.stringify(actual)} is ${distance} from ${JSON.stringify(expected)}`);
}
