// The package: what it is for is told by its types.

import initEngine from './engine.js';
import { LatchkeyError } from './error.js';

export { Keeper, PendingSignIn, Secrets, SecretVersion, Session, diagnose, version } from './engine.js';
export { LatchkeyError, isLatchkeyError } from './error.js';
export { ERROR_CODES } from './codes.js';

let loading;

export function init(source) {
  // A second call waits for the first; after a failure it may try again.
  loading ??= load(source).catch(error => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function load(source) {
  try {
    await initEngine({ module_or_path: source ?? new URL('./engine_bg.wasm', import.meta.url) });
  } catch (error) {
    const blocked = error instanceof WebAssembly.CompileError || error instanceof EvalError;
    throw blocked
      ? new LatchkeyError(
          "this page does not let WebAssembly run: its Content-Security-Policy needs 'wasm-unsafe-eval' in script-src",
          'engine_blocked',
          false
        )
      : new LatchkeyError('the engine cannot be loaded', 'engine_unavailable', true);
  }
}
