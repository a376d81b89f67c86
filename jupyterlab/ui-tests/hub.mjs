// The extension on a server of a JupyterHub, with `jupyterlab/hub/latchkey_hub.py` as it is.

import fs from 'node:fs';
import path from 'node:path';

import { scenario } from './runner.mjs';
import { people } from './shared.mjs';
import { assert, KEY, Person } from './page.mjs';
import { Doubles, end, freePort, output, start, until } from './world.mjs';

const venv = process.env.LATCHKEY_JUPYTERLAB;
const proxy = path.join(
  process.env.LATCHKEY_NODE_PEERS ?? '',
  'node_modules/.bin/configurable-http-proxy'
);

let hub;

function theHub() {
  hub ??= begin();
  return hub;
}

export async function closeHub() {
  const started = await hub?.catch(() => undefined);
  await end(started?.child);
  await end(started?.doubles.child);
}

async function begin() {
  const [port, hubPort, apiPort] = [await freePort(), await freePort(), await freePort()];
  const url = `http://localhost:${port}`;
  const doubles = await Doubles.start({
    name: 'hub-testbed',
    lab: url,
    more: [`${url}/hub/static/latchkey/callback.html`]
  });
  const { provider } = doubles;
  const home = path.join(output, 'hub-home');
  fs.rmSync(home, { recursive: true, force: true });
  const config = path.join(home, 'config/labconfig');
  fs.mkdirSync(config, { recursive: true });
  const settings = doubles.settings({
    jwtRole: '',
    hubIdTokenUrl: '/hub/api/latchkey/id-token',
    redirectUri: '/hub/static/latchkey/callback.html'
  });
  const all = {
    '@jupyterlab/apputils-extension:notification': { fetchNews: 'false' },
    'jupyterlab-latchkey:plugin': settings
  };
  fs.writeFileSync(path.join(config, 'default_setting_overrides.json'), JSON.stringify(all));
  // The page that is the same for everybody, where the hub serves its own.
  const from = path.join(venv, 'share/jupyter/labextensions/jupyterlab-latchkey/static');
  const to = path.join(venv, 'share/jupyterhub/static/latchkey');
  fs.mkdirSync(to, { recursive: true });
  for (const file of ['callback.html', 'callback.js', 'callback.css']) {
    fs.copyFileSync(path.join(from, file), path.join(to, file));
  }
  const at = name => `${provider.issuer}/protocol/openid-connect/${name}`;
  const lines = [
    'import sys',
    `sys.path.insert(0, ${JSON.stringify(process.env.LATCHKEY_HUB)})`,
    `c.JupyterHub.bind_url = '${url}'`,
    `c.JupyterHub.hub_bind_url = 'http://127.0.0.1:${hubPort}'`,
    `c.ConfigurableHTTPProxy.api_url = 'http://127.0.0.1:${apiPort}'`,
    `c.ConfigurableHTTPProxy.command = [${JSON.stringify(proxy)}]`,
    "c.JupyterHub.authenticator_class = 'generic-oauth'",
    `c.GenericOAuthenticator.client_id = '${provider.client_id}'`,
    `c.GenericOAuthenticator.client_secret = '${provider.client_secret}'`,
    `c.GenericOAuthenticator.oauth_callback_url = '${url}/hub/oauth_callback'`,
    `c.GenericOAuthenticator.authorize_url = '${at('auth')}'`,
    `c.GenericOAuthenticator.token_url = '${at('token')}'`,
    `c.GenericOAuthenticator.userdata_url = '${at('userinfo')}'`,
    "c.GenericOAuthenticator.username_claim = 'preferred_username'",
    "c.GenericOAuthenticator.scope = ['openid', 'email', 'profile']",
    'c.GenericOAuthenticator.allow_all = True',
    'c.GenericOAuthenticator.auto_login = True',
    "c.JupyterHub.spawner_class = 'simple'",
    "c.Spawner.default_url = '/lab'",
    "c.Spawner.args = ['--allow-root', '--LabApp.expose_app_in_browser=True']",
    'c.Spawner.start_timeout = 120',
    'c.Spawner.http_timeout = 120',
    `c.Spawner.environment = {'JUPYTER_CONFIG_DIR': ${JSON.stringify(path.join(home, 'config'))}}`,
    'from latchkey_hub import configure',
    'configure(c)',
    ''
  ];
  const file = path.join(home, 'jupyterhub_config.py');
  fs.writeFileSync(file, lines.join('\n'));
  const child = start('hub', path.join(venv, 'bin/jupyterhub'), ['-f', file], {
    cwd: home,
    env: {
      PATH: `${path.join(venv, 'bin')}:${process.env.PATH}`,
      HOME: home,
      LANG: 'C.UTF-8',
      JUPYTERHUB_CRYPT_KEY: 'a'.repeat(64)
    }
  });
  await until(
    'the hub',
    async () => {
      if (child.exitCode !== null) {
        throw new Error(`the hub ended: ${fs.readFileSync(child.log, 'utf8')}`);
      }
      return fetch(`${url}/hub/api/`).then(
        response => response.ok,
        () => false
      );
    },
    90_000
  );
  return { url, child, doubles, home };
}

/** Comes to the hub, signs in there, and waits for the server. */
async function atHub(name, action) {
  const world = await theHub();
  const person = await Person.arrive({ url: world.url }, { name, at: 'hub/login', wait: false });
  people.add(person);
  await person.atProvider(person.page);
  await person.page.waitForURL(url => url.pathname.includes(`/user/${name}/lab`), {
    timeout: 120_000
  });
  await person.page.locator('#jupyterlab-splash').waitFor({ state: 'detached', timeout: 90_000 });
  // Lab puts the layout of the workspace in place, and only then stays as it is.
  await person.page.evaluate(() => window.jupyterapp.restored);
  await person.page
    .locator('li.lm-TabBar-tab[data-id="jupyterlab-latchkey-panel"]')
    .waitFor({ timeout: 90_000 });
  await action(person, world);
  people.delete(person);
  await person.leave();
}

const needs = () => (fs.existsSync(proxy) ? undefined : 'configurable-http-proxy is not installed');

scenario(
  'on a hub nobody clicks anything: the panel is opened, and the secrets are there',
  () =>
    atHub('reader', async (person, { doubles, child }) => {
      const before = person.requests.length;
      await person.showPanel();
      await person.signedIn();
      const calls = person.requests
        .slice(before)
        .filter(({ type }) => type === 'fetch' || type === 'xhr')
        .filter(
          ({ url }) => url.includes('latchkey/id-token') || url.includes(doubles.vault.address)
        )
        .filter(({ url }) => url.includes('id-token') || url.includes('/login'));
      console.log(
        `  ${calls.length} requests: ${calls.map(({ method, url }) => `${method} ${new URL(url).pathname}`)}`
      );
      assert.ok(calls.length <= 4);
      await person.panel.getByText('by the hub').waitFor();
      await person.picture('on-a-hub');
      await person.command('notebook:create-new', { kernelName: 'python3' });
      await person.page.waitForFunction(
        () =>
          window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'
      );
      await person.inject('notebook-secret-kv-v2', 'team', 'openai');
      assert.equal(await person.run("import os; print(os.environ['OPENAI_API_KEY'])"), KEY);

      // The tab's token reads the ID token of its person, and nothing more of what the hub keeps.
      const seen = await person.page.evaluate(async () => {
        const config = JSON.parse(document.getElementById('jupyter-config-data').textContent);
        const ask = async at => {
          const answer = await fetch(at, { headers: { Authorization: `token ${config.token}` } });
          return { status: answer.status, body: await answer.json() };
        };
        return [
          await ask('/hub/api/latchkey/id-token'),
          await ask(`/hub/api/users/${config.hubUser}`)
        ];
      });
      assert.equal(seen[0].status, 200);
      assert.deepEqual(Object.keys(seen[0].body).sort(), ['exp', 'id_token']);
      assert.ok(seen[0].body.exp > Date.now() / 1000);
      assert.equal(seen[1].body.auth_state ?? null, null);
      // A kernel has the server's token, which may not.
      const fromKernel = await person.run(
        'import os, urllib.request\n' +
          "request = urllib.request.Request(os.environ['JUPYTERHUB_API_URL'] + '/latchkey/id-token')\n" +
          "request.add_header('Authorization', 'token ' + os.environ['JUPYTERHUB_API_TOKEN'])\n" +
          'try:\n    print(urllib.request.urlopen(request).status)\n' +
          'except urllib.error.HTTPError as error:\n    print(error.code)'
      );
      assert.equal(fromKernel, '403');
      const log = fs.readFileSync(child.log, 'utf8');
      assert.ok(
        !log.includes(seen[0].body.id_token) && !log.includes(KEY),
        "the hub's log holds a secret"
      );
    }),
  { needs }
);

scenario(
  'on a hub a window comes back by the address that is the same for everybody, and the log has no code',
  () =>
    atHub('management', async (person, { child }) => {
      await person.showPanel();
      await person.signedIn();
      await person.action('sign-out').click();
      await person.panel.locator('.lk-signin').waitFor();
      await person.panel.locator('.lk-ways summary').click();
      // The provider knows the person from the hub: the window comes and goes.
      await person.windowFrom(() => person.panel.locator('[data-way="vault"]').click());
      await person.signedIn();
      await person.panel.getByText('through the Vault').waitFor();
      const codes = person.urls
        .filter(url => url.includes('/hub/static/latchkey/'))
        .map(url => new URL(url).searchParams.get('code'));
      assert.ok(codes.some(code => code));
      const log = fs.readFileSync(child.log, 'utf8');
      for (const code of codes.filter(Boolean)) {
        assert.ok(!log.includes(code), 'a code is in the log');
      }
    }),
  { needs }
);
