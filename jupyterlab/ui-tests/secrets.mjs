// Browsing, reading and writing.

import { scrollThrough, tenThousand } from './measures.mjs';
import { scenario } from './runner.mjs';
import { as, shared } from './shared.mjs';
import { assert, KEY, withClock } from './page.mjs';
import { until } from './world.mjs';

const STORE = 'notebook-secret-kv-v2';

/** Seconds after which something goes away: longer than any machine takes to see it. */
const A_WHILE = 600;

/** Milliseconds after which it is gone. */
const AFTERWARDS = (A_WHILE + 1) * 1000;

scenario('the tree is used by the keyboard alone', () =>
  as('management', async person => {
    await person.signIn();
    const tree = person.panel.locator('.lk-tree');
    // What is in the store comes a moment after the store.
    await person.row('team').waitFor();
    await tree.focus();
    const press = async (...keys) => {
      for (const key of keys) {
        await tree.press(key);
      }
    };
    const active = () =>
      tree.evaluate(element => {
        const row = document.getElementById(element.getAttribute('aria-activedescendant'));
        return row?.querySelector('.lk-name')?.textContent;
      });
    await press('Home', 't', 'ArrowRight');
    assert.equal(await active(), 'team');
    await person.row('openai').waitFor();
    await press('o', 'ArrowRight');
    await person.row('OPENAI_API_KEY').waitFor();
    await press('ArrowRight');
    assert.equal(await active(), 'OPENAI_API_KEY');
    assert.equal(await tree.getByText(KEY).count(), 0, 'hidden at first');
    await press('Enter');
    await tree.getByText(KEY).waitFor();
    await press('Enter', 'ArrowLeft', 'ArrowLeft');
    assert.equal(await active(), 'openai');
    assert.equal(await tree.getByText(KEY).count(), 0);
    const level = await person.row('openai').getAttribute('aria-level');
    assert.equal(level, '3');
  })
);

scenario('a value hides itself again, and what was copied leaves the clipboard', () =>
  as(
    'management',
    async person => {
      await person.signIn();
      await person.openRow(STORE, 'team', 'openai');
      await person.row('OPENAI_API_KEY').click();
      await person.action('copy').click();
      const clipboard = () => person.page.evaluate(() => navigator.clipboard.readText());
      await until('the copy', async () => (await clipboard()) === KEY);
      await person.action('reveal').click();
      await person.panel.getByText(KEY).waitFor();
      await person.page.clock.fastForward(AFTERWARDS);
      await person.panel.getByText(KEY).waitFor({ state: 'detached' });
      await until('the cleared clipboard', async () => (await clipboard()) === '');
      // What somebody copied in the meantime is theirs.
      await person.action('copy').click();
      await until('the copy', async () => (await clipboard()) === KEY);
      await person.page.evaluate(() => navigator.clipboard.writeText('mine'));
      await person.page.clock.fastForward(AFTERWARDS);
      await person.page.waitForTimeout(500);
      assert.equal(await clipboard(), 'mine');
    },
    { settings: { clipboardSeconds: A_WHILE, revealSeconds: A_WHILE }, ...withClock }
  )
);

scenario('a person writes a new secret, changes it, and finds both versions', () =>
  as('management', async person => {
    const { doubles } = await shared();
    await person.signIn();
    await person.openRow(STORE, 'team');
    await person.row('team').click();
    await person.row('team').click();
    await person.panel.locator('[title="New secret"], [aria-label="New secret"]').first().click();
    await person.panel.locator('[data-lk="path"]').fill('team/made-here');
    await person.panel.locator('[data-lk="field-name"]').fill('API_TOKEN');
    await person.panel.locator('[data-lk="field-value"]').fill('first\nvalue ✓');
    await person.action('save').click();
    await person.notification('Saved');
    const read = () => doubles.call('GET', `${STORE}/data/team/made-here`);
    assert.deepEqual((await read()).data.data, { API_TOKEN: 'first\nvalue ✓' });

    await (await person.openRow(STORE, 'team', 'made-here')).waitFor();
    await person.action('edit').click();
    await person.panel.locator('[data-lk="field-value"]').waitFor();
    await person.picture('edit');
    await person.panel.locator('[data-lk="field-value"]').fill('second');
    await person.action('add-field').click();
    await person.panel.locator('[data-lk="field-name"]').last().fill('extra');
    await person.panel.locator('[data-lk="field-value"]').last().fill('e');
    await person.action('save').click();
    await until('the second version', async () => (await read()).data.metadata.version === 2);
    await person.row('extra').waitFor();

    await person.action('versions').click();
    await person.panel.locator('[data-version="2"] [data-lk="diff"]').click();
    await person.panel.locator('.lk-diff').waitFor();
    assert.equal(await person.panel.locator('.lk-diff .lk-changed th').innerText(), 'API_TOKEN');
    assert.equal(await person.panel.locator('.lk-diff .lk-added th').innerText(), 'extra');
    const values = person.panel.locator('.lk-diff-values');
    assert.equal(await values.count(), 0, 'hidden at first');
    await person.action('diff-values').click();
    const changed = person.panel.locator('.lk-diff .lk-changed');
    await changed.locator('del').waitFor();
    assert.equal(await changed.locator('del').innerText(), 'first\nvalue ✓');
    assert.equal(await changed.locator('ins').innerText(), 'second');
    assert.equal(await person.panel.locator('.lk-diff .lk-added ins').innerText(), 'e');
    await person.picture('versions');
    await person.action('diff-values').click();
    await values.first().waitFor({ state: 'detached' });
  })
);

scenario('values among the versions hide themselves again', async () => {
  const { doubles } = await shared();
  for (const value of ['before', 'after']) {
    await doubles.call('POST', `${STORE}/data/team/hides`, { data: { value } });
  }
  await as(
    'management',
    async person => {
      await person.signIn();
      await person.openRow(STORE, 'team', 'hides');
      await person.action('versions').click();
      await person.panel.locator('[data-version="2"] [data-lk="diff"]').click();
      await person.action('diff-values').click();
      await person.panel.locator('del', { hasText: 'before' }).waitFor();
      await person.page.clock.fastForward(AFTERWARDS);
      await person.panel.locator('.lk-diff-values').waitFor({ state: 'detached' });
      assert.equal(await person.action('diff-values').getAttribute('aria-pressed'), 'false');
      assert.equal(await person.panel.getByText('before').count(), 0);
    },
    { settings: { revealSeconds: A_WHILE }, ...withClock }
  );
});

scenario(
  'a version is deleted and brought back, an old one becomes the newest, and what is destroyed stays so',
  () =>
    as('management', async person => {
      const { doubles } = await shared();
      for (const value of ['one', 'two', 'three']) {
        await doubles.call('POST', `${STORE}/data/team/history`, { data: { value } });
      }
      const metadata = async () =>
        (await doubles.call('GET', `${STORE}/metadata/team/history`)).data;
      await person.signIn();
      await person.openRow(STORE, 'team', 'history');
      await person.action('versions').click();
      const version = number => person.panel.locator(`[data-version="${number}"]`);
      await version(3).locator('[data-lk="delete"]').click();
      await version(3).locator('[data-lk="undelete"]').waitFor();
      assert.notEqual((await metadata()).versions[3].deletion_time, '');
      await version(3).locator('[data-lk="undelete"]').click();
      await version(3).locator('[data-lk="delete"]').waitFor();
      await version(1).locator('[data-lk="restore"]').click();
      await version(4).waitFor();
      const now = await doubles.call('GET', `${STORE}/data/team/history`);
      assert.deepEqual(now.data.data, { value: 'one' });
      await version(2).locator('[data-lk="destroy"]').click();
      await person.dialog().locator('.jp-mod-warn').click();
      await version(2).getByText('destroyed').waitFor();
      assert.equal((await metadata()).versions[2].destroyed, true);
      assert.equal(await version(2).locator('button').count(), 0);
    })
);

scenario('a person who saves what somebody else has changed is asked, and nothing is lost', () =>
  as('management', async person => {
    const { doubles } = await shared();
    const write = data => doubles.call('POST', `${STORE}/data/team/shared`, { data });
    await write({ mine: 'a', theirs: 'a' });
    await person.signIn();
    await person.openRow(STORE, 'team', 'shared');
    await person.action('edit').click();
    await person.panel.locator('[data-lk="field-value"]').first().fill('b');
    await write({ mine: 'a', theirs: 'changed meanwhile' });
    await person.action('save').click();
    await person.panel.locator('.lk-conflict').waitFor();
    await person.panel.locator('.lk-conflict code', { hasText: 'theirs' }).waitFor();
    await person.picture('conflict');
    const read = async () => (await doubles.call('GET', `${STORE}/data/team/shared`)).data;
    assert.equal((await read()).metadata.version, 2, 'nothing was written');
    await person.action('mine').click();
    await until('the third version', async () => (await read()).metadata.version === 3);
    assert.deepEqual((await read()).data, { mine: 'b', theirs: 'changed meanwhile' });
  })
);

scenario('a secret that may be read but not listed is opened by its path', async () => {
  const { doubles } = await shared();
  await doubles.call('PUT', 'sys/policies/acl/narrow', {
    policy: `path "${STORE}/data/people/reader/note" { capabilities = ["read"] }`
  });
  const settings = await doubles.role('narrow', { token_policies: ['narrow'] });
  await as(
    'reader',
    async person => {
      await person.signIn();
      await person.panel.getByText('you may not list this').waitFor();
      await person.openPath(`${STORE}/people/reader/note`);
      await person.row('text').waitFor();
      await person.picture('not-listable');
      await person.inject(STORE, 'people', 'reader', 'note');
      assert.equal(
        await person.run("import os; print(os.environ['TEXT'])"),
        'line one\nline two ✓'
      );
    },
    { settings }
  );
});

scenario('a search finds a secret in a folder that was never opened', () =>
  as('management', async person => {
    await person.signIn();
    await person.panel.locator('input[type="search"]').fill('reader/note');
    await person.panel.getByText('Look into all folders').click();
    await person.row('note').waitFor();
    assert.equal(await person.row('openai').count(), 0);
    await person.picture('search');
  })
);

scenario('of ten thousand secrets only those are drawn that can be seen', async () => {
  const { doubles } = await shared();
  const settings = await tenThousand(doubles);
  await as(
    'management',
    async person => {
      await person.signIn();
      const measured = await scrollThrough(person);
      console.log(`  10 000 secrets: ${JSON.stringify(measured)}`);
      assert.ok(measured.height > 240_000, 'all of them are in the list');
      assert.ok(measured.rows < 80, `only what is visible is drawn: ${measured.rows}`);
    },
    { settings }
  );
});

scenario('the values of a .env file become a secret', () =>
  as('management', async person => {
    const { doubles } = await shared();
    await person.signIn();
    await person.row(STORE).click();
    await person.panel.locator('[title="New secret"], [aria-label="New secret"]').first().click();
    await person.panel.locator('[data-lk="path"]').fill('team/from-a-file');
    await person.action('dotenv').click();
    const text = 'export API_KEY="sk-1 \\"x\\""\nnonsense\nREGION=eu # here\n';
    await person.panel
      .locator('[data-lk="dotenv-file"]')
      .setInputFiles({ name: '.env', mimeType: 'text/plain', buffer: Buffer.from(text) });
    await person.panel.getByText('left out: line 2').waitFor();
    await person.picture('dotenv');
    await person.action('dotenv-take').click();
    await person.action('save').click();
    await person.notification('Saved');
    const { data } = await doubles.call('GET', `${STORE}/data/team/from-a-file`);
    assert.deepEqual(data.data, { API_KEY: 'sk-1 "x"', REGION: 'eu' });
  })
);

scenario(
  'everybody has a folder of their own at the top, without being let into what is above',
  async () => {
    const { doubles } = await shared();
    const own = 'people/{{identity.entity.aliases.ACCESSOR.metadata.username}}';
    const { data } = await doubles.call('GET', 'sys/auth');
    const mine = own.replace('ACCESSOR', data['keycloak-oidc/'].accessor);
    await doubles.call('PUT', 'sys/policies/acl/own', {
      policy: `
      path "${STORE}/data/${mine}/*" { capabilities = ["create", "read", "update"] }
      path "${STORE}/metadata/${mine}/*" { capabilities = ["read", "list"] }
      path "${STORE}/metadata/${mine}" { capabilities = ["list"] }`
    });
    await doubles.call('POST', `${STORE}/data/people/management/note`, {
      data: { text: 'of another' }
    });
    const role = await doubles.role('own', { token_policies: ['own'] });
    await as(
      'reader',
      async person => {
        await person.signIn();
        // It is open, since it is theirs.
        await person.row('note').waitFor();
        await person.openRow('people/reader', 'note');
        await person.row('text').waitFor();
        await person.picture('own-folder');
        await person.inject('note');
        assert.equal(
          await person.run("import os; print(os.environ['TEXT'])"),
          'line one\nline two ✓'
        );
        // A new one goes to the same place, and is shown there.
        await person.row('note').click();
        await person.panel
          .locator('[title="New secret"], [aria-label="New secret"]')
          .first()
          .click();
        await person.panel.locator('[data-lk="path"]').fill('people/reader/mine');
        await person.panel.locator('[data-lk="field-name"]').fill('K');
        await person.panel.locator('[data-lk="field-value"]').fill('v');
        await person.action('save').click();
        await person.notification('Saved');
        assert.equal(await person.row('mine').getAttribute('aria-level'), '2');
        // What is somebody else's stays theirs, by the policy.
        await person.row(STORE).click();
        await person.openPath(`${STORE}/people/management/note`);
        await person.panel.getByText('you may not read this').waitFor();
        await person.forget();
      },
      { settings: { ...role, folders: [`${STORE}/people/{name}`] } }
    );
  }
);
