// The package in Node, whose fetch knows no files.

import { readFile } from 'node:fs/promises';
import { init as load } from './index.js';

export * from './index.js';

export function init(source) {
  return load(source ?? readFile(new URL('./engine_bg.wasm', import.meta.url)));
}
