// Requests to identity-service, which is elsewhere and may be down while everything else goes on.

import { asUser } from '../shared/attendance.js';
import { NoAnswer, sendForJson } from '../shared/http.js';
import { identityUrl, NoIdentityService } from '../shared/session.js';

/** identity-service does not answer at `url`. */
export class IdentityDown extends Error {
  constructor(url) {
    super(`no answer from ${url}`);
    this.url = url;
  }
}

/** identity-service, asked with the token of `session`. */
export class Identity {
  #session;

  constructor(session) {
    this.#session = session;
  }

  /**
   * The JSON that answers a request.
   *
   * @throws {IdentityDown} if there is no answer
   * @throws {ApiError | NoIdentityService | SessionEnded}
   */
  async json(path, options) {
    const url = identityUrl();
    if (!url) throw new NoIdentityService();
    const ask = (token) => sendForJson(`${url}${path}`, { ...options, token, milliseconds: 20_000 });
    return await named(url, () => asUser(this.#session, ask));
  }
}

/** Logs in by name and password; errors as those of {@link Identity.json}. */
export async function logIn(session, username, password) {
  await named(identityUrl(), () => session.logIn(username, password));
}

async function named(url, request) {
  try {
    return await request();
  } catch (error) {
    throw error instanceof NoAnswer ? new IdentityDown(url) : error;
  }
}
