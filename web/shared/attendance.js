// Requests to attendance-service, which serves this page, as whoever is logged in.

import { ApiError, NoPath, send, sendForJson } from './http.js';

/** attendance-service, asked with the token of `session`. */
export class Attendance {
  #session;

  constructor(session) {
    this.#session = session;
  }

  /** The JSON that answers a request. Options and errors as those of `sendForJson`, and `SessionEnded`. */
  json(path, options) {
    return this.asUser((token) => sendForJson(path, { ...options, token }));
  }

  /** The response to a request, for what is no JSON, and for streams. Options and errors as those of `send`. */
  response(path, options) {
    return this.asUser((token) => send(path, { ...options, token }));
  }

  /** As {@link asUser}, for requests that are sent otherwise. */
  asUser(request) {
    return asUser(this.#session, request);
  }
}

/** Does `request(token)` with the token of `session`, and once more with a renewed one if that is refused. */
export async function asUser(session, request) {
  const token = await session.token();
  try {
    return await request(token);
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401) throw error;
    return await request(await session.token({ not: token }));
  }
}

/**
 * A path below `/`, with every part percent-encoded.
 *
 * @throws {NoPath} for `.` and `..`, which every URL parser takes out of a path: another thing would be asked for
 */
export function path(parts, ...values) {
  if (values.some((value) => value === '.' || value === '..')) throw new NoPath();
  return parts.reduce((made, part, index) => made + encodeURIComponent(values[index - 1]) + part);
}
