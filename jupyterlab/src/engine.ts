/**
 * The engine: WebAssembly, loaded at the first use and not before.
 */
import type * as Engine from '../engine/index';

export type { Engine };

let loading: Promise<typeof Engine> | undefined;

/** Loads the engine once. What failed may be tried again. */
export function loadEngine(): Promise<typeof Engine> {
  loading ??= import('../engine/index').then(
    async engine => {
      await engine.init();
      return engine;
    },
    error => {
      throw error;
    }
  );
  loading.catch(() => {
    loading = undefined;
  });
  return loading;
}
