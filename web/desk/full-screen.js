// A page that fills the screen and keeps it awake.

/** Fills the screen until it is left or `signal` aborts. `onChange(isFull)` tells of both. */
export class FullScreen {
  #lock = null;
  #isFull = false;
  #onChange;

  constructor(signal, onChange) {
    this.#onChange = onChange;
    document.addEventListener('fullscreenchange', () => document.fullscreenElement || this.leave(), { signal });
    document.addEventListener('visibilitychange', () => this.#isFull && this.#stayAwake(), { signal });
    // Where there is no full screen, the key that leaves it works all the same.
    document.addEventListener('keydown', ({ key }) => key === 'Escape' && this.leave(), { signal });
    signal.addEventListener('abort', () => this.leave());
  }

  async enter() {
    this.#isFull = true;
    this.#onChange(true);
    this.#stayAwake();
    // Phones may have no full screen: the page without what is around it is as good.
    await document.documentElement.requestFullscreen?.().catch(() => {});
  }

  leave() {
    if (!this.#isFull) return;
    this.#isFull = false;
    this.#lock?.release().catch(() => {});
    this.#lock = null;
    if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
    this.#onChange(false);
  }

  async #stayAwake() {
    if (document.hidden || !navigator.wakeLock) return;
    try {
      this.#lock = await navigator.wakeLock.request('screen');
    } catch {
      // With a low battery the browser refuses: the screen then sleeps as it always does.
    }
  }
}
