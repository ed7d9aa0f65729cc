// Whether the server can be reached, and what goes out and comes in when it can.

import { ApiError, NoAnswer } from '../shared/http.js';
import { SessionEnded } from '../shared/session.js';
import { backoff } from './verdict.js';

/** How often this phone asks what others did. */
const EVERY_MS = 10_000;

/**
 * The connection to attendance-service. It fires `change` when `isOnline` has changed, `progress` when something was
 * fetched, and `ended` when somebody has to log in again.
 */
export class Connection extends EventTarget {
  #synchronise;
  #fetchMore;
  #timer;
  #failures = 0;
  #isRunning = false;
  #isAskedAgain = false;
  #isStopped = true;

  /**
   * Whether verdicts are the server's. True again only when the queue was sent and the changes of others are known.
   */
  isOnline = navigator.onLine;

  /**
   * @param {() => Promise<void>} synchronise sends the queue and takes in the changes of others
   * @param {() => Promise<void>} fetchMore fetches what can wait
   */
  constructor(synchronise, fetchMore) {
    super();
    this.#synchronise = synchronise;
    this.#fetchMore = fetchMore;
    addEventListener('online', () => this.kick());
    addEventListener('offline', () => this.#setOnline(false));
    document.addEventListener('visibilitychange', () => document.hidden || this.kick());
  }

  start() {
    this.#isStopped = false;
    this.#failures = 0;
    this.kick();
  }

  stop() {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  /** Synchronises now. */
  async kick() {
    if (this.#isStopped) return;
    this.#isAskedAgain = true;
    if (this.#isRunning) return;
    clearTimeout(this.#timer);
    this.#isRunning = true;
    let wait = EVERY_MS;
    while (this.#isAskedAgain) {
      this.#isAskedAgain = false;
      wait = await this.#turn();
    }
    this.#isRunning = false;
    if (!this.#isStopped) this.#timer = setTimeout(() => this.kick(), wait);
  }

  /** Says that a request has failed. */
  lost(error) {
    const wait = this.#failed(error);
    if (this.#isRunning || this.#isStopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.kick(), wait);
  }

  /** Says that there is something to send. */
  queued() {
    if (this.isOnline) this.kick();
    navigator.serviceWorker?.ready
      .then((registration) => registration.sync?.register('queue'))
      .catch(() => {
        // The browser sends nothing in the background; the page does when it is open.
      });
  }

  /** Synchronises once. Returns how long to wait for the next time. */
  async #turn() {
    try {
      await this.#synchronise();
      this.#failures = 0;
      this.#setOnline(true);
      await this.#fetchMore();
      this.dispatchEvent(new Event('progress'));
      return EVERY_MS;
    } catch (error) {
      return this.#failed(error);
    }
  }

  #failed(error) {
    const isExpected = error instanceof ApiError || error instanceof NoAnswer || error instanceof SessionEnded;
    this.#setOnline(false);
    if (error instanceof SessionEnded || error.status === 401) {
      this.stop();
      this.dispatchEvent(new Event('ended'));
    } else if (!isExpected) reportError(error);
    this.#failures += 1;
    return backoff(this.#failures, { retryAfter: error.retryAfter });
  }

  #setOnline(isOnline) {
    if (this.isOnline === isOnline) return;
    this.isOnline = isOnline;
    this.dispatchEvent(new Event('change'));
  }
}
