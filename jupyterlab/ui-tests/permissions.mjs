// What a policy allows: buttons that would only be refused, and folders of different people.

import fs from 'node:fs';
import path from 'node:path';

import { scenario } from './runner.mjs';
import { theServers, withoutServers } from './servers.mjs';
import { as, atServers, shared } from './shared.mjs';
import { assert } from './page.mjs';
import { until } from './world.mjs';

const STORE = 'notebook-secret-kv-v2';

/** What the person asked the Vault for, that has this in its address. */
const asked = (person, part) => person.requests.filter(({ url }) => url.includes(part)).length;

/** Why a button is off: what it lacks, and where. */
async function refusalOf(button) {
  await button.and(button.page().locator('[aria-disabled="true"]')).waitFor();
  const why = await button.getAttribute('title');
  const [, words, capability, at] = /^(.*?):? .*?"(\w+)" on (.*)\.$/.exec(why) ?? [];
  assert.ok(at, why);
  return { why, words, capability, at };
}

/** Adds to a policy for a reader what was refused. */
function granting(refusals) {
  const paths = new Map();
  for (const { capability, at } of refusals) {
    paths.set(at, (paths.get(at) ?? new Set(['read', 'list'])).add(capability));
  }
  return [...paths].map(
    ([at, all]) => `path "${at}" { capabilities = [${[...all].map(each => `"${each}"`)}] }`
  );
}

const READER = [
  `path "${STORE}/data/team/*" { capabilities = ["read"] }`,
  `path "${STORE}/metadata/*" { capabilities = ["read", "list"] }`
];

scenario(
  'a button that a policy refuses is off and says what it lacks, and with that it works',
  async () => {
    const { doubles } = await shared();
    const rule = more =>
      doubles.call('PUT', 'sys/policies/acl/looker', { policy: [...READER, ...more].join('\n') });
    await rule([]);
    for (const value of ['one', 'two', 'three']) {
      await doubles.call('POST', `${STORE}/data/team/ruled`, { data: { value } });
    }
    await doubles.call('POST', `${STORE}/delete/team/ruled`, { versions: [2] });
    const settings = await doubles.role('looker', { token_policies: ['looker'] });
    await as(
      'reader',
      async person => {
        await person.signIn();
        await person.openRow(STORE, 'team', 'ruled');
        const button = name => person.panel.locator(`.lk-actions [data-lk="${name}"]`);
        const edit = await refusalOf(button('edit'));
        assert.match(edit.why, /^Your policy allows reading only: /);
        await person.picture('reading-only');
        for (const name of ['inject', 'versions']) {
          assert.equal(await button(name).getAttribute('aria-disabled'), null, name);
        }
        // It can be reached and pressed, and nothing comes of it.
        await button('edit').focus();
        await person.page.keyboard.press('Enter');
        assert.equal(await person.panel.locator('.lk-editor').count(), 0);

        await button('versions').click();
        const version = (number, name) =>
          person.panel.locator(`[data-version="${number}"] [data-lk="${name}"]`);
        const changes = [
          version(3, 'delete'),
          version(3, 'destroy'),
          version(2, 'undelete'),
          version(1, 'restore'),
          person.action('delete-all')
        ];
        const refusals = [edit];
        for (const change of changes) {
          refusals.push(await refusalOf(change));
        }
        assert.equal(await version(3, 'diff').getAttribute('aria-disabled'), null);
        await person.picture('reading-only-versions');
        await person.panel.getByText('Back', { exact: true }).click();

        // What there is not yet may be refused as well.
        await person.panel
          .locator('[title="New secret"], [aria-label="New secret"]')
          .first()
          .click();
        await person.panel.locator('[data-lk="field-name"]').fill('K');
        await person.panel.locator('[data-lk="path"]').fill('team/none');
        const refusal = person.panel.locator('[data-lk="refusal"]');
        await refusal.filter({ hasText: `"create" on ${STORE}/data/team/none` }).waitFor();
        assert.ok(await person.action('save').isDisabled());
        await person.panel.getByText('Back', { exact: true }).click();
        assert.equal(asked(person, 'capabilities-self'), 2, 'once for each secret');

        // Whoever administers it grants word for word what was missing.
        await rule(granting(refusals));
        await person.panel
          .locator('[title="Look again"], [aria-label="Look again"]')
          .first()
          .click();
        await button('edit').and(person.page.locator(':not([aria-disabled])')).waitFor();
        await button('versions').click();
        await version(3, 'delete').click();
        await version(3, 'undelete').waitFor();
        await version(2, 'undelete').click();
        await version(2, 'delete').waitFor();
        await version(1, 'restore').click();
        await version(4, 'delete').waitFor();
        await version(1, 'destroy').click();
        await person.dialog().locator('.jp-mod-warn').click();
        await person.panel.locator('[data-version="1"]').getByText('destroyed').waitFor();
        await person.action('delete-all').click();
        await person.dialog().locator('.jp-mod-warn').click();
        await until('nothing to be left', async () => {
          const { data } = await doubles.call('GET', `${STORE}/metadata/team/ruled`);
          return data === undefined;
        });
      },
      { settings }
    );
  }
);

scenario(
  'where a token may not ask what it may, every button is there, and the server decides',
  async () => {
    const { doubles } = await shared();
    await doubles.call('PUT', 'sys/policies/acl/mute', { policy: READER.join('\n') });
    for (const name of ['quiet-one', 'quiet-two']) {
      await doubles.call('POST', `${STORE}/data/team/${name}`, { data: { value: name } });
    }
    const settings = await doubles.role('mute', {
      token_policies: ['mute'],
      token_no_default_policy: true
    });
    await as(
      'reader',
      async person => {
        await person.signIn();
        await person.openRow(STORE, 'team', 'quiet-one');
        await person.row('value').waitFor();
        await until('the question', () => asked(person, 'capabilities-self') === 1);
        await person.row('quiet-one').click();
        await person.openRow('quiet-two');
        await person.row('value').waitFor();
        await person.action('edit').click();
        await person.panel.locator('[data-lk="field-value"]').fill('changed');
        await person.action('save').click();
        await person.notification('You may not do this here');
        assert.equal(asked(person, 'capabilities-self'), 1, 'it was refused, and not asked again');
      },
      { settings }
    );
  }
);

/** The policy that hub/MIGRATION.md tells administrators to use, for this store and this auth method. */
function documentedPolicy(store, accessor) {
  const text = fs.readFileSync(path.join(process.env.LATCHKEY_HUB, 'MIGRATION.md'), 'utf8');
  const [, policy] = /```hcl\n(.*?)```/s.exec(text);
  assert.ok(policy.includes('path "secret/') && policy.includes('ACCESSOR'));
  return policy.replaceAll('path "secret/', `path "${store}/`).replaceAll('ACCESSOR', accessor);
}

scenario(
  'Keycloak and OpenBao: each of two people has a folder, and nothing of the other one',
  async () => {
    const servers = await theServers();
    const { store } = servers;
    const { data: methods } = await servers.call('GET', 'sys/auth');
    const policy = documentedPolicy(store, methods['lab-oidc/'].accessor);
    await servers.call('PUT', 'sys/policies/acl/lab-own', { policy });
    const write = (at, data) => servers.write(`${store}/data/jupyter/${at}`, { data });
    await write('users/reader/note', { text: 'of reader' });
    await write('users/management/note', { text: 'of management' });
    await write('shared/model', { url: 'https://model.example' });
    const settings = {
      oidcRole: 'own',
      folders: [`${store}/jupyter/users/{name}`, `${store}/jupyter/shared`]
    };
    for (const [name, other] of [
      ['reader', 'management'],
      ['management', 'reader']
    ]) {
      await atServers(
        () => settings,
        async person => {
          await person.signIn();
          const button = action => person.panel.locator(`.lk-actions [data-lk="${action}"]`);
          // What all have can be read and not changed.
          await person.openRow('jupyter/shared', 'model');
          await person.row('url').waitFor();
          const shared = await refusalOf(button('edit'));
          assert.match(shared.why, /^Your policy allows reading only: /);
          assert.equal(shared.at, `${store}/data/jupyter/shared/model`);
          // The own folder is open, and all of it is theirs.
          await person.openRow(`jupyter/users/${name}`, 'note');
          await person.row('text').click();
          await person.action('reveal').click();
          await person.panel.getByText(`of ${name}`, { exact: true }).waitFor();
          await person.picture(`own-folder-of-${name}`);
          await person.row('note').click();
          await person.row('note').click();
          await person.action('versions').click();
          const latest = action =>
            person.panel.locator(`.lk-versions [data-lk="${action}"]`).first();
          await latest('delete').click();
          await latest('undelete').click();
          await latest('delete').waitFor();
          await person.panel.getByText('Back', { exact: true }).click();
          // The other one's is not, whatever a page asks for.
          await person.row(store).click();
          await person.openPath(`${store}/jupyter/users/${other}/note`);
          await person.panel.getByText('you may not read this').waitFor();
          assert.equal(
            (await refusalOf(button('edit'))).at,
            `${store}/data/jupyter/users/${other}/note`
          );
          await person.picture(`not-the-folder-of-${other}`);
          const latchkey = await person.latchkey();
          const told = await latchkey.evaluate(
            async (it, [mount, folder]) => {
              const { secrets } = await it.session();
              const outcome = promise =>
                promise.then(
                  answer => answer?.outcome ?? 'done',
                  error => error.code
                );
              const at = `${folder}/note`;
              return [
                await outcome(secrets.list(mount, `${folder}/`)),
                await outcome(secrets.read(mount, at)),
                await outcome(secrets.metadata(mount, at)),
                await outcome(secrets.write(mount, at, { text: 'mine' }, 'none')),
                await outcome(secrets.write(mount, `${folder}/new`, { text: 'mine' }, 'create')),
                await outcome(secrets.delete(mount, at, [1])),
                await outcome(secrets.destroy(mount, at, [1])),
                await outcome(secrets.deleteAll(mount, at))
              ];
            },
            [store, `jupyter/users/${other}`]
          );
          const refused = 'vault_permission_denied';
          assert.deepEqual(told, ['denied', 'denied', 'denied', ...Array(5).fill(refused)]);
        },
        { name, role: ['own', { token_policies: ['lab-own'] }] }
      );
      const { data } = await servers.call('GET', `${store}/data/jupyter/users/${other}/note`);
      assert.deepEqual(data.data, { text: `of ${other}` });
    }
  },
  { needs: withoutServers }
);
