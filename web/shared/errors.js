// What an error is called for whoever reads it.

import { ApiError, NoAnswer, NoPath } from './http.js';
import { text } from './language.js';
import { NoIdentityService, SessionEnded } from './session.js';

/** A sentence that says what went wrong and what to do. A service's own words, where it gives some, are kept. */
export function errorText(error) {
  if (error instanceof NoAnswer) return text('common.errors.noAnswer');
  if (error instanceof SessionEnded) return text('common.errors.sessionEnded');
  if (error instanceof NoIdentityService) return text('common.errors.noIdentity');
  if (error instanceof NoPath) return text('common.errors.noPath');
  if (!(error instanceof ApiError)) throw error;
  if (error.status === 429) return text('common.errors.throttled', { seconds: error.retryAfter ?? 60 });
  if (typeof error.detail === 'string' && error.status < 500) return error.detail;
  if (Array.isArray(error.detail)) return error.detail.map(problem).join(' ');
  if (error.status === 403) return text('common.errors.forbidden');
  return text('common.errors.server', { status: error.status });
}

/** Whether a service says that something is not there. Others between here and there answer with 404 as well. */
export function isNotFound(error) {
  return error instanceof ApiError && error.status === 404 && typeof error.detail === 'string';
}

function problem({ loc, msg }) {
  return `${loc.slice(1).join(' ')}: ${msg}.`;
}
