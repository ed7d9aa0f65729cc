// Reed-Solomon error correction over the field of 256 elements with x^8 + x^4 + x^3 + x^2 + 1.
// Polynomials are arrays of coefficients, the constant first.

const EXP = new Uint8Array(510);
const LOG = new Uint8Array(256);
for (let i = 0, value = 1; i < 255; i++) {
  EXP[i] = EXP[i + 255] = value;
  LOG[value] = i;
  value = value << 1 ^ (value & 0x80 ? 0x11d : 0);
}

function multiply(a, b) {
  return a && b ? EXP[LOG[a] + LOG[b]] : 0;
}

function divide(a, b) {
  return a ? EXP[LOG[a] + 255 - LOG[b]] : 0;
}

function evaluate(polynomial, x) {
  let value = 0;
  for (let i = polynomial.length - 1; i >= 0; i--) value = multiply(value, x) ^ polynomial[i];
  return value;
}

/**
 * Corrects up to `correctable` wrong codewords of a block in place; its last `check` codewords are the check codewords.
 * False if there are more, as far as that can be seen; then what the block holds is of no use.
 */
export function correct(block, check, correctable) {
  const syndromes = syndromesOf(block, check);
  if (!syndromes) return true;
  const locator = errorLocator(syndromes);
  const errors = locator.length - 1;
  if (errors > correctable) return false;
  const places = placesOf(locator, block.length);
  if (places.length !== errors) return false;
  repair(block, syndromes, locator, places);
  return syndromesOf(block, check) === null;
}

// The block as a polynomial, its first codeword of the highest power, at the generator's roots; null if all are 0.
function syndromesOf(block, check) {
  const syndromes = new Uint8Array(check);
  let wrong = 0;
  for (let i = 0; i < check; i++) {
    let value = 0;
    for (const codeword of block) value = multiply(value, EXP[i]) ^ codeword;
    syndromes[i] = value;
    wrong |= value;
  }
  return wrong ? syndromes : null;
}

// Berlekamp-Massey: the shortest polynomial that makes each syndrome out of those before it.
function errorLocator(syndromes) {
  let locator = [1];
  let previous = [1];
  let errors = 0;
  let shift = 1;
  let previousDiscrepancy = 1;
  for (let n = 0; n < syndromes.length; n++, shift++) {
    let discrepancy = syndromes[n];
    for (let i = 1; i <= errors; i++) discrepancy ^= multiply(locator[i] ?? 0, syndromes[n - i]);
    if (discrepancy === 0) continue;
    const factor = divide(discrepancy, previousDiscrepancy);
    const next = locator.slice();
    previous.forEach((value, i) => {
      next[i + shift] = (next[i + shift] ?? 0) ^ multiply(factor, value);
    });
    for (let i = 0; i < next.length; i++) next[i] ??= 0;
    if (2 * errors <= n) {
      errors = n + 1 - errors;
      previous = locator;
      previousDiscrepancy = discrepancy;
      shift = 0;
    }
    locator = next;
  }
  while (locator.at(-1) === 0) locator.pop();
  return locator;
}

// The powers whose codewords are wrong, by trying all that the block has.
function placesOf(locator, length) {
  const places = [];
  for (let power = 0; power < length; power++) {
    if (evaluate(locator, EXP[255 - power]) === 0) places.push(power);
  }
  return places;
}

// Forney: what to add at each place.
function repair(block, syndromes, locator, places) {
  const evaluator = syndromes.map((_, i) => {
    let value = 0;
    for (let j = 0; j <= i && j < locator.length; j++) value ^= multiply(locator[j], syndromes[i - j]);
    return value;
  });
  // In this field the derivative keeps the odd powers, each lowered by one.
  const derivative = locator.slice(1).map((value, i) => (i % 2 === 0 ? value : 0));
  for (const power of places) {
    const inverse = EXP[255 - power];
    const value = divide(evaluate(evaluator, inverse), evaluate(derivative, inverse));
    block[block.length - 1 - power] ^= multiply(value, EXP[power]);
  }
}
