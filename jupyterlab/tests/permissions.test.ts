import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Engine } from '../src/engine';
import { Permissions, isReadOnly, needOf } from '../src/secrets/permissions';

const NOTHING: Engine.Capabilities = {
  read: false,
  create: false,
  update: false,
  delete: false,
  deleteVersions: false,
  undelete: false,
  destroy: false,
  readMetadata: false,
  deleteAll: false,
  list: false
};
const READER = { ...NOTHING, read: true, readMetadata: true, list: true };

/** Secrets of which only this is asked, with a count of how often. */
function source(answer: () => Promise<Engine.Capabilities>) {
  const asked: string[] = [];
  const capabilities = (mount: string, path: string) => {
    asked.push(`${mount}/${path}`);
    return answer();
  };
  return { asked, secrets: { capabilities } as unknown as Engine.Secrets };
}

test('a secret is asked about once, and again when somebody wants to look again', async () => {
  const { asked, secrets } = source(() => Promise.resolve(READER));
  const permissions = new Permissions(() => secrets);
  assert.equal(permissions.of('kv', 'a'), undefined);
  await Promise.all([permissions.ask('kv', 'a'), permissions.ask('kv', 'a')]);
  await permissions.ask('kv', 'a');
  assert.equal(permissions.of('kv', 'a'), READER);
  assert.deepEqual(asked, ['kv/a']);
  permissions.clear();
  assert.equal(permissions.of('kv', 'a'), undefined);
  await permissions.ask('kv', 'a');
  assert.equal(asked.length, 2);
});

test('a token that may not ask is not made to ask again, and nothing is known', async () => {
  const refused = Object.assign(new Error('403'), { code: 'vault_permission_denied' });
  const { asked, secrets } = source(() => Promise.reject(refused));
  const permissions = new Permissions(() => secrets);
  await permissions.ask('kv', 'a');
  await permissions.ask('kv', 'b');
  assert.deepEqual(asked, ['kv/a']);
  assert.equal(permissions.of('kv', 'a'), undefined);
});

test('an answer that was lost is asked for again', async () => {
  const lost = Object.assign(new Error('lost'), { code: 'transport_lost' });
  const answers = [Promise.reject(lost), Promise.resolve(READER)];
  const { secrets } = source(() => answers.shift()!);
  const permissions = new Permissions(() => secrets);
  await permissions.ask('kv', 'a');
  assert.equal(permissions.of('kv', 'a'), undefined);
  await permissions.ask('kv', 'a');
  assert.equal(permissions.of('kv', 'a'), READER);
});

test('what comes for the token before is not taken for this one', async () => {
  let answer: (may: Engine.Capabilities) => void = () => undefined;
  const { secrets } = source(() => new Promise(resolve => (answer = resolve)));
  const permissions = new Permissions(() => secrets);
  const asked = permissions.ask('kv', 'a');
  permissions.clear();
  answer({ ...NOTHING, read: true });
  await asked;
  assert.equal(permissions.of('kv', 'a'), undefined);
});

test('a reader may change nothing, and what is missing is said as a policy has it', () => {
  assert.ok(isReadOnly(READER));
  assert.ok(!isReadOnly({ ...READER, undelete: true }));
  assert.deepEqual(needOf('update', 'kv', 'team/app'), ['update', 'kv/data/team/app']);
  assert.deepEqual(needOf('deleteAll', 'kv', 'team/app'), ['delete', 'kv/metadata/team/app']);
});
