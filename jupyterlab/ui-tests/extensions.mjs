// What other extensions keep in the Vault.

import fs from 'node:fs';
import path from 'node:path';

import { scenario } from './runner.mjs';
import { as, people } from './shared.mjs';
import { assert, Person } from './page.mjs';
import { Doubles, end, freePort, Lab, until } from './world.mjs';

const manager = process.env.LATCHKEY_SECRETS_MANAGER;

/** An extension as others write them, with the keys of a person in `jupyter-secrets-manager`. */
const EXTENSION = {
  'package.json': JSON.stringify({
    name: 'keeps-a-key',
    version: '1.0.0',
    jupyterlab: {
      extension: true,
      _build: { load: 'static/remoteEntry.js', extension: './extension' }
    }
  }),
  'static/remoteEntry.js': `
    var _JUPYTERLAB = window._JUPYTERLAB ?? (window._JUPYTERLAB = {});
    let scope;
    _JUPYTERLAB['keeps-a-key'] = {
      init: given => { scope = given; },
      get: async () => {
        // Where each copy comes from that Lab knows of.
        window.managers = () =>
          Object.entries(scope['jupyter-secrets-manager']).map(([version, { from }]) => [version, from]);
        // The newest, as a bundler's code takes it.
        const versions = Object.entries(scope['jupyter-secrets-manager']);
        versions.sort(([one], [other]) => one.localeCompare(other, 'en', { numeric: true }));
        const [, shared] = versions.at(-1);
        const { ISecretsManager, SecretsManager } = (await shared.get())();
        const id = 'keeps-a-key:plugin';
        const plugin = SecretsManager.sign(id, token => ({
          id,
          autoStart: true,
          requires: [ISecretsManager],
          activate: (app, manager) => {
            window.keepsAKey = {
              set: value => manager.set(token, id, 'api/key', { namespace: id, id: 'api/key', value }),
              get: () => manager.get(token, id, 'api/key'),
              list: () => manager.list(token, id),
              remove: () => manager.remove(token, id, 'api/key')
            };
          }
        }));
        return () => ({ __esModule: true, default: plugin });
      }
    };`
};

/** The version of the manager that is installed. */
function installedVersion() {
  const folder = path.join(manager, 'share/jupyter/labextensions/jupyter-secrets-manager');
  return JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8')).version;
}

scenario('without jupyter-secrets-manager Lab starts, and says nothing of it', async () => {
  const told = [];
  const prepare = context =>
    context.on('console', message =>
      told.push({ type: message.type(), text: `${message.text()} ${message.location().url}` })
    );
  await as(
    'reader',
    async person => {
      // The plugin is there all the same, and has nothing to do.
      const plugin = 'jupyterlab-latchkey:secrets-manager';
      await person.page.waitForFunction(id => window.jupyterapp.isPluginActivated(id), plugin);
      await person.signIn();
      const ours = told.filter(({ text }) => /latchkey|secrets-manager|Shared module/i.test(text));
      assert.deepEqual(
        ours.filter(({ type }) => type === 'error' || type === 'warning'),
        []
      );
    },
    { prepare, settings: { secretsManagerPath: 'notebook-secret-kv-v2/keys' } }
  );
});

scenario(
  'a key that another extension keeps by jupyter-secrets-manager is in the Vault, and nowhere in the browser',
  async () => {
    const port = await freePort();
    const doubles = await Doubles.start({ name: 'keys-testbed', lab: `http://localhost:${port}` });
    const lab = await Lab.start({
      name: 'keys-lab',
      port,
      settings: doubles.settings({ secretsManagerPath: 'notebook-secret-kv-v2/keys' }),
      prepare: ({ home, env }) => {
        env.JUPYTER_PATH = path.join(manager, 'share/jupyter');
        for (const [name, text] of Object.entries(EXTENSION)) {
          const file = path.join(home, 'data/labextensions/keeps-a-key', name);
          fs.mkdirSync(path.dirname(file), { recursive: true });
          fs.writeFileSync(file, text);
        }
        // Its own connector keeps them in the memory of the tab: an administrator turns it off.
        fs.writeFileSync(
          path.join(home, 'config/labconfig/page_config.json'),
          JSON.stringify({ disabledExtensions: { 'jupyter-secrets-manager:connector': true } })
        );
      }
    });
    const person = await Person.arrive(lab, { name: 'management' });
    people.add(person);
    await person.page.waitForFunction(() => window.keepsAKey);
    // A copy of ours, of this version or a newer one, would have another token, and this extension would find no manager.
    assert.deepEqual(await person.page.evaluate(() => window.managers()), [
      [installedVersion(), 'jupyter-secrets-manager']
    ]);
    // Nobody is signed in yet: the extension waits, and the person is asked.
    const stored = person.page.evaluate(() => window.keepsAKey.set('sk-of-another-extension'));
    await person.panel.locator('[data-way="vault"]').waitFor();
    await person.signIn();
    await stored;
    const names = (await doubles.call('LIST', 'notebook-secret-kv-v2/metadata/keys')).data.keys;
    assert.equal(names.length, 1);
    assert.match(names[0], /^[A-Za-z0-9_=-]+$/, 'a slash in the id is no folder');
    const kept = () => doubles.call('GET', `notebook-secret-kv-v2/data/keys/${names[0]}`);
    assert.equal((await kept()).data.data.value, 'sk-of-another-extension');
    const inTab = await person.page.evaluate(async () => ({
      one: await window.keepsAKey.get(),
      all: await window.keepsAKey.list(),
      storage: JSON.stringify([{ ...localStorage }, { ...sessionStorage }])
    }));
    assert.equal(inTab.one.value, 'sk-of-another-extension');
    assert.deepEqual(inTab.all.values, [inTab.one]);
    assert.ok(!inTab.storage.includes('sk-of-another'));
    await person.page.evaluate(() => window.keepsAKey.remove());
    // It can be brought back: the version is deleted, not destroyed.
    await until('the removal', async () => (await kept()).data.data === null);
    assert.equal((await kept()).data.metadata.destroyed, false);
    people.delete(person);
    await person.leave();
    await lab.stop();
    await end(doubles.child);
  },
  { needs: () => (manager ? undefined : 'jupyter-secrets-manager is not installed') }
);
