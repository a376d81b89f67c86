// What the engine asks of a page, a worker or Node: one function for each thing that Rust cannot do by itself.
// Nothing here knows a protocol.

/** The longest time that a timer takes: 2^31 - 1 ms. A longer one would fire at once. */
const LONGEST = 0x7fffffff;

/** What Node says where nobody has seen the request. A browser never says. */
const NOT_CONNECTED = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);

/**
 * Carries one request to a server and its whole reply back.
 *
 * @returns {Promise<{status: number, headers: string[], body: Uint8Array} | string>} a word where no whole reply arrived
 */
export async function send(method, url, headers, body, timeLimit, replyLimit) {
  const controller = new AbortController();
  let outcome = 'lost';
  const stop = why => {
    outcome = why;
    controller.abort();
  };
  const timer = setTimeout(stop, Math.min(timeLimit, LONGEST), 'timed_out');
  try {
    const pending = fetch(url, {
      method,
      headers,
      body,
      signal: controller.signal,
      // Following one would hand a token to somebody else; the page must not learn cookies, and nobody keep a copy.
      redirect: 'error',
      credentials: 'omit',
      cache: 'no-store',
      referrerPolicy: 'no-referrer'
    });
    // The specification has fetch take a copy before it returns.
    body?.fill(0);
    const response = await pending;
    const read = await readAll(response.body, replyLimit);
    if (read === undefined) {
      stop('too_large');
      return outcome;
    }
    return { status: response.status, headers: [...response.headers].flat(), body: read };
  } catch (error) {
    return outcome === 'lost' && NOT_CONNECTED.has(error?.cause?.code) ? 'unreachable' : outcome;
  } finally {
    clearTimeout(timer);
  }
}

/** Reads a body to its end; nothing where it is longer than the limit, and then no further than there. */
async function readAll(stream, limit) {
  const chunks = [];
  let length = 0;
  const reader = stream?.getReader();
  while (reader) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > limit) return undefined;
    chunks.push(value);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
    chunk.fill(0);
  }
  return whole;
}

/**
 * Checks a signature with WebCrypto.
 *
 * @returns {Promise<boolean | string>} a word where it could not be checked, which is another thing than that it is wrong
 */
export async function verify(jwk, algorithm, signature, input) {
  const subtle = globalThis.crypto?.subtle;
  if (!subtle) return 'unavailable';
  let key;
  try {
    key = await subtle.importKey('jwk', jwk, algorithm, false, ['verify']);
  } catch (error) {
    return error?.name === 'NotSupportedError' ? 'unsupported' : 'unusable';
  }
  try {
    return await subtle.verify(algorithm, key, signature, input);
  } catch {
    return 'unavailable';
  }
}

/** Lets the page sign in again, with the lock that its tabs share: one of them at a time. */
export function signInAgain(call, lock) {
  const controller = new AbortController();
  const { signal } = controller;
  const run = async () => call(signal);
  // A worker of an old browser, or Node, has no locks; there are no tabs either.
  const locks = lock === undefined ? undefined : globalThis.navigator?.locks;
  const promise = locks ? locks.request(lock, { signal }, run) : run();
  return { promise, abort: () => controller.abort() };
}

/** Waits. */
export function sleep(milliseconds) {
  return new Promise(resolve => setTimeout(resolve, Math.min(milliseconds, LONGEST)));
}
