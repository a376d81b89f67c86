import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';

import { PageConfig } from '@jupyterlab/coreutils';

import { examine, type IFinding } from '../src/doctor';
import { DEFAULTS } from '../src/settings';
import { page, trans } from './page';

/** A server that has the callback page, a page of somebody else, and nothing more. */
let server: Server;
let origin: string;

before(async () => {
  const pages: Record<string, string> = {
    '/ours.html': '<script src="callback.js"></script>',
    '/theirs.html': '<p>Sign in</p>'
  };
  server = createServer((request, response) => {
    const body = pages[request.url ?? ''];
    response.writeHead(body ? 200 : 404, { 'Content-Type': 'text/html' }).end(body);
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => server.close());

beforeEach(() => {
  page(`${origin}/lab`);
  PageConfig.setOption('hubPrefix', '');
  PageConfig.setOption('hubUser', '');
});

async function found(settings: object): Promise<(check: string) => IFinding> {
  // A Vault that nobody has: the engine's own findings are its business.
  const all = await examine({ ...DEFAULTS, ...settings }, '0.1.0', trans);
  return check => all.find(each => each.check === check) ?? assert.fail(`no line for ${check}`);
}

test('a page without https is told, with the address to go to', async () => {
  page('http://hub.example.org/lab', { isSecureContext: false });
  const secure = (await found({}))('secure-context');
  assert.equal(secure.outcome, 'failed');
  assert.equal(secure.fix, 'https://hub.example.org');
});

test('where no Vault is set, the text to set it is shown, and nothing is asked', async () => {
  const check = await found({});
  assert.equal(check('engine').outcome, 'ok');
  assert.equal(check('settings').outcome, 'failed');
  assert.match(check('settings').fix ?? '', /overrides\.json/);
  assert.throws(() => check('vault-reachable'));
});

test('a redirect page that is ours is in order', async () => {
  const check = await found({ vaultUrl: origin, redirectUri: '/ours.html' });
  assert.equal(check('redirect-page').outcome, 'ok');
  assert.equal(check('redirect-page').detail, `${origin}/ours.html`);
});

test('a redirect page that is not there, or not ours, has failed', async () => {
  for (const redirectUri of ['/nothing.html', '/theirs.html']) {
    const check = await found({ vaultUrl: origin, redirectUri });
    assert.equal(check('redirect-page').outcome, 'failed', redirectUri);
  }
});

test('a redirect page elsewhere, or by the way of the hub, is a warning', async () => {
  for (const [redirectUri, words] of [
    ['https://elsewhere.example.org/callback.html', /pasted/],
    ['/hub/user-redirect/lab/callback.html', /log/]
  ] as const) {
    const check = await found({ vaultUrl: origin, redirectUri });
    assert.equal(check('redirect-page').outcome, 'warning');
    assert.match(check('redirect-page').detail ?? '', words);
  }
});

test('what the engine found has a title, and a Vault that is none is said to be so', async () => {
  const check = await found({ vaultUrl: origin, redirectUri: '/ours.html' });
  assert.equal(check('vault-reachable').outcome, 'failed');
  assert.match(check('vault-reachable').title, /The Vault answers this page/);
});
