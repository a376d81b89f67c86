import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { ISettingRegistry } from '@jupyterlab/settingregistry';
import { Signal } from '@lumino/signaling';

import schema from '../schema/plugin.json';
import { DEFAULTS, Settings } from '../src/settings';

/** What the connector alone reads. */
const ELSEWHERE = ['secretsManagerPath'];

test('what holds without a registry is what the schema has as defaults', () => {
  const properties = Object.entries(schema.properties).filter(
    ([name]) => !ELSEWHERE.includes(name)
  );
  const defaults = Object.fromEntries(
    properties.map(([name, property]) => [name, property.default])
  );
  assert.deepEqual({ ...DEFAULTS }, defaults);
});

test('no setting is a secret, and no other is taken', () => {
  const names = Object.keys(schema.properties);
  assert.deepEqual(
    names.filter(name => /secret$|^token|password/i.test(name)),
    []
  );
  assert.equal(schema.additionalProperties, false);
});

function registryWith(composite: object): ISettingRegistry & { change: (next: object) => void } {
  const plugin = { composite, changed: new Signal<object, void>({}) };
  const registry = {
    load: async () => plugin,
    change: (next: object) => {
      plugin.composite = next;
      plugin.changed.emit();
    }
  };
  return registry as unknown as ReturnType<typeof registryWith>;
}

test('settings are followed, and what is left out has its default', async () => {
  const registry = registryWith({ vaultUrl: 'https://vault.example.org' });
  const settings = new Settings();
  let told = 0;
  settings.changed.connect(() => (told += 1));
  await settings.follow(registry);
  assert.deepEqual(settings.values, { ...DEFAULTS, vaultUrl: 'https://vault.example.org' });
  registry.change({ revealSeconds: 5 });
  assert.deepEqual(settings.values, { ...DEFAULTS, revealSeconds: 5 });
  assert.equal(told, 2);
});

test('settings that cannot be loaded leave the defaults', async () => {
  const settings = new Settings();
  const registry = { load: () => Promise.reject(new Error('no validator')) };
  await assert.rejects(settings.follow(registry as unknown as ISettingRegistry));
  assert.deepEqual(settings.values, DEFAULTS);
});
