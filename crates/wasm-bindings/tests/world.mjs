// The doubles on loopback, what an operator does there, and a person who signs in.

import { spawn } from 'node:child_process';
import { constants, generateKeyPairSync, sign } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

/** Starts the doubles; `page` is the origin that they let in. */
export async function startWorld(page) {
  const testbed = spawn(process.env.LATCHKEY_TESTBED, ['--public-client', 'notebook'], {
    stdio: ['ignore', 'pipe', 'inherit']
  });
  const [line] = await Promise.race([
    new Promise(resolve => createInterface(testbed.stdout).once('line', line => resolve([line]))),
    new Promise((_, reject) => testbed.once('exit', () => reject(new Error('the testbed has ended'))))
  ]);
  const { provider, vault } = JSON.parse(line);
  const operate = operator(vault);
  await operate('POST', 'sys/config/cors', { allowed_origins: [page, new URL(vault.address).origin] });
  await provision(operate, provider);
  const hub = await startHub();
  return {
    issuer: provider.issuer,
    vault: vault.address,
    rootToken: vault.root_token,
    hub: hub.address,
    operate,
    signIn,
    enterCode,
    idToken: () => idToken(provider),
    async stop() {
      hub.close();
      testbed.kill('SIGTERM');
    },
    setHub: hub.set
  };
}

/** A store, a policy, and both ways to log in, as the demo has them. */
async function provision(operate, { issuer, client_id, client_secret }) {
  const store = 'notebook-secret-kv-v2';
  const role = {
    user_claim: 'sub',
    claim_mappings: { preferred_username: 'username' },
    bound_audiences: [client_id, 'notebook'],
    token_policies: ['reader'],
    token_ttl: '1h'
  };
  const redirects = ['http://localhost:8250/oidc/callback', 'urn:ietf:wg:oauth:2.0:oob'];
  await operate('POST', `sys/mounts/${store}`, { type: 'kv', options: { version: '2' }, description: 'for notebooks' });
  await operate('POST', `${store}/data/test`, { data: { data: 'dGhpcyBpcyBzZWNyZXQgZGF0YQ==' } });
  await operate('POST', 'sys/policies/acl/reader', { policy: `path "${store}/*" { capabilities = ["read", "list"] }` });
  await operate('POST', 'sys/auth/keycloak-oidc', { type: 'oidc' });
  await operate('POST', 'auth/keycloak-oidc/config', {
    oidc_discovery_url: issuer, oidc_client_id: client_id, oidc_client_secret: client_secret, default_role: 'default'
  });
  const oidc = { ...role, role_type: 'oidc', bound_audiences: [client_id], allowed_redirect_uris: redirects };
  await operate('POST', 'auth/keycloak-oidc/role/default', oidc);
  await operate('POST', 'auth/keycloak-oidc/role/device', { ...oidc, callback_mode: 'device', poll_interval: 1 });
  await operate('POST', 'sys/auth/keycloak-jwt', { type: 'jwt' });
  await operate('POST', 'auth/keycloak-jwt/config', { oidc_discovery_url: issuer, default_role: 'default' });
  await operate('POST', 'auth/keycloak-jwt/role/default', { ...role, role_type: 'jwt' });
}

/** What an operator does with the root token. */
function operator({ address, root_token }) {
  return async (method, path, body) => {
    const reply = await fetch(`${address}/v1/${path}`, {
      method,
      headers: { 'X-Vault-Token': root_token },
      body: body && JSON.stringify(body)
    });
    if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${await reply.text()}`);
    return reply.status === 204 ? undefined : reply.json();
  };
}

/** Signs in at the provider as a person does, and returns the query that the browser would bring back. */
async function signIn(address, name = 'reader') {
  const cookies = new Map();
  let request = [address, {}];
  for (let step = 0; step < 10; step++) {
    const [url, options] = request;
    const reply = await browse(cookies, url, options);
    const location = reply.headers.get('location');
    if (location) {
      const target = new URL(location, url);
      if (target.searchParams.has('state')) return target.search;
      request = [target.href, {}];
      continue;
    }
    const html = await reply.text();
    const code = /id="code" readonly="readonly" value="([^"]*)"/.exec(html);
    if (code) return code[1].replaceAll('&amp;', '&');
    const action = /<form [^>]*action="([^"]*)"/.exec(html);
    if (!action) throw new Error(`no form: ${reply.status} ${html.slice(0, 200)}`);
    request = [
      new URL(action[1].replaceAll('&amp;', '&'), url).href,
      { method: 'POST', body: new URLSearchParams({ username: name, password: name }) }
    ];
  }
  throw new Error('the sign-in does not end');
}

/** Types the code of another device, signs in, and stops at the page that says that it is done. */
async function enterCode(address, userCode, name = 'reader') {
  const wanted = { username: name, password: name, device_user_code: userCode };
  const cookies = new Map();
  let request = [address, {}];
  for (let step = 0; step < 10; step++) {
    const [url, options] = request;
    const reply = await browse(cookies, url, options);
    const location = reply.headers.get('location');
    if (location) {
      request = [new URL(location, url).href, {}];
      continue;
    }
    const html = await reply.text();
    const action = /<form [^>]*action="([^"]*)"/.exec(html);
    if (!action) return;
    const names = [...html.matchAll(/<input [^>]*name="([^"]*)"/g)].map(match => match[1]);
    const fields = names.filter(name => name in wanted).map(name => [name, wanted[name]]);
    request = [new URL(action[1].replaceAll('&amp;', '&'), url).href, { method: 'POST', body: new URLSearchParams(fields) }];
  }
  throw new Error('the device is never done');
}

/** One request with cookies, of which the answers' are kept. */
async function browse(cookies, url, options) {
  const cookie = [...cookies].map(pair => pair.join('=')).join('; ');
  const reply = await fetch(url, { ...options, redirect: 'manual', headers: { cookie } });
  for (const set of reply.headers.getSetCookie()) {
    const [pair] = set.split(';');
    cookies.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1));
  }
  return reply;
}

/** An ID token as a hub has it: of the client that the Vault's role is bound to. */
async function idToken({ issuer, client_id, client_secret }) {
  const redirect_uri = 'http://localhost:8250/oidc/callback';
  const wanted = { client_id, redirect_uri, response_type: 'code', scope: 'openid', state: 'hub' };
  const answer = await signIn(`${issuer}/protocol/openid-connect/auth?${new URLSearchParams(wanted)}`);
  const code = new URLSearchParams(answer).get('code');
  const reply = await fetch(`${issuer}/protocol/openid-connect/token`, {
    method: 'POST',
    body: new URLSearchParams({ grant_type: 'authorization_code', code, redirect_uri, client_id, client_secret })
  });
  const { id_token } = await reply.json();
  if (!id_token) throw new Error(`no ID token: ${reply.status}`);
  return id_token;
}

/** The API of a hub, as 6.1.1 answers; what it knows is set by the test. */
async function startHub() {
  let known = {};
  const server = createServer((request, reply) => {
    const answer = (status, body) => {
      reply.writeHead(status, { 'content-type': 'application/json', 'access-control-allow-origin': '*',
        'access-control-allow-headers': 'authorization' });
      reply.end(JSON.stringify(body));
    };
    if (request.method === 'OPTIONS') return answer(204);
    if (request.url === '/hub/api/') return answer(200, { version: '6.1.1' });
    if (request.headers.authorization !== 'token tab-token') {
      return answer(403, { status: 403, message: 'Missing or invalid credentials.' });
    }
    if (request.url === '/hub/latchkey/id-token') return answer(200, { id_token: known.idToken, exp: 0 });
    if (request.url !== '/hub/api/users/reader') {
      return answer(404, { status: 404, message: 'No access to resources or resources not found' });
    }
    const user = { admin: false, groups: [], kind: 'user', last_activity: null, name: 'reader', user_info: null };
    if (known.shows) user.auth_state = known.idToken ? { id_token: known.idToken, scope: ['openid'] } : null;
    answer(200, user);
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `http://127.0.0.1:${server.address().port}`,
    set: state => (known = state),
    close: () => server.close()
  };
}

/** Answers as `crates/transport`'s contract suite wants it, for the rules that a browser can see. */
export async function startGrounds() {
  const hits = new Map();
  const server = createServer(async (request, reply) => {
    const { pathname } = new URL(request.url, 'http://x');
    const headers = { 'access-control-allow-origin': '*', 'access-control-allow-methods': '*',
      'access-control-allow-headers': 'content-type,x-vault-token', 'access-control-expose-headers': '*' };
    if (request.method === 'OPTIONS') return reply.writeHead(204, headers).end();
    hits.set(pathname, (hits.get(pathname) ?? 0) + 1);
    const [, word, argument] = pathname.split('/');
    const end = (status, body, more = {}) => reply.writeHead(status, { ...headers, ...more }).end(body);
    switch (word) {
      case 'v1': {
        const told = { cookie: request.headers.cookie, referer: request.headers.referer, url: request.url,
          token: request.headers['x-vault-token'], hits: hits.get(pathname) };
        return end(200, JSON.stringify({ data: { data: told, metadata: { version: 1, created_time: '' } } }),
          { 'set-cookie': 'stray=1; Path=/', 'cache-control': 'max-age=600' });
      }
      case 'redirect':
        return end(302, '', { location: '/landed' });
      case 'drip':
        reply.writeHead(200, headers);
        reply.write('{');
        return;
      case 'silent':
        return;
      case 'dropped':
        return request.socket.destroy();
      case 'cut':
        reply.writeHead(200, { ...headers, 'content-length': '100' });
        reply.write('{');
        return setTimeout(() => request.socket.destroy(), 20);
      case 'endless': {
        reply.writeHead(200, headers);
        const more = () => { while (!reply.destroyed && reply.write(Buffer.alloc(65536, 32))); };
        reply.on('drain', more);
        return more();
      }
      case 'status':
        return end(Number(argument), '{"errors":["no"]}', { 'retry-after': '7' });
      default:
        return end(404, '{"errors":[]}');
    }
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `http://127.0.0.1:${server.address().port}`,
    hits: path => hits.get(path) ?? 0,
    close: () => (server.closeAllConnections(), server.close())
  };
}

const PSS = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
const RSA = ['rsa', { modulusLength: 2048 }];
const ec = namedCurve => ['ec', { namedCurve }];
const FIXED = { dsaEncoding: 'ieee-p1363' };

/** How each algorithm of RFC 7518 and 8037 signs: the key, the digest, and what more there is to say. */
const SIGNERS = {
  RS256: [RSA, 'sha256'], RS384: [RSA, 'sha384'], RS512: [RSA, 'sha512'],
  PS256: [RSA, 'sha256', PSS], PS384: [RSA, 'sha384', PSS], PS512: [RSA, 'sha512', PSS],
  ES256: [ec('P-256'), 'sha256', FIXED], ES384: [ec('P-384'), 'sha384', FIXED], ES512: [ec('P-521'), 'sha512', FIXED],
  EdDSA: [['ed25519', {}], null]
};

/** A provider for each algorithm, at `/<algorithm>`: it signs in whoever comes, and forges the signature for the code `forged`. */
export async function startSigners() {
  const nonces = new Map();
  const keys = Object.fromEntries(Object.entries(SIGNERS).map(([name, [key]]) => [name, generateKeyPairSync(...key)]));
  const base64 = value => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
  const idToken = (alg, issuer, isForged) => {
    const [, digest, more = {}] = SIGNERS[alg];
    const seconds = Math.floor(Date.now() / 1000);
    const claims = { iss: issuer, sub: 'somebody', aud: 'notebook', nonce: nonces.get(alg), iat: seconds, exp: seconds + 60 };
    const input = `${base64({ alg, kid: alg })}.${base64(claims)}`;
    const signature = sign(digest, Buffer.from(input), { key: keys[alg].privateKey, ...more });
    // In the middle, which is part of the number that counts.
    if (isForged) signature[signature.length >> 1] ^= 1;
    return `${input}.${signature.toString('base64url')}`;
  };
  const server = createServer(async (request, reply) => {
    const { pathname } = new URL(request.url, 'http://x');
    const [, alg, ...rest] = pathname.split('/');
    const issuer = `http://127.0.0.1:${server.address().port}/${alg}`;
    const answer = body => {
      reply.writeHead(200, { 'content-type': 'application/json', 'access-control-allow-origin': '*',
        'access-control-allow-headers': '*' });
      reply.end(JSON.stringify(body));
    };
    switch (rest.join('/')) {
      case '.well-known/openid-configuration':
        return answer({ issuer, authorization_endpoint: `${issuer}/auth`, token_endpoint: `${issuer}/token`, jwks_uri: `${issuer}/keys`,
          response_types_supported: ['code'], subject_types_supported: ['public'], id_token_signing_alg_values_supported: [alg],
          code_challenge_methods_supported: ['S256'], token_endpoint_auth_methods_supported: ['none'] });
      case 'keys':
        return answer({ keys: [{ ...keys[alg].publicKey.export({ format: 'jwk' }), kid: alg, alg, use: 'sig' }] });
      case 'token': {
        let body = '';
        for await (const chunk of request) body += chunk;
        const isForged = new URLSearchParams(body).get('code') === 'forged';
        return answer({ access_token: 'a', token_type: 'Bearer', expires_in: 60, id_token: idToken(alg, issuer, isForged) });
      }
      default:
        reply.writeHead(404).end();
    }
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `http://127.0.0.1:${server.address().port}`,
    algorithms: Object.keys(SIGNERS),
    expect: (alg, nonce) => nonces.set(alg, nonce),
    close: () => (server.closeAllConnections(), server.close())
  };
}
