// Format information: error correction level and data mask, in 15 bits of a BCH code that stand in the symbol twice.

const GENERATOR = 0b10100110111;
const MASK = 0b101010000010010;
// The code words differ from each other in seven bits or more.
const CORRECTABLE = 3;
const LEVELS = ['M', 'L', 'H', 'Q'];

/** The 15 bits that stand for level (two bits) and mask (three bits). */
export function encodeFormat(five) {
  let rest = five << 10;
  for (let bit = 14; bit >= 10; bit--) {
    if (rest >> bit & 1) rest ^= GENERATOR << (bit - 10);
  }
  return (five << 10 | rest) ^ MASK;
}

/** {level, mask} by the two copies as read, or null if neither is near any format. */
export function decodeFormat(first, second) {
  let best = null;
  for (let five = 0; five < 32; five++) {
    const word = encodeFormat(five);
    const [one, other] = [ones(word ^ first), ones(word ^ second)];
    const nearer = Math.min(one, other);
    // Of two formats as near by one copy, the other copy decides.
    const distance = nearer + (one + other) / 100;
    if (nearer <= CORRECTABLE && !(best?.distance <= distance)) best = { five, distance };
  }
  return best && { level: LEVELS[best.five >> 3], mask: best.five & 7 };
}

/** {level, mask} of a symbol, or null. */
export function readFormat(bits, size) {
  let first = 0;
  let second = 0;
  for (let i = 0; i < 15; i++) {
    const [row, column] = besideTopLeft(i);
    first = first << 1 | bits[row * size + column];
    second = second << 1 | (i < 7 ? bits[(size - 1 - i) * size + 8] : bits[8 * size + size - 15 + i]);
  }
  return decodeFormat(first, second);
}

// Along row 8 and up column 8, over the timing patterns.
function besideTopLeft(i) {
  if (i < 8) return [8, i < 6 ? i : i + 1];
  return [i === 8 ? 7 : 14 - i, 8];
}

function ones(word) {
  let count = 0;
  for (; word; word &= word - 1) count++;
  return count;
}
