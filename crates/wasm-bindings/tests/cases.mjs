// What the package does, once in Node and once in Chromium. `t` has the package, the addresses, and what is done outside of the
// page: `operate`, `signIn`, `setHub`, `hits`, `expect`.

import { assert, code, eq } from './check.mjs';

const REDIRECT = 'http://localhost:8250/oidc/callback';
const OOB = 'urn:ietf:wg:oauth:2.0:oob';
const JWT = { mount: 'keycloak-jwt', role: 'default' };
const OIDC = { mount: 'keycloak-oidc', role: 'default' };
const KV = 'notebook-secret-kv-v2';

const session = t => new t.latchkey.Session({ vault: t.vault });

async function root(t) {
  const made = session(t);
  await made.signInWithToken(t.rootToken);
  return made;
}

export const cases = {
  async a_popup_through_the_vault_signs_in(t) {
    const made = session(t);
    const pending = await made.beginVault({ ...OIDC, redirectUri: REDIRECT });
    eq([pending.polls, pending.userCode, made.identity], [false, undefined, undefined]);
    assert(pending.expiresAt > Date.now() + 500_000 && pending.state.length > 10);
    const identity = await pending.finish(await t.signIn(pending.url));
    eq([identity.way, identity.renewable, made.identity === identity], ['vault', true, true]);
    assert(identity.expiresAt > Date.now() && made.timeLeft > 0 && identity.policies.includes('default'));
    const read = await made.secrets.read(KV, 'test');
    eq([read.outcome, read.secret.value('data')], ['found', 'dGhpcyBpcyBzZWNyZXQgZGF0YQ==']);
  },

  async a_popup_at_the_provider_signs_in_after_the_id_token_was_checked(t) {
    const made = session(t);
    const begin = { ...JWT, issuer: t.issuer, clientId: 'notebook', redirectUri: REDIRECT, scopes: ['openid', 'email'] };
    const pending = await made.beginProvider(begin);
    const url = new URL(pending.url).searchParams;
    eq([url.get('state'), url.get('code_challenge_method'), url.get('scope')], [pending.state, 'S256', 'openid email']);
    const identity = await pending.finish(await t.signIn(pending.url));
    eq([identity.way, identity.name], ['provider', 'reader']);
  },

  async an_id_token_by_any_algorithm_is_taken_and_a_forged_one_is_not(t) {
    for (const algorithm of t.algorithms) {
      const outcome = async (answer, algorithms) => {
        const issuer = `${t.signers}/${algorithm}`;
        const begin = { ...JWT, issuer, clientId: 'notebook', redirectUri: REDIRECT, algorithms };
        const pending = await session(t).beginProvider(begin);
        await t.expect(algorithm, new URL(pending.url).searchParams.get('nonce'));
        return code((await made_or_error(pending.finish({ code: answer, state: pending.state }))).error)[0];
      };
      // The Vault is nobody's friend here: only what was found in order gets that far.
      eq([await outcome('right', [algorithm]), await outcome('forged', [algorithm])],
        ['vault_login_refused', 'oidc_id_token_signature'], algorithm);
      // A client that was not set up for another one is signed in by RS256 alone.
      eq(await outcome('right'), algorithm === 'RS256' ? 'vault_login_refused' : 'oidc_id_token_algorithm', algorithm);
    }
  },

  async a_callback_of_another_sign_in_is_refused_and_ends_nothing(t) {
    const made = session(t);
    const pending = await made.beginVault({ ...OIDC, redirectUri: REDIRECT });
    const query = await t.signIn(pending.url);
    for (const forged of ['?code=x&state=other', '?code=x', { code: 'x', state: pending.state + 'x' }]) {
      const { error } = await made_or_error(pending.finish(forged));
      assert(code(error)[0].startsWith('oidc_callback_state'), code(error)[0]);
    }
    await pending.finish(Object.fromEntries(new URLSearchParams(query)));
    assert(made.identity);
    eq(code((await made_or_error(pending.finish(query))).error)[0], 'engine_sign_in_ended');
  },

  async a_refusal_of_the_provider_is_told_with_its_own_code(t) {
    const pending = await session(t).beginVault({ ...OIDC, redirectUri: REDIRECT });
    const { error } = await made_or_error(pending.finish({ state: pending.state, error: 'access_denied' }));
    eq(code(error), ['oidc_access_denied', undefined]);
  },

  async a_silent_sign_in_shows_nothing_and_says_that_somebody_must_sign_in(t) {
    const pending = await session(t).beginVault({ ...OIDC, redirectUri: REDIRECT, silent: true });
    eq(new URL(pending.url).searchParams.getAll('prompt'), ['none']);
    const { error } = await made_or_error(pending.finish(await t.signIn(pending.url)));
    eq(code(error)[0], 'oidc_login_required');
    const begin = { ...JWT, issuer: t.issuer, clientId: 'notebook', redirectUri: REDIRECT, silent: true };
    const other = await session(t).beginProvider(begin);
    eq(new URL(other.url).searchParams.get('prompt'), 'none');
  },

  async a_pasted_code_signs_in(t) {
    const made = session(t);
    const pending = await made.beginVault({ ...OIDC, redirectUri: OOB });
    eq(code((await made_or_error(pending.paste(' '))).error)[0], 'oidc_pasted_empty');
    const answer = await t.signIn(pending.url);
    await pending.paste(answer);
    eq(made.identity.way, 'vault');
  },

  async a_role_that_polls_signs_in_without_a_callback(t) {
    const made = session(t);
    const begin = { mount: 'keycloak-oidc', role: 'device', redirectUri: OOB };
    const pending = await made.beginVault(begin);
    // OpenBao gives an address that has the code in it.
    eq([pending.polls, pending.userCode], [true, undefined]);
    const polled = pending.poll();
    await t.enterCode(pending.url);
    const identity = await polled;
    eq([identity.way, identity.policies.includes('reader')], ['vault', true]);
  },

  async a_sign_in_that_polls_can_be_cancelled(t) {
    const made = session(t);
    const pending = await made.beginVault({ mount: 'keycloak-oidc', role: 'device', redirectUri: OOB });
    const polled = pending.poll();
    pending.cancel();
    eq(code((await made_or_error(polled)).error)[0], 'engine_cancelled');
    eq(code((await made_or_error(pending.poll())).error)[0], 'engine_cancelled');
    eq(made.identity, undefined);
  },

  async a_redirect_address_that_the_role_does_not_allow_is_told(t) {
    const { error } = await made_or_error(session(t).beginVault({ ...OIDC, redirectUri: 'https://evil.example/' }));
    eq(code(error)[0], 'vault_no_auth_url');
  },

  async the_hubs_token_signs_in_and_what_it_lacks_is_named(t) {
    const hub = { apiUrl: `${t.hub}/hub/api/`, user: 'reader', serverUser: 'reader', token: 'tab-token' };
    const attempt = async (more = {}) =>
      code((await made_or_error(session(t).signInWithHub({ ...hub, ...more }, JWT))).error);
    await t.setHub({ shows: false });
    const { error } = await made_or_error(session(t).signInWithHub(hub, JWT));
    eq([error.code, error.missing], ['hub_scope_missing', ['admin:auth_state!user']]);
    await t.setHub({ shows: true });
    eq((await attempt())[0], 'hub_auth_state_off');
    eq((await attempt({ token: 'x' }))[0], 'hub_unauthorized');
    eq((await attempt({ serverUser: 'management' }))[0], 'hub_other_user');
    eq((await attempt({ idTokenUrl: 'http://127.0.0.1:1/x' }))[0], 'hub_invalid_address');
    await t.setHub({ shows: true, idToken: t.hubIdToken });
    const made = session(t);
    const identity = await made.signInWithHub(hub, JWT);
    eq([identity.way, identity.name], ['hub', 'reader']);
    await session(t).signInWithHub({ ...hub, idTokenUrl: `${t.hub}/hub/latchkey/id-token` }, JWT);
  },

  async a_token_that_was_pasted_is_looked_up_and_a_dead_one_refused(t) {
    const made = await root(t);
    eq([made.identity.way, made.identity.expiresAt, made.timeLeft], ['token', undefined, undefined]);
    const { error } = await made_or_error(session(t).signInWithToken('s.dead'));
    assert(['vault_token_invalid', 'vault_permission_denied'].includes(error.code), error.code);
    eq(code((await made_or_error(session(t).signInWithToken('two words'))).error)[0], 'vault_invalid_token');
  },

  async a_change_of_identity_is_told_until_the_listener_is_gone(t) {
    const made = session(t);
    const heard = [];
    const stop = made.onChange(identity => heard.push(identity?.way));
    await made.signInWithToken(t.rootToken);
    await made.signOut();
    stop();
    await made.signInWithToken(t.rootToken);
    eq(heard, ['token', undefined]);
  },

  async signing_out_can_revoke_the_token(t) {
    const child = (await t.operate('POST', 'auth/token/create', { policies: ['reader'], ttl: '1h' })).auth.client_token;
    const made = session(t);
    await made.signInWithToken(child);
    await made.signOut({ revoke: true });
    eq(made.identity, undefined);
    assert((await made_or_error(session(t).signInWithToken(child))).error);
    eq(code((await made_or_error(made.secrets.mounts())).error)[0], 'engine_not_signed_in');
  },

  async a_token_is_prolonged(t) {
    const child = (await t.operate('POST', 'auth/token/create', { ttl: '10m', renewable: true })).auth.client_token;
    const made = session(t);
    const before = await made.signInWithToken(child);
    const after = await made.renew();
    // Servers count whole seconds.
    assert(after !== before && after.expiresAt > before.expiresAt - 2_000 && made.identity === after);
  },

  async a_child_token_is_wrapped_and_can_be_fetched_once(t) {
    const made = await root(t);
    const wrapped = await made.wrapChildToken({ ttl: 600, wrapTtl: 60, policies: ['reader'] });
    assert(wrapped.childAccessor && wrapped.expiresAt <= Date.now() + 60_000);
    const fetched = await t.unwrap(wrapped.token);
    eq(fetched.auth.policies, ['default', 'reader']);
    assert((await made_or_error(t.unwrap(wrapped.token))).error);
  },

  async mounts_are_the_versioned_stores_that_the_token_may_see(t) {
    const made = await root(t);
    const mounts = await made.secrets.mounts();
    assert(mounts.some(mount => mount.path === KV), JSON.stringify(mounts));
    assert(!mounts.some(mount => ['sys', 'identity', 'cubbyhole'].includes(mount.path)));
  },

  async listed_empty_and_denied_are_three_answers(t) {
    const made = await root(t);
    await made.secrets.write(KV, 'tree/leaf', { a: 'b' }, 'none');
    eq(await made.secrets.list(KV, 'tree'), { outcome: 'listed', names: ['leaf'] });
    eq(await made.secrets.list(KV, 'nothing/here'), { outcome: 'empty' });
    const nobody = session(t);
    await nobody.signInWithToken((await t.operate('POST', 'auth/token/create', { policies: ['default'] })).auth.client_token);
    eq(await nobody.secrets.list(KV, ''), { outcome: 'denied' });
    eq([(await nobody.secrets.read(KV, 'test')).outcome, (await nobody.secrets.metadata(KV, 'test')).outcome],
      ['denied', 'denied']);
    assert(nobody.identity, 'a refusal by policy does not sign out');
  },

  async a_secret_lives_from_its_first_version_to_its_end(t) {
    const { secrets } = await root(t);
    const path = `life/${t.place}`;
    eq((await secrets.read(KV, path)).outcome, 'missing');
    const first = await secrets.write(KV, path, { user: 'app', limit: { json: '42' } }, 'create');
    eq([first.number, first.destroyed, first.deletionTime], [1, false, undefined]);
    eq(code((await made_or_error(secrets.write(KV, path, {}, 'create'))).error)[0], 'vault_cas_mismatch');
    const { secret } = await secrets.read(KV, path);
    eq(secret.fields, [{ name: 'limit', kind: 'number' }, { name: 'user', kind: 'text' }]);
    const second = await secrets.change(secret, { user: null, password: 'ö"\n' });
    eq(second.number, 2);
    const newer = (await secrets.read(KV, path)).secret;
    eq([newer.value('limit'), newer.value('password')], ['42', 'ö"\n']);
    eq(newer.diff(secret), [{ field: 'limit', change: 'same' }, { field: 'password', change: 'added' },
      { field: 'user', change: 'removed' }]);
    eq(code((await made_or_error(secrets.change(secret, { user: 'lost' }))).error)[0], 'vault_cas_mismatch');
    eq((await secrets.read(KV, path, 1)).secret.value('user'), 'app');
    await secrets.delete(KV, path);
    eq((await secrets.read(KV, path)).outcome, 'deleted');
    await secrets.undelete(KV, path, [2]);
    eq((await secrets.read(KV, path)).outcome, 'found');
    await secrets.destroy(KV, path, [1]);
    eq((await secrets.read(KV, path, 1)).outcome, 'destroyed');
    await secrets.writeNotes(KV, path, { owner: 'team', ['__proto__']: 'a note' });
    const { metadata } = await secrets.metadata(KV, path);
    eq([metadata.currentVersion, metadata.versions.map(({ number, destroyed }) => [number, destroyed])],
      [2, [[2, false], [1, true]]]);
    eq(Object.entries(metadata.notes).sort(), [['__proto__', 'a note'], ['owner', 'team']]);
    await secrets.deleteAll(KV, path);
    eq((await secrets.metadata(KV, path)).outcome, 'missing');
    newer.free();
  },

  async capabilities_tell_what_the_buttons_may(t) {
    const made = session(t);
    await made.signInWithToken((await t.operate('POST', 'auth/token/create', { policies: ['reader'] })).auth.client_token);
    const may = await made.secrets.capabilities(KV, 'test');
    eq([may.read, may.list, may.update, may.deleteAll], [true, true, false, false]);
  },

  async wrong_arguments_are_named_and_nothing_is_sent(t) {
    const { secrets } = await root(t);
    for (const wrong of [() => secrets.write(KV, 'x', { a: 1 }, 'none'), () => secrets.write(KV, 'x', { a: { json: '{' } }, 'none'),
      () => secrets.write(KV, 'x', {}, 'sometimes'), () => secrets.read(KV, 'x', 1.5), () => secrets.destroy(KV, 'x', 'all'),
      () => session(t).beginVault({}), () => session(t).beginProvider({ ...JWT, redirectUri: 'x', clientId: 'x' })]) {
      eq(code((await made_or_error(wrong())).error)[0], 'engine_invalid_argument', String(wrong));
    }
    eq(code((await made_or_error(secrets.read(KV, '../x'))).error)[0], 'vault_invalid_path');
    for (const options of [{}, { vault: 'nowhere' }, { vault: 7 }, undefined]) {
      let thrown;
      try { new t.latchkey.Session(options); } catch (error) { thrown = error; }
      eq(code(thrown)[0], 'engine_invalid_argument');
    }
  },

  async errors_are_real_and_their_codes_are_listed(t) {
    const { error } = await made_or_error(session(t).signInWithJwt('a.b.c', { mount: 'keycloak-jwt', role: 'nobody' }));
    assert(error instanceof Error && error instanceof t.latchkey.LatchkeyError && t.latchkey.isLatchkeyError(error));
    eq([error.name, error.code, error.problem, error.status, error.retryable],
      ['LatchkeyError', 'vault_login_refused', 'unknown_role', 400, false]);
    assert(error.serverMessages.length > 0 && !JSON.stringify(error).includes('a.b.c') && error.stack.includes('LatchkeyError'));
    assert(t.latchkey.ERROR_CODES.includes(error.code) && Object.isFrozen(t.latchkey.ERROR_CODES));
  },

  async the_transport_keeps_its_contract_as_far_as_it_can_be_seen(t) {
    const at = (word, more = {}) => new t.latchkey.Session({ vault: `${t.grounds}/${word}`, ...more });
    const read = async (word, more) => {
      const made = at(word, more);
      return made_or_error(made.signInWithJwt('hush', JWT));
    };
    const outcome = async (word, more) => {
      const { error } = await read(word, more);
      assert(!error.message.includes('hush') && !error.message.includes('?'), error.message);
      return [error.code, error.retryable];
    };
    eq(await outcome('redirect'), ['transport_lost', true]);
    eq(await t.hits('/landed'), 0, 'no redirect is followed');
    eq(await outcome('dropped'), ['transport_lost', true]);
    eq(await outcome('cut'), ['transport_lost', true]);
    eq(await outcome('endless'), ['transport_reply_too_large', false]);
    const begun = Date.now();
    eq(await outcome('silent', { timeLimit: 300 }), ['transport_timed_out', true]);
    eq(await outcome('drip', { timeLimit: 300 }), ['transport_timed_out', true]);
    assert(Date.now() - begun < 5_000);
    eq((await read('status/503')).error.retryable, true);
    const { error } = await made_or_error(new t.latchkey.Session({ vault: 'http://vault.example' }).signInWithJwt('x', JWT));
    eq(error.code, 'transport_misuse');
    const closed = await made_or_error(new t.latchkey.Session({ vault: 'http://127.0.0.1:1' }).signInWithJwt('x', JWT));
    assert(['transport_lost', 'transport_unreachable'].includes(closed.error.code), closed.error.code);
  },

  async the_doctor_finds_nothing_wrong_where_nothing_is(t) {
    await t.setHub({ shows: true, idToken: t.hubIdToken });
    const found = await t.latchkey.diagnose({
      vault: t.vault, origin: t.origin, vaultLogin: { ...OIDC, redirectUri: REDIRECT },
      provider: { issuer: t.issuer, clientId: 'notebook', redirectUri: REDIRECT },
      hub: { apiUrl: `${t.hub}/hub/api/`, user: 'reader', token: 'tab-token' }
    });
    eq(found.map(({ check, outcome }) => `${check} ${outcome}`), ['vault-reachable ok', 'vault-health ok', 'clock ok',
      'vault-redirect ok', 'provider-reachable ok', 'provider-cors ok', 'hub-scopes ok', 'hub-id-token ok']);
    assert(found.every(({ fix }) => fix === undefined));
  },

  async the_doctor_says_what_to_write_for_each_thing_that_is_wrong(t) {
    await t.setHub({ shows: false });
    const found = await t.latchkey.diagnose({
      vault: t.vault, origin: 'https://other.example', vaultLogin: { ...OIDC, redirectUri: 'https://other.example/cb' },
      provider: { issuer: 'http://127.0.0.1:1/none', clientId: 'notebook', redirectUri: REDIRECT },
      hub: { apiUrl: `${t.hub}/hub/api/`, user: 'reader', token: 'tab-token' }
    });
    const of = name => found.find(({ check }) => check === name);
    eq([of('vault-redirect').outcome, of('vault-redirect').code], ['failed', 'vault_no_auth_url']);
    assert(of('vault-redirect').fix.includes('https://other.example/cb'));
    eq([of('provider-reachable').outcome, of('provider-cors').outcome], ['failed', 'skipped']);
    eq([of('hub-scopes').code, of('hub-scopes').facts.missing, of('hub-scopes').facts.version],
      ['hub_scope_missing', 'admin:auth_state!user', '6.1.1']);
    assert(of('hub-scopes').fix.includes('oauth_client_allowed_scopes'));
    const nobody = await t.latchkey.diagnose({ vault: 'http://127.0.0.1:1', origin: 'https://lab.example' });
    eq([nobody[0].outcome, nobody[1].outcome], ['failed', 'skipped']);
    assert(nobody[0].fix.includes('https://lab.example'));
  },

  async a_keeper_prolongs_the_token_and_tells(t) {
    const child = (await t.operate('POST', 'auth/token/create', { ttl: '4s', renewable: true })).auth.client_token;
    const made = session(t);
    const events = [];
    const keeper = new t.latchkey.Keeper(made, { onEvent: event => events.push(event.kind) });
    keeper.start();
    eq(keeper.state, 'idle');
    const { expiresAt } = await made.signInWithToken(child);
    eq(keeper.state, 'fresh');
    await until(() => events.includes('renewed'));
    assert(made.identity.expiresAt > expiresAt);
    await made.signOut();
    eq([keeper.state, made.identity], ['idle', undefined]);
    keeper.stop();
  },

  async a_keeper_signs_in_again_or_says_that_a_person_must(t) {
    const create = async () =>
      (await t.operate('POST', 'auth/token/create', { ttl: '3s', renewable: false })).auth.client_token;
    const made = session(t);
    const events = [];
    let ways = 1;
    const keeper = new t.latchkey.Keeper(made, {
      lock: 'latchkey-test',
      async signInAgain(signal) {
        assert(signal instanceof AbortSignal);
        if (ways-- === 0) throw new Error('the hub has nothing any more');
        await made.signInWithToken(await create());
      },
      onEvent: event => events.push(event.kind)
    });
    keeper.start();
    await made.signInWithToken(await create());
    await until(() => events.includes('signed-in-again'));
    await until(() => events.includes('needs-person'));
    assert(events.includes('failed'));
    await until(() => events.includes('lost'));
    eq(made.identity, undefined);
    // A person helps.
    await made.signInWithToken(t.rootToken);
    eq(keeper.state, 'fresh');
    keeper.stop();
    eq(keeper.state, 'idle');
  },

  async memory_is_flat_after_a_thousand_renewals(t) {
    const child = (await t.operate('POST', 'auth/token/create', { ttl: '1h', renewable: true })).auth.client_token;
    const made = session(t);
    await made.signInWithToken(child);
    const renew = async times => { for (let time = 0; time < times; time++) await made.renew(); };
    await renew(100);
    const before = t.memory();
    await renew(900);
    eq(t.memory() - before, 0, 'bytes of WebAssembly memory');
  }
};

async function until(holds) {
  for (const end = Date.now() + 20_000; !holds(); ) {
    if (Date.now() > end) throw new Error(`never: ${holds}`);
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}

async function made_or_error(promise) {
  try { return { value: await promise }; } catch (error) { return { error }; }
}
