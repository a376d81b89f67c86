// Where secrets must not be, and who must be able to use it.

import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';

import { assertNowhere, assertOfNoUse, codesSeen, ear, everything, placesOf } from './canary.mjs';
import { scenario } from './runner.mjs';
import { as, shared } from './shared.mjs';
import { assert, KEY } from './page.mjs';
import { until } from './world.mjs';

const STORE = 'notebook-secret-kv-v2';
const AXE = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Every way of signing in. Each may give values that must be nowhere, beside those that servers hand out. */
const WAYS = {
  'in a window, through the Vault': { signIn: async person => void (await person.signIn()) },
  'in a window, at the provider': {
    signIn: async person => void (await person.signIn('provider'))
  },
  'by a code that is pasted': {
    async signIn(person) {
      await person.showWays();
      await person.panel.locator('[data-way="paste"]').click();
      return [await person.pasteCode()];
    }
  },
  'with a Vault token': {
    async signIn(person, doubles) {
      const made = await doubles.call('POST', 'auth/token/create', { policies: ['reader'] });
      await person.useToken(made.auth.client_token);
      return [made.auth.client_token];
    }
  },
  'where OpenBao takes the answer': {
    all: true,
    settings: doubles => doubles.pollingRole('direct'),
    signIn: person => person.signInDirectly()
  },
  'as a device does': {
    all: true,
    settings: doubles => doubles.pollingRole('device'),
    signIn: person => person.signInAsDevice()
  },
  'once more, in a hidden frame': {
    all: true,
    settings: doubles => doubles.role('short', { token_ttl: 12, token_max_ttl: 12 }),
    async signIn(person) {
      await person.signIn();
      const logins = () => person.requests.filter(({ url }) => url.includes('/oidc/callback?'));
      await until('a second sign-in', () => logins().length >= 2);
    }
  }
};

for (const [way, { settings, signIn, all }] of Object.entries(WAYS)) {
  scenario(
    `neither token, code nor secret is left anywhere by somebody who signed in ${way}`,
    async () => {
      const { doubles } = await shared();
      const { tokens, prepare } = ear();
      await as(
        'reader',
        async (person, { lab }) => {
          const more = (await signIn(person, doubles)) ?? [];
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
          const codes = codesSeen(person);
          assert.ok(tokens.size + more.length > 0, 'the test saw no token to look for');
          assert.ok(more.length + codes.length > 0, 'the test saw no code to look for');
          // The kernel writes it when it finds the time.
          await until('a history to look into', () =>
            everything(path.join(lab.home, 'ipython')).includes('ready = len')
          );
          assertNowhere(
            [KEY, ...tokens, ...codes, ...more].filter(value => value !== 'lab-token'),
            {
              ...(await placesOf(person)),
              'the files of Lab, history.sqlite and the notebook among them': everything(lab.home),
              "Lab's log": fs.readFileSync(lab.child.log, 'latin1')
            }
          );
          await assertOfNoUse(codes, doubles);
          await person.forget();
        },
        { settings: await settings?.(doubles), prepare }
      );
    },
    { all }
  );
}

scenario('no byte of the engine is loaded before somebody opens the panel', () =>
  as('reader', async person => {
    const engine = () => person.requests.filter(({ url }) => url.includes('.wasm'));
    await person.page.waitForTimeout(500);
    assert.deepEqual(engine(), []);
    await person.showPanel();
    await until('the engine', () => engine().length === 1);
  })
);

scenario(
  'the panel can be used before the engine is there, and what was clicked waits for it',
  () =>
    as('reader', async person => {
      let arrive;
      const arrival = new Promise(resolve => (arrive = resolve));
      await person.context.route('**/*.wasm', async route => {
        await arrival;
        await route.continue();
      });
      await person.showPanel();
      const button = person.panel.locator('[data-way="vault"]');
      await button.waitFor();
      assert.ok(await button.isEnabled());
      const popup = await person.windowFrom(() => button.click());
      arrive();
      await person.atProvider(popup);
      await person.signedIn();
    })
);

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

for (const [locale, words, minutes] of [
  ['ko_KR', ['로그인', '다른 로그인 방법'], /\d+분/],
  ['ru_RU', ['Войти', 'Другие способы входа'], /\d+ минут/]
]) {
  scenario(`the panel speaks ${locale}, and no word is too long for it`, () =>
    as(
      'management',
      async person => {
        await person.showWays();
        for (const word of words) {
          await person.panel.getByText(word, { exact: true }).first().waitFor();
        }
        await person.fits();
        await person.picture(`in-${locale}`);
        await person.signIn();
        await person.panel.locator('.lk-left', { hasText: minutes }).waitFor();
        await person.openRow(STORE, 'team', 'openai');
        await person.row('OPENAI_API_KEY').click();
        await person.fits();
        await person.picture(`in-${locale}-tree`);
        await person.action('edit').click();
        await person.panel.locator('[data-lk="field-value"]').waitFor();
        await person.action('dotenv').click();
        await person.fits();
        await person.picture(`in-${locale}-edit`);
        await person.panel.locator('.jp-mod-reject').click();
        await person.action('versions').click();
        await person.panel.locator('[data-lk="diff"]').first().click();
        await person.panel.locator('.lk-diff').waitFor();
        await person.fits();
        await person.picture(`in-${locale}-versions`);
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
      await person.kernelAnswers();
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
      await person.forget();
    },
    { at: 'notebooks/demo.ipynb', wait: false }
  )
);
