// Requests to the services.

/** A service answered with an error. `status` is that of HTTP, `detail` what the service says of it. */
export class ApiError extends Error {
  constructor(status, detail, retryAfter) {
    super(typeof detail === 'string' ? detail : `HTTP ${status}`);
    this.status = status;
    this.detail = detail;
    /** Seconds to wait before another try, where the service says so. */
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may succeed later. */
  get isTemporary() {
    return this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** No answer: no network, the service is down, or it took too long. */
export class NoAnswer extends Error {}

/** `.` and `..` are ids that no URL can have. */
export class NoPath extends Error {}

/**
 * Sends a request and returns the response, whose body is not read yet.
 *
 * @param {string} url
 * @param {{method?: string, token?: string, json?: unknown, body?: BodyInit, headers?: Record<string, string>,
 *   milliseconds?: number, signal?: AbortSignal}} options `json` is sent as JSON; the headers of the answer must have
 *   arrived within `milliseconds` (10,000).
 * @throws {ApiError} for every status but 2xx and 304
 * @throws {NoAnswer} if there is none; also if `signal` aborts
 */
export async function send(url, options = {}) {
  const { method = 'GET', token, json, body, headers = {}, milliseconds = 10_000, signal } = options;
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), milliseconds);
  const abortToo = () => abort.abort();
  if (signal?.aborted) abortToo();
  signal?.addEventListener('abort', abortToo);
  const all = { ...headers };
  if (token) all.Authorization = `Bearer ${token}`;
  if (json !== undefined) all['Content-Type'] = 'application/json';
  let response;
  try {
    response = await fetch(url, {
      method,
      headers: all,
      body: json === undefined ? body : JSON.stringify(json),
      cache: 'no-store',
      credentials: 'omit',
      // What is changed is what the path says, and nothing that it leads on to.
      redirect: method === 'GET' ? 'follow' : 'error',
      signal: abort.signal,
    });
  } catch (error) {
    throw new NoAnswer(String(error?.message ?? error));
  } finally {
    // A response that is a stream can still be aborted by `signal`.
    clearTimeout(timer);
  }
  if (response.ok || response.status === 304) return response;
  signal?.removeEventListener('abort', abortToo);
  throw await apiError(response);
}

/** Like {@link send}, with the body read as JSON within the same time. */
export async function sendForJson(url, options = {}) {
  const { milliseconds = 10_000 } = options;
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), milliseconds);
  options.signal?.addEventListener('abort', () => abort.abort());
  try {
    const response = await send(url, { ...options, signal: abort.signal });
    return await response.json();
  } catch (error) {
    // A body that ends early, or that some other server between here and there has written.
    throw error instanceof ApiError || error instanceof NoAnswer ? error : new NoAnswer(String(error?.message ?? error));
  } finally {
    clearTimeout(timer);
  }
}

async function apiError(response) {
  const retryAfter = Number(response.headers.get('Retry-After')) || undefined;
  try {
    return new ApiError(response.status, (await response.json()).detail, retryAfter);
  } catch {
    return new ApiError(response.status, undefined, retryAfter);
  }
}
