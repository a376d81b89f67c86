// What a page's headers may forbid: the table in section 2 of the notes, row by row, and what a person hears of it.

import { scenario } from './runner.mjs';
import { as, shared } from './shared.mjs';
import { assert, KEY } from './page.mjs';
import { until } from './world.mjs';

const STORE = 'notebook-secret-kv-v2';

/** The page with other headers. */
function withHeaders(headers, more = {}) {
  return {
    ...more,
    prepare: context =>
      context.route('**/lab/workspaces/**/tree/**', async route => {
        const response = await route.fetch();
        await route.fulfill({ response, headers: { ...response.headers(), ...headers } });
      })
  };
}

const withPolicy = (policy, more) => withHeaders({ 'content-security-policy': policy }, more);

/** Signs in, and has the secret in the kernel: nothing was in the way. */
async function succeeds(person) {
  await person.signIn();
  await person.inject(STORE, 'team', 'openai');
  assert.equal(await person.run("import os; print(os.environ['OPENAI_API_KEY'])"), KEY);
  await person.forget();
}

// The scenarios on a hub come through its own policy, and the strict one has 'unsafe-eval': these two say it by name.
for (const [what, headers, all] of [
  [
    'that lets nobody frame it, as hubs have it',
    { 'content-security-policy': "frame-ancestors 'none'" },
    true
  ],
  [
    "with 'unsafe-eval', which Lab needs itself",
    { 'content-security-policy': "script-src 'self' 'unsafe-inline' 'unsafe-eval'" },
    true
  ],
  [
    'that is isolated for shared memory',
    {
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp'
    },
    false
  ]
]) {
  scenario(
    `a page ${what} has all that Latchkey needs`,
    () =>
      as(
        'reader',
        async person => {
          if ('cross-origin-opener-policy' in headers) {
            assert.ok(
              await person.page.evaluate(() => window.crossOriginIsolated),
              'it is isolated'
            );
          }
          await succeeds(person);
        },
        withHeaders(headers)
      ),
    { all }
  );
}

scenario('a strict Content-Security-Policy that names the servers is enough', async () => {
  const { doubles } = await shared();
  const provider = new URL(doubles.provider.issuer).origin;
  const policy =
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; " +
    `img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; frame-src ${provider} 'self'; ` +
    `connect-src 'self' ws: ${doubles.vault.address} ${provider}; object-src 'none'; base-uri 'self'`;
  await as(
    'reader',
    async person => {
      await succeeds(person);
      const ours = person.console.filter(
        line => /Content.Security.Policy/.test(line) && /latchkey/.test(line)
      );
      assert.deepEqual(ours, []);
    },
    withPolicy(policy)
  );
});

scenario(
  'a policy that forbids the Vault is told as such, with what an administrator must add',
  async () => {
    const { doubles } = await shared();
    const { address } = doubles.vault;
    await as(
      'reader',
      async person => {
        await person.showPanel();
        await person.panel.locator('[data-way="vault"]').click();
        const problem = person.panel.locator('.lk-problem', { hasText: 'Content-Security-Policy' });
        await problem.filter({ hasText: `connect-src: ${address}` }).waitFor();
        await person.picture('forbidden');
        void person.command('jupyterlab-latchkey:check-setup');
        const line = person.dialog().locator('[data-check="policy"]');
        await line.waitFor();
        assert.match(await line.getAttribute('class'), /lk-failed/);
        assert.match(await line.locator('pre').innerText(), new RegExp(`connect-src .*${address}`));
      },
      withPolicy("connect-src 'self' ws:")
    );
  }
);

scenario(
  'a policy that lets the provider into no frame leaves the person to sign in again',
  async () => {
    const { doubles } = await shared();
    await as(
      'reader',
      async person => {
        await person.signIn();
        // Where a frame could answer it would, without a person: here somebody is asked.
        await person.notification('Sign in again');
        assert.equal(
          person.requests.filter(({ url }) => url.includes('/oidc/callback?')).length,
          1
        );
        void person.command('jupyterlab-latchkey:check-setup');
        const fix = person.dialog().locator('[data-check="policy"] pre');
        await fix.waitFor();
        assert.match(await fix.innerText(), /frame-src http/);
      },
      withPolicy("frame-src 'self'", {
        settings: await doubles.role('short', { token_ttl: 12, token_max_ttl: 12 })
      })
    );
  },
  { all: true }
);

for (const [what, script, engine] of [
  ["without 'unsafe-eval' and 'wasm-unsafe-eval'", "'self' 'unsafe-inline'", 'engine_blocked'],
  ["with 'wasm-unsafe-eval' alone", "'self' 'unsafe-inline' 'wasm-unsafe-eval'", 'loaded']
]) {
  scenario(`${what} Lab itself has no tab, and of ours nothing fails but what it says`, () =>
    as(
      'reader',
      async person => {
        // Lab checks its settings by code that ajv makes while it runs, and lays its tabs out only with settings.
        await until('the failure of the layout', () =>
          person.console.some(line => line.includes('application-extension:layout'))
        );
        await person.page.waitForFunction(() => window.jupyterapp?.isPluginActivated);
        const failed = new Set(
          person.console.flatMap(
            line => /Error activating plugin: (\S+) EvalError/.exec(line)?.[1] ?? []
          )
        );
        assert.ok(
          failed.has('@jupyterlab/apputils-extension:settings'),
          'Lab needs no eval any more'
        );
        assert.deepEqual(
          [...failed].filter(name => name.includes('latchkey')),
          []
        );
        const latchkey = await person.latchkey();
        const loaded = await latchkey.evaluate(it => {
          it.settings.values.vaultUrl ||= 'http://localhost:9';
          return it.open().then(
            () => 'loaded',
            error => error.code
          );
        });
        assert.equal(loaded, engine);
        assert.equal(await person.page.locator('.jp-SideBar li').count(), 0);
        // The check says what is wrong without any tab.
        void person.command('jupyterlab-latchkey:check-setup');
        const line = person.dialog().locator('[data-check="engine"]');
        await line.waitFor();
        const isBlocked = engine === 'engine_blocked';
        assert.match(await line.getAttribute('class'), isBlocked ? /lk-failed/ : /lk-ok/);
        assert.equal(await line.getByText("'wasm-unsafe-eval'").count(), isBlocked ? 2 : 0);
      },
      withPolicy(`script-src ${script}`, { wait: false })
    )
  );
}
