import assert from 'node:assert/strict';
import { test } from 'node:test';

import { foldersFor, placeOf } from '../src/secrets/folders';

const paths = (name: string, patterns: string[], mounts: string[] = ['secret']) =>
  foldersFor(name, patterns, mounts).map(({ mount, path }) => `${mount}:${path}`);

test('everybody has a folder of their own, and those that are for all', () => {
  const patterns = ['secret/jupyter/users/{name}', '/secret/jupyter/shared/'];
  assert.deepEqual(paths('ada', patterns), ['secret:jupyter/users/ada/', 'secret:jupyter/shared/']);
});

test('a name that would be another folder has none', () => {
  for (const name of ['', '..', '.', 'a/b', '../ada', 'a\\b']) {
    assert.deepEqual(
      paths(name, ['secret/users/{name}', 'secret/shared']),
      ['secret:shared/'],
      name
    );
  }
  assert.deepEqual(paths('$&', ['secret/{name}']), ['secret:$&/'], 'a name is no pattern');
});

test('a store may have slashes in its name, and a store alone is no folder', () => {
  assert.deepEqual(paths('ada', ['team/kv/app', 'team/kv', 'other/x'], ['team', 'team/kv']), [
    'team/kv:app/',
    'team:kv/',
    'other:x/'
  ]);
  assert.deepEqual(paths('ada', ['secret', '', '/']), []);
});

test('what people write is taken apart, with or without slashes around it', () => {
  assert.deepEqual(placeOf(' /secret/team/app/ ', []), { mount: 'secret', path: 'team/app' });
  assert.deepEqual(placeOf('team/kv/app', ['team/kv']), { mount: 'team/kv', path: 'app' });
  assert.deepEqual(placeOf('secret', ['secret']), { mount: 'secret', path: '' });
});
