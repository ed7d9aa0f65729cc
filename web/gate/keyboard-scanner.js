// A scanner that types: fast keys, then Enter, wherever the focus is.

/** Nobody types as fast; scanners over Bluetooth take up to about 40 ms a key. */
const FASTEST_TYPING_MS = 60;
/** A browser that is busy may stumble between two keys of a code. */
const LONGEST_PAUSE_MS = 400;
const SHORTEST_CODE = 4;

/** Tells a scanner from a person by the time between keys. Knows no page: `read` is given each key. */
export class KeyboardScanner {
  #keys = '';
  #pauses = [];
  #at = -Infinity;

  /**
   * @param {string} key as `KeyboardEvent.key` names it
   * @param {number} at when it was pressed, in milliseconds
   * @returns {{code?: string, isFirst: boolean, isFast: boolean}} `code` once it is complete; `isFirst`: with this key a
   *   code may begin; `isFast`: nobody types this key, a scanner does
   */
  read(key, at) {
    // Shift and the like, between the keys of a code.
    if (key !== 'Enter' && [...key].length !== 1) return { isFirst: false, isFast: false };
    const pause = at - this.#at;
    const isFirst = this.#keys === '' || pause > LONGEST_PAUSE_MS;
    this.#at = at;
    if (isFirst) {
      this.#keys = '';
      this.#pauses = [];
    } else this.#pauses.push(pause);
    if (key === 'Enter') return { code: this.#end(), isFirst: false, isFast: false };
    this.#keys += key;
    return { isFirst, isFast: !isFirst && pause <= FASTEST_TYPING_MS };
  }

  /** The code that Enter ends, if most of its keys came fast. */
  #end() {
    const code = this.#keys;
    this.#keys = '';
    const pauses = this.#pauses.sort((one, other) => one - other);
    const isTyped = code.length < SHORTEST_CODE || pauses[pauses.length >> 1] > FASTEST_TYPING_MS;
    return isTyped ? undefined : code;
  }
}

/**
 * Listens to the keys of `target` and calls `onCode` with each code. What a scanner types neither stays in a field nor
 * presses a button that has the focus.
 */
export function listenToScanner(target, onCode, isActive) {
  const scanner = new KeyboardScanner();
  let field = null;
  let before = '';
  let isSpaceDown = false;

  target.addEventListener(
    'keydown',
    (event) => {
      if (!isActive() || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
      const { code, isFirst, isFast } = scanner.read(event.key, event.timeStamp);
      if (isFirst) {
        field = isTextField(event.target) ? event.target : null;
        before = field?.value;
      }
      if (code) {
        if (field) field.value = before;
        event.preventDefault();
        event.stopPropagation();
        onCode(code);
      } else if (isFast && !field) {
        event.preventDefault();
        isSpaceDown = event.key === ' ';
      }
    },
    { capture: true },
  );
  // A button is pressed when the space bar comes up.
  target.addEventListener('keyup', (event) => {
    if (event.key !== ' ' || !isSpaceDown) return;
    isSpaceDown = false;
    event.preventDefault();
  });
}

function isTextField(element) {
  return element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement;
}
