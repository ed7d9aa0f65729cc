// Keeps the page on the phone, by the service worker.

/** Whether the browser keeps no page of this address. To ask again would fetch the file again, to no avail. */
let isRefused = false;

/** Keeps the page. Returns why it is not kept: `insecure`, `unsupported`, or `refused`; or `null` if it is. */
export async function keepPage() {
  if (!isSecureContext) return 'insecure';
  if (!navigator.serviceWorker) return 'unsupported';
  if (isRefused) return 'refused';
  try {
    await navigator.serviceWorker.register('/web/gate/service-worker.js', { scope: '/gate', type: 'module' });
    return null;
  } catch (error) {
    // A certificate that the browser was told to accept is not good enough for one; and without a network there is one.
    const isKept = await navigator.serviceWorker.getRegistration('/gate').catch(() => undefined);
    isRefused = !isKept && error.name === 'SecurityError';
    return isKept ? null : 'refused';
  }
}
