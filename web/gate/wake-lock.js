// Keeps the screen on while the gate is open.

export class WakeLock {
  #isWanted = false;

  constructor() {
    // The browser gives the lock up whenever the page is hidden.
    document.addEventListener('visibilitychange', () => document.hidden || this.#request());
  }

  #lock = null;

  start() {
    this.#isWanted = true;
    this.#request();
  }

  stop() {
    this.#isWanted = false;
    this.#lock?.release().catch(() => {});
    this.#lock = null;
  }

  async #request() {
    if (!this.#isWanted) return;
    try {
      this.#lock = await navigator.wakeLock?.request('screen');
      if (!this.#isWanted) this.stop();
    } catch {
      // An empty battery refuses it: the screen goes off as ever, and nothing else is lost.
    }
  }
}
