// Who is logged in on this device: a user of identity-service with a session that lasts, or a gate pass.

import { ApiError, send, sendForJson } from './http.js';
import { claims } from './jwt.js';

const KEY = 'tixgo.session';

/** A token is renewed when less than this is left of its life. */
const RENEW_BEFORE_MS = 60_000;

/** While identity-service does not renew a token that is still good, it is asked no more often. */
const RENEW_AGAIN_MS = 10_000;

/** Nobody is logged in any more: the user has to log in again, or to open another gate pass. */
export class SessionEnded extends Error {}

/** No identity-service is configured, so nobody can log in here by name. */
export class NoIdentityService extends Error {}

/** Where browsers reach identity-service, or `null`. */
export function identityUrl() {
  return document.querySelector('meta[name="identity-url"]')?.content.replace(/\/$/, '') || null;
}

/**
 * The session of this device, shared by all its tabs. It fires `change` when somebody logs in or out; `detail.isElsewhere`
 * says whether that was in another tab.
 *
 * Stored: `{token, refreshToken?, receivedAt}`. Times are those of this device alone, because its clock may be wrong.
 */
export class Session extends EventTarget {
  #stored = read();
  #renewal = null;
  #renewalFailedAt = -Infinity;

  constructor() {
    super();
    addEventListener('storage', (event) => {
      if (event.key !== KEY) return;
      this.#stored = read();
      this.#tell({ isElsewhere: true });
    });
  }

  /** `{name, role, event}` of whoever is logged in, or `null`. `event` is the id that a gate pass is for. */
  get user() {
    const read = this.#stored && claims(this.#stored.token);
    return read && { name: read.sub, role: read.role, event: read.event ?? null };
  }

  /** Logs in by name and password. */
  async logIn(username, password) {
    const answer = await sendForJson(`${needIdentity()}/auth/login`, {
      method: 'POST',
      json: { username, password, remember: true },
    });
    this.#store(answer);
  }

  /** Uses a gate pass. Returns whether `token` is one. */
  usePass(token) {
    const read = claims(token);
    if (read?.role !== 'gate' || !read.event || !read.sub) return false;
    this.#store({ access_token: token });
    return true;
  }

  /** Logs out here at once, and ends the session on identity-service if it can be reached. */
  async logOut() {
    const refresh_token = this.#stored?.refreshToken;
    this.#store(null);
    if (refresh_token && identityUrl()) await end(refresh_token);
  }

  /**
   * A token to send with a request.
   *
   * @param {{not?: string}} options `not`: a token that was refused, so another is needed
   * @throws {SessionEnded} if there is none and no way to get one
   * @throws {NoAnswer} if it has to be renewed and identity-service cannot be reached
   */
  async token({ not } = {}) {
    const stored = this.#stored;
    if (!stored) throw new SessionEnded();
    const wasRefused = stored.token === not;
    if (!wasRefused && !isEnding(stored)) return stored.token;
    if (!stored.refreshToken || !identityUrl()) {
      if (wasRefused) throw new SessionEnded();
      return stored.token;
    }
    // Each request would wait for an answer that does not come.
    if (!wasRefused && performance.now() - this.#renewalFailedAt < RENEW_AGAIN_MS) return stored.token;
    this.#renewal ??= this.#renew(stored).finally(() => (this.#renewal = null));
    try {
      await this.#renewal;
    } catch (error) {
      // With identity-service down, the token is used up to its last second.
      this.#renewalFailedAt = performance.now();
      if (wasRefused || error instanceof SessionEnded) throw error;
    }
    if (!this.#stored) throw new SessionEnded();
    return this.#stored.token;
  }

  async #renew(stored) {
    const isCurrent = () => this.#stored?.refreshToken === stored.refreshToken;
    let answer;
    try {
      answer = await sendForJson(`${needIdentity()}/auth/refresh`, {
        method: 'POST',
        json: { refresh_token: stored.refreshToken },
      });
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      if (isCurrent()) throw new SessionEnded();
      return;
    }
    if (isCurrent()) this.#store(answer);
    // Somebody has logged out meanwhile, or has opened a pass. Another tab, which renews the same session, has the same user.
    else if (this.user?.name !== claims(stored.token)?.sub) await end(answer.refresh_token);
  }

  #store(answer) {
    this.#stored = answer && {
      token: answer.access_token,
      refreshToken: answer.refresh_token,
      receivedAt: Date.now(),
    };
    try {
      if (this.#stored) localStorage.setItem(KEY, JSON.stringify(this.#stored));
      else localStorage.removeItem(KEY);
    } catch {
      // A browser that stores nothing keeps the session as long as the page is open.
    }
    this.#tell({ isElsewhere: false });
  }

  #tell(detail) {
    this.dispatchEvent(new CustomEvent('change', { detail }));
  }
}

/** Ends a session on identity-service, if it can be reached. */
async function end(refresh_token) {
  await send(`${identityUrl()}/auth/logout`, { method: 'POST', json: { refresh_token } }).catch(() => {});
}

function needIdentity() {
  const url = identityUrl();
  if (!url) throw new NoIdentityService();
  return url;
}

function isEnding({ token, receivedAt }) {
  const { iat, exp } = claims(token) ?? {};
  if (!iat || !exp) return false;
  const age = Date.now() - receivedAt;
  return age < 0 || age > (exp - iat) * 1000 - RENEW_BEFORE_MS;
}

function read() {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY));
    return claims(stored?.token) ? stored : null;
  } catch {
    return null;
  }
}
