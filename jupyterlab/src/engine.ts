/**
 * The engine: WebAssembly, loaded at the first use and not before.
 */
import type * as Engine from '../engine/index';

import { codeOf } from './codes';
import { installedVersion } from './page';
import { VERSION } from './version';

export type { Engine };

/** The engine cannot be loaded from this server, in a way that the engine itself cannot tell. */
export class EngineError extends Error {
  constructor(
    readonly code: 'engine_unavailable' | 'page_outdated',
    message: string
  ) {
    super(message);
    this.name = 'EngineError';
  }
}

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
  try {
    const engine = await import('../engine/index');
    // Written like this, the builder packs the file, and finds it wherever the extension is served from.
    await engine.init(new URL('../engine/engine_bg.wasm', import.meta.url));
    return engine;
  } catch (error) {
    if (codeOf(error) === 'engine_blocked') {
      throw error;
    }
    // Files are named by what is in them: another version on the server has others, and never those of this page.
    const installed = await installedVersion();
    throw installed === undefined || installed === VERSION
      ? new EngineError('engine_unavailable', 'the engine cannot be loaded')
      : new EngineError('page_outdated', `the server has version ${installed} by now`);
  }
}
