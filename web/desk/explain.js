// What an error is called on the desk.

import { ApiError, NoAnswer } from '../shared/http.js';
import { errorText } from '../shared/errors.js';
import { text } from '../shared/language.js';
import { SessionEnded } from '../shared/session.js';
import { IdentityDown } from './identity.js';

/** A sentence that says what went wrong and what to do. */
export function explain(error) {
  if (error instanceof IdentityDown) return text('common.errors.identityDown', { url: error.url });
  if (error instanceof ApiError && Array.isArray(error.detail)) return error.detail.map(problemText).join(' ');
  return errorText(error);
}

/** What one entry of a 422 says, in the language of the page where that is known. */
export function problemText({ type, msg, ctx }) {
  if (type === 'missing') return text('desk.problems.missing');
  if (type === 'string_too_short' && ctx?.min_length === 1) return text('desk.problems.missing');
  if (type === 'string_too_short') return text('desk.problems.tooShort', { length: ctx?.min_length });
  if (type === 'string_too_long') return text('desk.problems.tooLong', { length: ctx?.max_length });
  if (type === 'greater_than_equal') return text('desk.problems.tooSmall', { least: ctx?.ge });
  if (type === 'less_than_equal') return text('desk.problems.tooLarge', { most: ctx?.le });
  if (type.startsWith('int_')) return text('desk.problems.noNumber');
  if (type.startsWith('datetime_')) return text('desk.problems.noMoment');
  return `${msg.replace(/^Value error, /, '')}.`;
}

/** Whether nothing but another login helps. */
export function needsLogin(error) {
  return error instanceof SessionEnded || (error instanceof ApiError && error.status === 401);
}

/** Whether there was no answer from attendance-service. */
export function isLost(error) {
  return error instanceof NoAnswer;
}
