// Sending a large body with its progress, which `fetch` does not tell.

import { ApiError, NoAnswer } from '../shared/http.js';

/**
 * Sends `body` and resolves to the JSON of the answer.
 *
 * @param {string} url
 * @param {{token: string, body: string, type: string, onProgress: (sent: number) => void, signal: AbortSignal}} options
 *   `onProgress` gets the part of the body that is sent, up to 1
 * @throws {ApiError | NoAnswer} as `sendForJson`
 */
export function upload(url, { token, body, type, onProgress, signal }) {
  const request = new XMLHttpRequest();
  request.open('PUT', url);
  request.setRequestHeader('Authorization', `Bearer ${token}`);
  request.setRequestHeader('Content-Type', type);
  const abort = () => request.abort();
  signal.addEventListener('abort', abort);
  return new Promise((resolve, reject) => {
    request.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 1);
    request.upload.onload = () => onProgress(1);
    request.onerror = () => reject(new NoAnswer('no answer to an upload'));
    request.onabort = request.onerror;
    request.onload = () => {
      const answer = parsed(request.responseText);
      if (request.status >= 200 && request.status < 300 && answer) resolve(answer);
      else reject(new ApiError(
        request.status,
        answer?.detail,
        Number(request.getResponseHeader('Retry-After')) || undefined,
      ));
    };
    request.send(body);
  }).finally(() => signal.removeEventListener('abort', abort));
}

function parsed(json) {
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
}
