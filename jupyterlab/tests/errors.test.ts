import assert from 'node:assert/strict';
import { test } from 'node:test';

import { describe, needsSignIn } from '../src/errors';
import { trans } from './page';

const failure = (code: string, more: object = {}) =>
  Object.assign(new Error(`said by the engine: ${code}`), { code, ...more });

test('a code that we know has a sentence of its own', () => {
  assert.equal(
    describe(failure('vault_token_invalid'), trans),
    'Your token has ended. Sign in again.'
  );
  assert.match(describe(failure('engine_blocked'), trans), /'wasm-unsafe-eval'/);
  assert.match(describe(failure('transport_lost'), trans), /CORS/);
});

test('a code without a sentence is told in the words of the engine', () => {
  assert.equal(describe(failure('oidc_slow_down'), trans), 'said by the engine: oidc_slow_down');
});

test('what the server said stands behind the sentence, and not twice', () => {
  const error = failure('vault_login_refused', { serverMessages: ['role "x" could not be found'] });
  assert.equal(
    describe(error, trans),
    'The Vault did not take the sign-in. (role "x" could not be found)'
  );
  const same = failure('other', { serverMessages: ['other'] });
  assert.equal(describe(same, trans), 'said by the engine: other');
});

test('a hub that grants too little has its missing scopes named', () => {
  const error = failure('hub_scope_missing', { missing: ['a:b!user', 'c'] });
  assert.match(describe(error, trans), /must grant: a:b!user, c$/);
});

test('whatever is thrown has a sentence', () => {
  for (const [thrown, text] of [
    ['a text', 'a text'],
    [undefined, 'undefined'],
    [null, 'null'],
    [{ code: 7 }, '[object Object]'],
    [new Error('plain'), 'plain']
  ] as const) {
    assert.equal(describe(thrown, trans), text);
  }
});

test('only a token that is gone needs another sign-in', () => {
  assert.ok(needsSignIn(failure('vault_token_invalid')));
  assert.ok(needsSignIn(failure('engine_not_signed_in')));
  assert.ok(!needsSignIn(failure('vault_permission_denied')));
  assert.ok(!needsSignIn(undefined));
});
