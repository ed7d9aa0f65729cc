// Whether attendance-service answers. After a request without an answer it is asked until it does.

import { byId } from '../shared/dom.js';
import { send } from '../shared/http.js';
import { languageChanges, text } from '../shared/language.js';
import { say } from './status.js';

const SHORTEST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 15_000;

/** Fires `recovered` once the service answers again. */
export class Connection extends EventTarget {
  #isLost = false;

  constructor() {
    super();
    addEventListener('offline', () => this.lost());
    languageChanges.addEventListener('change', () => this.#show());
  }

  /** Says on the page that there is no answer, and waits for one. */
  lost() {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#show();
    this.#wait();
  }

  async #wait() {
    for (let wait = SHORTEST_WAIT_MS; this.#isLost; wait = Math.min(2 * wait, LONGEST_WAIT_MS)) {
      await new Promise((resolve) => {
        setTimeout(resolve, wait);
        addEventListener('online', resolve, { once: true });
      });
      this.#isLost = !(await send('/health', { milliseconds: 5_000 }).then(() => true, () => false));
    }
    this.#show();
    say(text('desk.recovered'));
    this.dispatchEvent(new Event('recovered'));
  }

  #show() {
    const banner = byId('offline');
    banner.hidden = !this.#isLost;
    banner.textContent = this.#isLost ? text('desk.lost') : '';
  }
}
