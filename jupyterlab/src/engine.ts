/**
 * The engine: WebAssembly, loaded at the first use and not before.
 */
import type * as Engine from '../engine/index';

export type { Engine };

let loading: Promise<typeof Engine> | undefined;

/** Loads the engine once. What failed may be tried again. */
export function loadEngine(): Promise<typeof Engine> {
  loading ??= load().catch(error => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function load(): Promise<typeof Engine> {
  const engine = await import('../engine/index');
  // Written like this, the builder packs the file, and finds it wherever the extension is served from.
  await engine.init(new URL('../engine/engine_bg.wasm', import.meta.url));
  return engine;
}
