// A gate pass in the address: `/gate#pass=<token>`.

import { path } from '../shared/attendance.js';
import { ApiError, NoAnswer, NoPath, sendForJson } from '../shared/http.js';
import { claims } from '../shared/jwt.js';

/** A pass is used unseen if the server does not answer for so long. */
const TIMEOUT_MS = 3000;

/** In characters. identity-service makes passes of some 300. */
const LONGEST = 2000;

/** Takes the pass out of the address, so that it is neither shown, nor kept in the history. `null` if there is none. */
export function takePass() {
  const { hash, pathname, search } = location;
  const pass = new URLSearchParams(hash.slice(1)).get('pass');
  if (pass === null) return null;
  history.replaceState(history.state, '', pathname + search);
  return pass.trim();
}

/** What speaks against the use of a pass on a phone with this session: the key of a text, or `null`. */
export async function problemOfPass(pass, session) {
  const read = claims(pass);
  if (pass.length > LONGEST || read?.role !== 'gate' || !read.event) return 'gate.notice.passBroken';
  try {
    await sendForJson(path`/events/${read.event}`, { token: pass, milliseconds: TIMEOUT_MS });
    return null;
  } catch (error) {
    if (error instanceof NoPath) return 'gate.notice.passBroken';
    if (error.status === 404) return 'gate.notice.passEventGone';
    if (error instanceof ApiError && !error.isTemporary) return 'gate.notice.passRefused';
    if (!(error instanceof ApiError || error instanceof NoAnswer)) throw error;
    // Without an answer it is used, for a phone must work without a network. But nobody who is logged in is logged out
    // for a pass that may be forged.
    return session.user ? 'gate.notice.passUnseen' : null;
  }
}
