// The engine as it is packed, in Node: what a page would fetch is read from the disk.

import { init as load } from '../engine/node.js';

export * from '../engine/node.js';

export const init = () => load();
