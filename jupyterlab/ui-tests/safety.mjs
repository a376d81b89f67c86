// Where secrets must not be, what pages may forbid, and who must be able to use it.

import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';

import { assertNowhere, collect, everything } from './canary.mjs';
import { median, timesToUse } from './measures.mjs';
import { scenario } from './runner.mjs';
import { as, asAt, shared } from './shared.mjs';
import { assert, KEY } from './page.mjs';
import { until } from './world.mjs';

const STORE = 'notebook-secret-kv-v2';
const AXE = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

scenario(
  'neither token, code nor secret is in a file, a storage, an address, the console or the log',
  () =>
    as('reader', async (person, { lab, doubles }) => {
      const tokens = collect(person);
      await person.signIn();
      await person.inject(STORE, 'team', 'openai');
      await person.runCell().then(shown => assert.equal(shown, KEY));
      // The cell printed it, as people's code can; what is kept must be ours to check, so it is made to forget.
      await person.command('notebook:clear-all-cell-outputs');
      await person.page.evaluate(async () => {
        const { commands, shell } = window.jupyterapp;
        await shell.currentWidget.sessionContext.session.kernel.requestExecute({
          code: "import os; ready = len(os.environ['OPENAI_API_KEY'])",
          store_history: true
        }).done;
        await commands.execute('docmanager:save');
      });
      await person.row('OPENAI_API_KEY').click();
      await person.action('reveal').click();
      await person.panel.getByText(KEY).waitFor();
      await person.panel.locator('.lk-row', { hasText: KEY }).locator('.lk-value').click();
      // A new version of the workspace is written some time after a change.
      await person.page.waitForTimeout(1500);
      const codes = person.urls
        .map(url => new URL(url, lab.url).searchParams.get('code'))
        .filter(code => code !== null);
      assert.ok(tokens.size > 0, 'the test saw no token to look for');
      assert.ok(codes.length > 0, 'the test saw no code to look for');
      const forbidden = [KEY, ...tokens, ...codes].filter(value => value !== 'lab-token');
      const storage = await person.page.evaluate(async () => {
        const names = (await indexedDB.databases?.())?.map(({ name }) => name) ?? [];
        return JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, names]);
      });
      const centre = await person.page.evaluate(() => document.body.innerHTML);
      const places = {
        'the files of Lab, history.sqlite and the notebook among them': everything(lab.home),
        'the storage of the browser': storage,
        'the console': person.console.join('\n'),
        'the address of the page': person.page.url(),
        "Lab's log": fs.readFileSync(lab.child.log, 'latin1'),
        'the page, notifications included': centre
      };
      assert.ok(
        everything(path.join(lab.home, 'ipython')).includes('ready = len'),
        'there is a history to look into'
      );
      assertNowhere(forbidden, places);
      // A code that somebody saw is of no use: it was spent, and its nonce never left the tab.
      const again = await fetch(
        `${doubles.vault.address}/v1/auth/keycloak-oidc/oidc/callback?code=${codes[0]}&state=x&client_nonce=y`
      );
      assert.notEqual(again.status, 200);
      await person.action('forget').click();
      await person.panel.getByText('Nothing yet').waitFor();
    })
);

scenario('no byte of the engine is loaded before somebody opens the panel', () =>
  as('reader', async person => {
    const engine = () => person.requests.filter(({ url }) => url.includes('.wasm'));
    await person.page.waitForTimeout(500);
    assert.deepEqual(engine(), []);
    await person.showPanel();
    await until('the engine', () => engine().length === 1);
  })
);

scenario('the panel can be used at once after the first click', () =>
  as('reader', async person => {
    const times = await timesToUse(person, process.argv.includes('--all') ? 20 : 3);
    const middle = median(times);
    console.log(`  usable after ${middle.toFixed(0)} ms (median of ${times.length})`);
    assert.ok(middle < 150, `${middle} ms`);
  })
);

/** The page with another Content-Security-Policy. */
function withPolicy(policy, more = {}) {
  return {
    ...more,
    prepare: context =>
      context.route('**/lab/workspaces/**/tree/**', async route => {
        const response = await route.fetch();
        await route.fulfill({
          response,
          headers: { ...response.headers(), 'content-security-policy': policy }
        });
      })
  };
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
      await person.signIn();
      await person.openRow(STORE, 'team', 'openai');
      await person.row('OPENAI_API_KEY').waitFor();
      const ours = person.console.filter(
        line => /Content.Security.Policy/.test(line) && /latchkey/.test(line)
      );
      assert.deepEqual(ours, []);
    },
    withPolicy(policy)
  );
});

scenario('a policy that forbids the Vault is told as such', () =>
  as(
    'reader',
    async person => {
      await person.showPanel();
      await person.panel.locator('[data-way="vault"]').click();
      await person.panel.locator('.lk-problem', { hasText: 'no answer' }).waitFor();
      await person.picture('unreachable');
    },
    withPolicy("connect-src 'self' ws:")
  )
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
      },
      withPolicy(`script-src ${script}`, { wait: false })
    )
  );
}

for (const [theme, name] of [
  ['JupyterLab Light', 'light'],
  ['JupyterLab Dark', 'dark']
]) {
  scenario(`axe finds nothing wrong in the panel and its dialogues, ${name}`, () =>
    as(
      'management',
      async person => {
        const told = [];
        const check = async (what, selector) => {
          await person.page.evaluate(AXE);
          const { violations } = await person.page.evaluate(at => window.axe.run(at), selector);
          for (const { id, nodes } of violations) {
            told.push(`${what}: ${id}: ${nodes.map(node => node.html).join(' ')}`);
          }
        };
        const panel = '#jupyterlab-latchkey-panel';
        await person.showPanel();
        await person.panel.locator('.lk-ways summary').click();
        await person.picture(`${name}-signed-out`);
        await check('signed out', panel);
        await person.panel.locator('.lk-ways summary').click();
        await person.signIn();
        await person.openRow(STORE, 'team', 'openai');
        await person.row('OPENAI_API_KEY').click();
        await person.picture(`${name}-tree`);
        await check('the tree', panel);
        await person.action('inject').click();
        await person.dialog().waitFor();
        await person.picture(`${name}-inject`);
        await check('into the kernel', '.jp-Dialog .lk-inject');
        await person.page.keyboard.press('Escape');
        await person.row('openai').click();
        await person.action('edit').click();
        await person.panel.locator('[data-lk="field-value"]').waitFor();
        await person.picture(`${name}-edit`);
        await check('the editor', panel);
        await person.panel.getByText('Back', { exact: true }).click();
        await person.action('versions').click();
        await person.panel.locator('[data-lk="diff"]').first().click();
        await person.panel.locator('.lk-diff').waitFor();
        await person.picture(`${name}-versions`);
        await check('the versions', panel);
        void person.command('jupyterlab-latchkey:check-setup');
        await person.dialog().locator('.lk-doctor').waitFor();
        await person.picture(`${name}-doctor`);
        await check('the check of the set-up', '.lk-doctor');
        assert.deepEqual(told, []);
      },
      { others: { '@jupyterlab/apputils-extension/themes': { theme } } }
    )
  );
}

scenario('the check of the set-up names what is wrong and its cure', async () => {
  const { doubles } = await shared();
  await as(
    'reader',
    async person => {
      await person.showPanel();
      void person.command('jupyterlab-latchkey:check-setup');
      const line = check => person.dialog().locator(`[data-check="${check}"]`);
      await line('vault-redirect').waitFor();
      assert.match(await line('vault-reachable').getAttribute('class'), /lk-ok/);
      assert.match(await line('redirect-page').getAttribute('class'), /lk-failed/);
      assert.match(await line('vault-redirect').getAttribute('class'), /lk-failed/);
      assert.match(
        await line('vault-redirect').locator('pre').innerText(),
        /allowed_redirect_uris/
      );
      await person.picture('doctor');
    },
    { settings: { redirectUri: '/elsewhere/callback.html' } }
  );
  assert.ok(doubles);
});

for (const [locale, words] of [
  ['ko_KR', ['로그인', '다른 로그인 방법']],
  ['ru_RU', ['Войти', 'Другие способы входа']]
]) {
  scenario(`the panel speaks ${locale}`, () =>
    as(
      'reader',
      async person => {
        await person.showPanel();
        for (const word of words) {
          await person.panel.getByText(word, { exact: true }).first().waitFor();
        }
        await person.picture(`in-${locale}`);
      },
      { others: { '@jupyterlab/translation-extension/plugin': { locale } } }
    )
  );
}

scenario('Notebook 7 has the panel, too', () =>
  as(
    'reader',
    async person => {
      await person.page.locator('.jp-Notebook').waitFor();
      await person.page.waitForFunction(
        () => window.jupyterapp?.shell?.currentWidget?.sessionContext
      );
      await person.command('jupyterlab-latchkey:open');
      await person.panel.waitFor();
      const popup = await person.windowFrom(() =>
        person.panel.locator('[data-way="vault"]').click()
      );
      await person.atProvider(popup);
      await person.signedIn();
      await person.inject(STORE, 'team', 'openai');
      assert.equal(await person.run("import os; print(os.environ['OPENAI_API_KEY'])"), KEY);
      await person.picture('notebook-7');
      await person.action('forget').click();
      await person.panel.getByText('Nothing yet').waitFor();
    },
    { at: 'notebooks/demo.ipynb', wait: false }
  )
);

scenario(
  'the wheel is installed without Node, and Lab finds it in order',
  async () => {
    const { lab } = await shared();
    const bin = path.join(process.env.LATCHKEY_JUPYTERLAB, 'bin');
    const env = { ...lab.env, PATH: bin };
    const run = (program, ...args) =>
      execFileSync(path.join(bin, program), args, {
        env,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe']
      });
    assert.throws(
      () => execFileSync('node', ['--version'], { env }),
      'there is a node on this PATH'
    );
    run(
      'pip',
      'install',
      '--no-deps',
      '--force-reinstall',
      '--no-input',
      process.env.LATCHKEY_WHEEL
    );
    const list = execFileSync('/bin/sh', ['-c', `"${bin}/jupyter" labextension list 2>&1`], {
      env,
      encoding: 'utf8'
    });
    assert.match(list, /jupyterlab-latchkey v0\.1\.0.*OK/);
    // Lab runs all the while: a page that is loaded now has the new one.
    await as('reader', person => person.signIn());
  },
  { needs: () => (process.env.LATCHKEY_WHEEL ? undefined : 'LATCHKEY_WHEEL is not set') }
);

export { asAt };
