import assert from 'node:assert/strict';
import { test } from 'node:test';

import { idToName, nameToId, VaultConnector } from '../src/connector';
import type { ILatchkey } from '../src/tokens';

const HOSTILE = [
  'jupyterlite-ai:openai',
  '../../../sys/policies',
  '..',
  '.',
  'a/b',
  'a%2fb',
  '=2e',
  'ключ',
  '열쇠',
  '🗝️',
  ' ',
  'a\0b',
  'a?b#c'
];

test('an id becomes one segment of a path, whatever is in it', () => {
  for (const id of HOSTILE) {
    assert.match(idToName(id), /^[A-Za-z0-9_=-]+$/, id);
  }
});

test('the id comes back from its segment, and no two ids share one', () => {
  for (const id of HOSTILE) {
    assert.equal(nameToId(idToName(id)), id);
  }
  assert.equal(new Set(HOSTILE.map(idToName)).size, HOSTILE.length);
});

test('a segment that somebody else has made is taken as it is', () => {
  for (const name of ['plain', 'a=zz', '=ff']) {
    assert.equal(nameToId(name), name);
  }
});

/** A store in memory, with the three calls that the connector makes. */
function latchkeyOver(kept: Map<string, Record<string, string>>): ILatchkey {
  const secrets = {
    list: async (mount: string, path: string) => {
      const names = [...kept.keys()].filter(at => at.startsWith(`${mount}/${path}`));
      return names.length === 0
        ? { outcome: 'empty' }
        : { outcome: 'listed', names: names.map(at => at.slice(mount.length + path.length + 1)) };
    },
    read: async (mount: string, path: string) => {
      const fields = kept.get(`${mount}/${path}`);
      return fields
        ? {
            outcome: 'found',
            secret: { value: (name: string) => fields[name], free: () => undefined }
          }
        : { outcome: 'missing' };
    },
    write: async (mount: string, path: string, fields: Record<string, string>) => {
      kept.set(`${mount}/${path}`, fields);
    }
  };
  return { session: async () => ({ secrets }) } as unknown as ILatchkey;
}

test('an extension is told of its own secrets alone', async () => {
  const kept = new Map<string, Record<string, string>>();
  const place = { mount: 'secret', folder: 'keys' };
  const connector = new VaultConnector(latchkeyOver(kept), place);
  await connector.save('mine:a', { namespace: 'mine', id: 'a', value: '1' });
  await connector.save('mine-too:a', { namespace: 'mine-too', id: 'a', value: '2' });
  // Somebody has put another one's secret under a name of ours.
  kept.set('secret/keys/mine=3ab', { namespace: 'theirs', id: 'b', value: '3' });
  assert.deepEqual(await connector.list('mine'), {
    ids: ['mine:a'],
    values: [{ namespace: 'mine', id: 'a', value: '1' }]
  });
  assert.deepEqual(await connector.list('nobody'), { ids: [], values: [] });
  assert.equal(await connector.fetch('mine:other'), undefined);
});
