// The extension on a server of a JupyterHub, with `jupyterlab/hub/latchkey_hub.py` as it is.

import fs from 'node:fs';
import path from 'node:path';

import { assertNowhere, ear, everything, placesOf } from './canary.mjs';
import { scenario } from './runner.mjs';
import { theServers, withoutServers } from './servers.mjs';
import { people } from './shared.mjs';
import { assert, KEY, Person } from './page.mjs';
import { Doubles, end, freePort, output, start, until } from './world.mjs';

const proxy = path.join(
  process.env.LATCHKEY_NODE_PEERS ?? '',
  'node_modules/.bin/configurable-http-proxy'
);

/** Where people of a hub sign in, and where their secrets are. */
const PLACES = {
  '': { venv: process.env.LATCHKEY_JUPYTERLAB, hasServers: false },
  ', with Keycloak and OpenBao': { venv: process.env.LATCHKEY_JUPYTERLAB, hasServers: true },
  ' of version 5, with Keycloak and OpenBao': {
    venv: process.env.LATCHKEY_JUPYTERHUB_5,
    hasServers: true,
    all: true
  }
};

/** Without our handler a tab reads the whole of `auth_state`. */
const WITHOUT_HANDLER = ' without a handler';

const hubs = new Map();

function theHub(place) {
  if (!hubs.has(place)) {
    const { venv, hasServers } = PLACES[place] ?? PLACES[''];
    const hasHandler = place !== WITHOUT_HANDLER;
    hubs.set(place, begin(`hub-${hubs.size + 1}`, { venv, hasServers, hasHandler }));
  }
  return hubs.get(place);
}

export async function closeHub() {
  for (const each of hubs.values()) {
    const hub = await each.catch(() => undefined);
    await end(hub?.child);
    await end(hub?.backend.child);
  }
}

/** The page that is the same for everybody, where the hub serves its own. */
function offerCallbackPage(venv) {
  const from = path.join(venv, 'share/jupyter/labextensions/jupyterlab-latchkey/static');
  const to = path.join(venv, 'share/jupyterhub/static/latchkey');
  fs.mkdirSync(to, { recursive: true });
  for (const file of ['callback.html', 'callback.js', 'callback.css']) {
    fs.copyFileSync(path.join(from, file), path.join(to, file));
  }
}

async function theBackend(name, url, hasServers) {
  const fixed = `${url}/hub/static/latchkey/callback.html`;
  // Without that page the way leads through the hub, for everybody by the same address as well.
  const passing = `${url}/hub/user-redirect/lab/extensions/jupyterlab-latchkey/static/callback.html`;
  if (!hasServers) {
    return Doubles.start({ name: `${name}-testbed`, lab: url, more: [fixed, passing] });
  }
  const servers = await theServers();
  await servers.welcome(url, [fixed, passing]);
  return servers;
}

async function begin(name, { venv, hasServers, hasHandler }) {
  const [port, hubPort, apiPort] = [await freePort(), await freePort(), await freePort()];
  const url = `http://localhost:${port}`;
  const backend = await theBackend(name, url, hasServers);
  const { provider } = backend;
  const home = path.join(output, `${name}-home`);
  fs.rmSync(home, { recursive: true, force: true });
  const config = path.join(home, 'config/labconfig');
  fs.mkdirSync(config, { recursive: true });
  const settings = backend.settings({
    jwtRole: '',
    hubIdTokenUrl: hasHandler ? '/hub/api/latchkey/id-token' : '',
    redirectUri: '/hub/static/latchkey/callback.html'
  });
  const all = {
    '@jupyterlab/apputils-extension:notification': { fetchNews: 'false' },
    'jupyterlab-latchkey:plugin': settings
  };
  fs.writeFileSync(path.join(config, 'default_setting_overrides.json'), JSON.stringify(all));
  offerCallbackPage(venv);
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
    'c.JupyterHub.allow_named_servers = True',
    `c.SimpleLocalProcessSpawner.home_dir_template = ${JSON.stringify(path.join(home, 'people'))} + '/{username}'`,
    "c.Spawner.default_url = '/lab'",
    "c.Spawner.args = ['--allow-root', '--LabApp.expose_app_in_browser=True']",
    'c.Spawner.start_timeout = 120',
    'c.Spawner.http_timeout = 120',
    `c.Spawner.environment = {'JUPYTER_CONFIG_DIR': ${JSON.stringify(path.join(home, 'config'))}}`,
    'from latchkey_hub import configure',
    hasHandler ? 'configure(c)' : 'configure(c, handler=False)',
    ''
  ];
  const file = path.join(home, 'jupyterhub_config.py');
  fs.writeFileSync(file, lines.join('\n'));
  const child = start(name, path.join(venv, 'bin/jupyterhub'), ['-f', file], {
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
  return { url, child, backend, home };
}

/** Comes to the hub, signs in there, and waits for the server. */
async function atHub(place, name, action) {
  const hub = await theHub(place);
  const { tokens, prepare } = ear();
  const person = await Person.arrive(
    { url: hub.url },
    { name, at: 'hub/login', wait: false, store: hub.backend.store, prepare }
  );
  people.add(person);
  await person.atProvider(person.page);
  await person.page.waitForURL(url => url.pathname.includes(`/user/${name}/lab`), {
    timeout: 120_000
  });
  await inLab(person);
  await action(person, hub, tokens);
  people.delete(person);
  await person.leave();
}

async function inLab(person) {
  await person.page.locator('#jupyterlab-splash').waitFor({ state: 'detached', timeout: 90_000 });
  // Lab puts the layout of the workspace in place, and only then stays as it is.
  await person.page.waitForFunction(() => window.jupyterapp?.restored, undefined, {
    timeout: 90_000
  });
  await person.page.evaluate(() => window.jupyterapp.restored.then(() => undefined));
  await person.page
    .locator('li.lm-TabBar-tab[data-id="jupyterlab-latchkey-panel"]')
    .waitFor({ timeout: 90_000 });
}

/** Opens the panel, and names the requests that the sign-in took. */
async function signInByHub(person) {
  const before = person.requests.length;
  await person.showPanel();
  await person.signedIn();
  return person.requests
    .slice(before)
    .filter(({ type }) => type === 'fetch' || type === 'xhr')
    .filter(({ url }) => url.includes('id-token') || url.includes('/login'))
    .map(({ method, url }) => `${method} ${new URL(url).pathname}`);
}

/** How many requests a sign-in by the hub's token takes. */
export async function hubLoginRequests() {
  let count = 0;
  await atHub('', 'reader', async person => {
    count = (await signInByHub(person)).length;
  });
  return count;
}

/** What the hub and the servers of its people have written: they share one log. */
function logOf({ child }) {
  const log = fs.readFileSync(child.log, 'latin1');
  assert.match(log, /ServerApp\]/, 'the log of the servers is not among it');
  assert.match(log, /JupyterHub/, 'the log of the hub is not among it');
  return log;
}

/** The codes with which the provider sent people back to us, by the address that held them. */
function codesAt(person, part) {
  const found = person.urls.filter(url => url.includes(part)).map(url => new URL(url));
  return found.map(url => url.searchParams.get('code')).filter(Boolean);
}

for (const [place, { venv, hasServers, all }] of Object.entries(PLACES)) {
  const needs = () => {
    if (!fs.existsSync(proxy)) {
      return 'configurable-http-proxy is not installed';
    }
    return venv ? hasServers && withoutServers() : 'this hub is not installed';
  };
  const store = hasServers ? 'lab-kv' : 'notebook-secret-kv-v2';

  scenario(
    `on a hub nobody clicks anything: the panel is opened, and the secrets are there${place}`,
    () =>
      atHub(place, 'reader', async (person, hub, tokens) => {
        const { home } = hub;
        const calls = await signInByHub(person);
        console.log(`  ${calls.length} requests: ${calls}`);
        assert.ok(calls.length > 0 && calls.length <= 4);
        await person.panel.getByText('by the hub').waitFor();
        await person.picture(`on-a-hub${slug(place)}`);
        await person.command('notebook:create-new', { kernelName: 'python3' });
        await person.kernelAnswers();
        await person.inject(store, 'team', 'openai');
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
        // The command would ask for a better name first.
        await person.page.evaluate(() =>
          window.jupyterapp.shell.currentWidget.context.save().then(() => undefined)
        );
        tokens.add(seen[0].body.id_token);
        assert.ok(tokens.size > 1, 'the test saw no token to look for');
        assertNowhere([KEY, ...tokens], {
          'the logs of the hub and of the servers': logOf(hub),
          'the files of the hub and of its people': everything(home),
          ...(await placesOf(person))
        });
      }),
    { needs, all }
  );

  scenario(
    `on a hub a window comes back by the address that is the same for everybody, and the log has no code${place}`,
    () =>
      atHub(place, 'management', async (person, hub) => {
        await person.showPanel();
        await person.signedIn();
        await person.action('sign-out').click();
        await person.panel.locator('.lk-signin').waitFor();
        await person.panel.locator('.lk-ways summary').click();
        // The provider knows the person from the hub: the window comes and goes.
        await person.windowFrom(() => person.panel.locator('[data-way="vault"]').click());
        await person.signedIn();
        await person.panel.getByText('through the Vault').waitFor();
        const codes = codesAt(person, '/hub/static/latchkey/');
        assert.ok(codes.length > 0, 'the test saw no code to look for');
        assertNowhere(codes, { 'the logs of the hub and of the servers': logOf(hub) });
      }),
    { needs, all }
  );

  scenario(
    `on a hub a person pastes the address that the provider shows${place}`,
    () =>
      atHub(place, 'management', async (person, hub) => {
        await person.showPanel();
        await person.signedIn();
        await person.action('sign-out').click();
        await person.panel.locator('.lk-ways summary').click();
        await person.panel.locator('[data-way="paste"]').click();
        const tab = await person.windowFrom(() => person.panel.locator('.lk-provider').click());
        await tab.locator('#code').waitFor({ state: 'attached' });
        await person.picture(`provider-shows-the-code${slug(place)}`, tab);
        const shown = tab.url();
        const code = new URL(shown).searchParams.get('code') ?? '';
        assert.ok(code.length > 12, 'the test saw no code to look for');
        await person.panel.locator('[data-lk="paste"]').fill(shown);
        await person.panel.locator('[data-lk="paste"]').press('Enter');
        await person.signedIn();
        await person.panel.getByText('through the Vault').waitFor();
        assertNowhere([code], { 'the logs of the hub and of the servers': logOf(hub) });
      }),
    // By the doubles people paste in a Lab of their own; here it is the real provider's page that counts.
    { needs, all: all || !hasServers }
  );
}

const needsProxy = {
  needs: () => (fs.existsSync(proxy) ? undefined : 'configurable-http-proxy is not installed')
};

scenario(
  'on a hub without our handler the ID token is read from auth_state, by the tab and not by the kernel',
  () =>
    atHub(WITHOUT_HANDLER, 'reader', async (person, hub, tokens) => {
      const before = person.requests.length;
      await person.showPanel();
      await person.signedIn();
      await person.panel.getByText('by the hub').waitFor();
      const asked = person.requests.slice(before).map(({ url }) => new URL(url).pathname);
      assert.ok(asked.includes('/hub/api/users/reader'), asked.join('\n'));
      await person.command('notebook:create-new', { kernelName: 'python3' });
      await person.kernelAnswers();
      const fromKernel = await person.run(
        'import os, json, urllib.request\n' +
          "request = urllib.request.Request(os.environ['JUPYTERHUB_API_URL'] + '/users/reader')\n" +
          "request.add_header('Authorization', 'token ' + os.environ['JUPYTERHUB_API_TOKEN'])\n" +
          "print(json.load(urllib.request.urlopen(request)).get('auth_state'))"
      );
      assert.equal(fromKernel, 'None');
      assertNowhere([...tokens], {
        'the logs of the hub and of the servers': logOf(hub),
        'the files of the hub and of its people': everything(hub.home),
        ...(await placesOf(person))
      });
    }),
  { ...needsProxy, all: true }
);

scenario(
  'on a named server people sign in by the hub and in a window, by the same address as anywhere',
  () =>
    atHub('', 'management', async person => {
      await person.page.goto(`${person.lab.url}/hub/spawn/management/second`);
      await person.page.waitForURL(url => url.pathname.includes('/user/management/second/lab'), {
        timeout: 120_000
      });
      await inLab(person);
      await person.showPanel();
      await person.signedIn();
      await person.panel.getByText('by the hub').waitFor();
      await person.action('sign-out').click();
      await person.showWays();
      await person.windowFrom(() => person.panel.locator('[data-way="vault"]').click());
      await person.signedIn();
      await person.panel.getByText('through the Vault').waitFor();
      assert.ok(codesAt(person, '/hub/static/latchkey/').length > 0);
      const config = () =>
        JSON.parse(document.getElementById('jupyter-config-data').textContent).hubServerName;
      assert.equal(await person.page.evaluate(config), 'second');
    }),
  { ...needsProxy, all: true }
);

scenario(
  'a code that went through the hub is of no use to whoever reads it in the log',
  () =>
    atHub('', 'management', async (person, hub) => {
      const { vault } = hub.backend;
      // Without a page in /hub/static, the address that is the same for everybody leads through the hub.
      const set = settings =>
        person.page.evaluate(
          text =>
            window.jupyterapp.serviceManager.settings.save('jupyterlab-latchkey:plugin', text),
          JSON.stringify(settings)
        );
      await set({ redirectUri: '' });
      await person.page.reload();
      await inLab(person);
      await person.showPanel();
      await person.signedIn();
      await person.action('sign-out').click();
      await person.panel.locator('.lk-ways summary').click();
      // The page at the end never hears of it: the code is not spent.
      await person.context.route('**/static/callback.js', route => route.abort());
      const popup = await person.windowFrom(() =>
        person.panel.locator('[data-way="vault"]').click()
      );
      await popup.waitForURL(url => url.pathname.endsWith('/callback.html'));
      const { searchParams: answer } = new URL(popup.url());
      // A hub that hid codes would have nothing to show here.
      await until('the code in the log', () => logOf(hub).includes(answer.get('code')));
      const redeem = nonce =>
        fetch(
          `${vault.address}/v1/auth/keycloak-oidc/oidc/callback?` +
            new URLSearchParams({ code: answer.get('code'), state: answer.get('state'), ...nonce })
        );
      for (const nonce of [{}, { client_nonce: 'a'.repeat(43) }]) {
        const refused = await redeem(nonce);
        assert.equal(refused.status, 400);
        assert.equal((await refused.json()).auth ?? null, null);
      }
      await set({});
    }),
  needsProxy
);

function slug(place) {
  return place.toLowerCase().replace(/[^a-z0-9]+/g, '-');
}
