// Server-sent events out of the pieces in which they arrive (the HTML standard's event stream).

/** Takes pieces of a stream and gives the events that are complete: `{type, data}`. */
export class EventStreamReader {
  #rest = '';
  #type = '';
  #data = [];

  /** The events that `piece` completes. */
  push(piece) {
    const lines = (this.#rest + piece).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    return lines.map((line) => this.#line(line)).filter(Boolean);
  }

  #line(line) {
    if (line === '') return this.#dispatch();
    const [, field, value = ''] = /^([^:]*)(?:: ?(.*))?$/.exec(line) ?? [];
    if (field === 'event') this.#type = value;
    if (field === 'data') this.#data.push(value);
    return null;
  }

  #dispatch() {
    const event = this.#data.length > 0 ? { type: this.#type || 'message', data: this.#data.join('\n') } : null;
    this.#type = '';
    this.#data = [];
    return event;
  }
}
