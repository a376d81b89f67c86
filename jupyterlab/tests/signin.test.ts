import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { PageConfig } from '@jupyterlab/coreutils';

import { hubFor, isForeignServer, redirectUri, vaultUrl } from '../src/page';
import { DEFAULTS } from '../src/settings';
import { ways } from '../src/signin/ways';
import { page, trans } from './page';

const HUB = ['hubPrefix', 'hubUser', 'hubServerUser', 'hubServerName', 'hubHost'];

beforeEach(() => {
  page('https://hub.example.org/user/ada/lab');
  HUB.forEach(name => PageConfig.setOption(name, ''));
  PageConfig.setOption('fullLabextensionsUrl', '/user/ada/lab/extensions');
});

function onHub(user = 'ada', server = user): void {
  PageConfig.setOption('hubPrefix', '/hub/');
  PageConfig.setOption('hubUser', user);
  PageConfig.setOption('hubServerUser', server);
}

const usable = (settings: object) =>
  ways({ ...DEFAULTS, ...settings }, trans)
    .filter(({ missing }) => missing === undefined)
    .map(({ id }) => id);

test('where nothing is set every way says what is missing', () => {
  for (const { missing } of ways(DEFAULTS, trans)) {
    assert.match(missing ?? '', /vaultUrl/);
  }
});

test('each way is offered where all that it needs is set', () => {
  const vaultUrl = 'https://vault.example.org';
  assert.deepEqual(usable({ vaultUrl }), ['token']);
  assert.deepEqual(usable({ vaultUrl, pastedTokens: false }), []);
  assert.deepEqual(usable({ vaultUrl, oidcMount: 'oidc' }), ['vault', 'paste', 'token']);
  assert.deepEqual(usable({ vaultUrl, jwtMount: 'jwt' }), ['token']);
  const direct = { vaultUrl, jwtMount: 'jwt', issuer: 'https://idp.example.org', clientId: 'lab' };
  assert.deepEqual(usable(direct), ['provider', 'paste', 'token']);
  onHub();
  assert.deepEqual(usable({ vaultUrl, jwtMount: 'jwt' }), ['hub', 'token']);
});

test("on somebody else's server the hub's sign-in is not used", () => {
  onHub('ada', 'bob');
  assert.ok(isForeignServer());
  const [hub] = ways({ ...DEFAULTS, vaultUrl: 'https://v', jwtMount: 'jwt' }, trans);
  assert.match(hub.missing ?? '', /somebody else's server/);
});

test('the redirect address is that of the page, of the hub, or what is set', () => {
  const page = 'jupyterlab-latchkey/static/callback.html';
  assert.equal(redirectUri(DEFAULTS), `https://hub.example.org/user/ada/lab/extensions/${page}`);
  onHub();
  assert.equal(
    redirectUri(DEFAULTS),
    `https://hub.example.org/hub/user-redirect/lab/extensions/${page}`
  );
  PageConfig.setOption('hubHost', 'https://main.example.org');
  assert.match(redirectUri(DEFAULTS), /^https:\/\/main\.example\.org\/hub\/user-redirect\//);
  const set = { ...DEFAULTS, redirectUri: '/hub/static/latchkey/callback.html' };
  assert.equal(redirectUri(set), 'https://hub.example.org/hub/static/latchkey/callback.html');
});

test('the hub is named as the engine wants it', () => {
  assert.equal(hubFor(DEFAULTS), undefined);
  onHub();
  const hub = hubFor({ ...DEFAULTS, hubIdTokenUrl: '/hub/api/latchkey/id-token' });
  assert.equal(hub?.apiUrl, 'https://hub.example.org/hub/api/');
  assert.equal(hub?.idTokenUrl, 'https://hub.example.org/hub/api/latchkey/id-token');
  assert.equal(hub?.user, 'ada');
  assert.equal(hubFor(DEFAULTS)?.idTokenUrl, undefined);
});

test('a Vault behind the same proxy is an address of this page', () => {
  const at = (text: string) => vaultUrl({ ...DEFAULTS, vaultUrl: text });
  assert.equal(at('/vault/'), 'https://hub.example.org/vault');
  assert.equal(at('https://vault.example.org:8200'), 'https://vault.example.org:8200');
});
