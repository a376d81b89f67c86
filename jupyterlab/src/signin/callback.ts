/**
 * Hears what the callback page says: `static/callback.js` is the other side.
 */
import type { Engine } from '../engine';

/** What a page sent. Anything can send a message: nothing of it is believed before it was looked at. */
function membersOf(data: unknown): Engine.CallbackMembers | undefined {
  if (typeof data !== 'object' || data === null) {
    return undefined;
  }
  const message = data as Record<string, unknown>;
  if (message.type !== 'latchkey-answer') {
    return undefined;
  }
  const members: Record<string, string> = {};
  for (const name of ['code', 'state', 'iss', 'error', 'error_description']) {
    const value = message[name];
    if (value === undefined) {
      continue;
    }
    if (typeof value !== 'string' || value.length > 8192) {
      return undefined;
    }
    members[name] = value;
  }
  return members;
}

/**
 * Waits for the answer to one sign-in, on both ways that it may take.
 *
 * A provider's page with `Cross-Origin-Opener-Policy` cuts the opener off: then only the channel is left. Whether a window
 * is closed is never asked for, since such a page looks closed while somebody is still typing.
 */
export function awaitCallback(state: string, signal: AbortSignal): Promise<Engine.CallbackMembers> {
  return new Promise((resolve, reject) => {
    const channel = new BroadcastChannel('latchkey:' + state);
    const end = () => {
      channel.close();
      window.removeEventListener('message', onMessage);
      signal.removeEventListener('abort', onAbort);
    };
    const take = (data: unknown): void => {
      const members = membersOf(data);
      // Exactly ours, and only once: the engine compares it again.
      if (!members || members.state !== state) {
        return;
      }
      channel.postMessage({ type: 'latchkey-received' });
      end();
      resolve(members);
    };
    const onMessage = (event: MessageEvent) => {
      if (event.origin === location.origin) {
        take(event.data);
      }
    };
    const onAbort = () => {
      end();
      reject(signal.reason);
    };
    channel.onmessage = event => take(event.data);
    window.addEventListener('message', onMessage);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) {
      onAbort();
    }
  });
}
