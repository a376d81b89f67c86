/**
 * What a browser has and Node has not, for the tests that look at it.
 */
import { nullTranslator, type TranslationBundle } from '@jupyterlab/translation';

/** Words as they are. */
export const trans: TranslationBundle = nullTranslator.load('jupyterlab_latchkey');

/** A window at an address. What is set is there until the next call. */
export function page(url: string, more: Record<string, unknown> = {}): EventTarget {
  const target = new EventTarget();
  const methods = {
    addEventListener: target.addEventListener.bind(target),
    removeEventListener: target.removeEventListener.bind(target),
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout
  };
  const window = Object.assign(target, methods, { isSecureContext: true }, more);
  Object.assign(globalThis, { window, location: new URL(url) });
  return target;
}
