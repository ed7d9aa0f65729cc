// The text in the data codewords: segments of a mode, a count and that many characters.

const TERMINATOR = 0;
const NUMERIC = 1;
const ALPHANUMERIC = 2;
const BYTE = 4;
const ECI = 7;
const ECI_UTF8 = 26;

const CHARACTERS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:';
// Bits that three, two and one digits take.
const DIGIT_BITS = { 3: 10, 2: 7, 1: 4 };

/** The text, or null if it is empty, damaged or of a kind not read here (kanji, other character sets, parts of a text). */
export function readSegments(codewords, version) {
  const bits = new Bits(codewords);
  const bytes = [];
  try {
    for (;;) {
      const mode = bits.left < 4 ? TERMINATOR : bits.take(4);
      if (mode === TERMINATOR) return bytes.length ? textOf(Uint8Array.from(bytes)) : null;
      readSegment(mode, bits, version, bytes);
    }
  } catch (error) {
    if (error instanceof Unreadable) return null;
    throw error;
  }
}

class Unreadable extends Error {}

// Up to 24 bits at a time out of the codewords.
class Bits {
  constructor(codewords) {
    this.codewords = codewords;
    this.next = 0;
  }

  get left() {
    return 8 * this.codewords.length - this.next;
  }

  take(count) {
    if (count > this.left) throw new Unreadable();
    let value = 0;
    for (; count > 0; count--, this.next++) {
      value = value << 1 | (this.codewords[this.next >> 3] >> (7 - (this.next & 7)) & 1);
    }
    return value;
  }
}

function readSegment(mode, bits, version, bytes) {
  const large = version >= 10;
  switch (mode) {
    case NUMERIC: return readNumeric(bits, bits.take(large ? 12 : 10), bytes);
    case ALPHANUMERIC: return readAlphanumeric(bits, bits.take(large ? 11 : 9), bytes);
    case BYTE: return readBytes(bits, bits.take(large ? 16 : 8), bytes);
    case ECI:
      // A designator of UTF-8 is one byte long, and nothing else is read.
      if (bits.take(8) !== ECI_UTF8) throw new Unreadable();
      return undefined;
    default: throw new Unreadable();
  }
}

function readNumeric(bits, count, bytes) {
  while (count > 0) {
    const digits = Math.min(3, count);
    const text = String(bits.take(DIGIT_BITS[digits])).padStart(digits, '0');
    if (text.length > digits) throw new Unreadable();
    append(bytes, text);
    count -= digits;
  }
}

function readAlphanumeric(bits, count, bytes) {
  for (; count > 1; count -= 2) {
    const pair = bits.take(11);
    append(bytes, characterOf(pair / 45 | 0) + characterOf(pair % 45));
  }
  if (count) append(bytes, characterOf(bits.take(6)));
}

function characterOf(value) {
  if (value >= CHARACTERS.length) throw new Unreadable();
  return CHARACTERS[value];
}

function readBytes(bits, count, bytes) {
  for (; count > 0; count--) bytes.push(bits.take(8));
}

function append(bytes, ascii) {
  for (const character of ascii) bytes.push(character.charCodeAt(0));
}

// All segments together, for a character's bytes may be divided between two of them.
function textOf(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
  }
}
