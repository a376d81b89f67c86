// What must be nowhere, and the places to look into.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';

/** Listens for everything that servers hand out and nobody else may have. */
export function collect(person) {
  const found = new Set();
  person.context.on('response', async response => {
    // What streams on has no end to wait for.
    if (!/json|html/.test(response.headers()['content-type'] ?? '')) {
      return;
    }
    const text = await response.text().catch(() => '');
    for (const [, value] of text.matchAll(
      /"(?:client_token|id_token|access_token|refresh_token|token)"\s*:\s*"([^"]{12,})"/g
    )) {
      found.add(value);
    }
  });
  return found;
}

/** All files below a folder, as one text. */
export function everything(folder) {
  return fs
    .readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => fs.readFileSync(path.join(entry.parentPath ?? entry.path, entry.name), 'latin1'))
    .join('\n');
}

/** Looks for values in named texts. What it found is not said, only where. */
export function assertNowhere(values, places) {
  for (const [place, text] of Object.entries(places)) {
    for (const value of values) {
      assert.ok(!text.includes(value), `${place}: something that must not be there`);
    }
  }
}
