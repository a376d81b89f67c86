// Everything that the scenarios need: the doubles, a JupyterLab with the wheel in it, and a Chromium.

import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import fs from 'node:fs';
import path from 'node:path';

import { chromium } from 'playwright-core';

/** Told by `cargo xtask`: where the programs are, and where pictures and logs go. */
const programs = required('LATCHKEY_PROGRAMS');
const venv = required('LATCHKEY_JUPYTERLAB');
export const output = required('LATCHKEY_UI_OUTPUT');
export const pictures = path.join(output, 'screenshots');

function required(name) {
  const value = process.env[name];
  if (!value) {
    throw new Error(
      `${name} is not set: run \`cargo xtask test\`, or see jupyterlab/ui-tests/README.md`
    );
  }
  return value;
}

const children = new Set();

/** Starts a program, which ends with us. Its output goes to a log. */
export function start(name, command, args, options = {}) {
  const log = path.join(output, `${name}.log`);
  fs.mkdirSync(output, { recursive: true });
  const sink = fs.createWriteStream(log, { flags: 'w' });
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  children.add(child);
  child.on('exit', () => children.delete(child));
  child.stdout.on('data', data => sink.write(data));
  child.stderr.on('data', data => sink.write(data));
  return Object.assign(child, { log });
}

/** Ends what was started. */
export async function end(child) {
  if (!child || child.exitCode !== null || child.signalCode !== null) {
    return;
  }
  const gone = new Promise(resolve => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 8000);
  await gone;
  clearTimeout(timer);
}

export async function endAll() {
  await Promise.all([...children].map(end));
}

const FIRST_PORT = 12_000;
const PORTS = 8_000;
let ports = 0;

/**
 * A port that nobody has.
 *
 * It lies below those that a system hands out by itself, so that nobody gets it by chance before the server that is told
 * of it. Another run begins elsewhere.
 */
export async function freePort() {
  for (; ports < PORTS; ports += 1) {
    const port = FIRST_PORT + ((process.pid * 97 + ports) % PORTS);
    if (await isFree(port)) {
      ports += 1;
      return port;
    }
  }
  throw new Error(`this machine has no free port from ${FIRST_PORT} on`);
}

function isFree(port) {
  const server = createServer();
  return new Promise(resolve => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** Waits until a condition gives something. */
export async function until(what, condition, timeout = 60_000) {
  const begun = Date.now();
  for (;;) {
    const value = await condition();
    if (value) {
      return value;
    }
    if (Date.now() - begun > timeout) {
      throw new Error(`timed out waiting for ${what}`);
    }
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}

function firstLine(child, name) {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout.on('data', data => {
      text += data;
      const end = text.indexOf('\n');
      if (end >= 0) {
        resolve(text.slice(0, end));
      }
    });
    child.on('exit', code => reject(new Error(`${name} ended with ${code}: see ${child.log}`)));
  });
}

async function succeed(name, command, args, options) {
  const child = start(name, command, args, options);
  const code = await new Promise(resolve => child.on('exit', resolve));
  if (code !== 0) {
    throw new Error(`${name} ended with ${code}: ${fs.readFileSync(child.log, 'utf8')}`);
  }
}

/** The provider and the Vault. */
export class Doubles {
  static async start({ name = 'testbed', lab, options = [], more = [] }) {
    const child = start(name, path.join(programs, 'testbed'), [
      '--public-client',
      'latchkey-lab',
      '--users',
      'reader:reader:reader',
      '--users',
      'management:management:management,reader',
      ...options
    ]);
    const { provider, vault } = JSON.parse(await firstLine(child, 'the testbed'));
    const doubles = Object.assign(new Doubles(), { child, provider, vault, lab, more });
    await doubles.provision();
    return doubles;
  }

  /** What `provision` makes, and what our scenarios need beside it. */
  async provision() {
    const { provider, vault, lab } = this;
    const env = {
      PATH: process.env.PATH,
      VAULT_ADDR: vault.address,
      VAULT_TOKEN: vault.root_token,
      LATCHKEY_ISSUER: provider.issuer,
      LATCHKEY_CLIENT_ID: provider.client_id,
      LATCHKEY_CLIENT_SECRET: provider.client_secret
    };
    const args = this.redirectUris().flatMap(uri => ['--redirect-uri', uri]);
    await succeed('provision', path.join(programs, 'provision'), args, { env });
    // The role for the public client, whose ID tokens have another audience; groups by the same claim.
    await this.call('POST', 'auth/keycloak-jwt/role/lab', {
      role_type: 'jwt',
      user_claim: 'sub',
      bound_audiences: ['latchkey-lab'],
      token_policies: ['management'],
      claim_mappings: { preferred_username: 'username' },
      token_ttl: 3600
    });
    await this.call('PUT', 'sys/config/cors', {
      allowed_origins: [new URL(lab).origin, vault.address]
    });
    const write = (at, data) => this.call('POST', `notebook-secret-kv-v2/data/${at}`, { data });
    await write('team/openai', { OPENAI_API_KEY: 'sk-canary-2f6d1c7a9b' });
    await write('team/database', { username: 'ada', password: 'pw-canary-77c0ffee', port: 5432 });
    await write('people/reader/note', { text: 'line one\nline two ✓' });
  }

  /** A role with which people sign in through the Vault, otherwise than with the one that `provision` makes. */
  async role(name, more) {
    await this.call('POST', `auth/keycloak-oidc/role/${name}`, {
      role_type: 'oidc',
      user_claim: 'sub',
      allowed_redirect_uris: this.redirectUris(),
      claim_mappings: { preferred_username: 'username' },
      token_policies: ['management'],
      ...more
    });
    return { oidcRole: name };
  }

  /** A role by whose mode OpenBao hears of the sign-in itself: `direct` or `device`. Returns the settings for it. */
  async pollingRole(mode) {
    const redirectUri = `${this.vault.address}/v1/auth/keycloak-oidc/oidc/callback`;
    const more = { callback_mode: mode, poll_interval: 1, allowed_redirect_uris: [redirectUri] };
    return { ...(await this.role(mode, more)), redirectUri };
  }

  /** Where the provider may send people back to. */
  redirectUris() {
    const page = 'extensions/jupyterlab-latchkey/static/callback.html';
    return [`${this.lab}/lab/${page}`, 'urn:ietf:wg:oauth:2.0:oob', ...this.more];
  }

  /** Speaks to the Vault as its root. */
  async call(method, at, body) {
    const response = await fetch(`${this.vault.address}/v1/${at}`, {
      method,
      headers: { 'X-Vault-Token': this.vault.root_token },
      body: body === undefined ? undefined : JSON.stringify(body)
    });
    const text = await response.text();
    if (!response.ok && response.status !== 404) {
      throw new Error(`${method} ${at}: ${response.status} ${text}`);
    }
    return text ? JSON.parse(text) : undefined;
  }

  /** The settings with which a Lab uses them. */
  settings(changes = {}) {
    return {
      vaultUrl: this.vault.address,
      oidcMount: 'keycloak-oidc',
      jwtMount: 'keycloak-jwt',
      jwtRole: 'lab',
      issuer: this.provider.issuer,
      clientId: 'latchkey-lab',
      mounts: ['notebook-secret-kv-v2'],
      ...changes
    };
  }
}

/** As if nobody had set anything. */
const NOTHING = { vaultUrl: '', oidcMount: '', jwtMount: '', issuer: '', clientId: '', mounts: [] };

/** A JupyterLab with a folder of its own. */
export class Lab {
  static async start({
    name = 'lab',
    port,
    settings,
    config = '',
    args = [],
    program = 'jupyter-lab',
    prepare
  }) {
    const home = path.join(output, `${name}-home`);
    fs.rmSync(home, { recursive: true, force: true });
    const folder = at => {
      fs.mkdirSync(path.join(home, at), { recursive: true });
      return path.join(home, at);
    };
    const lab = Object.assign(new Lab(), { home, port, name, program, args });
    lab.url = `http://localhost:${port}`;
    lab.root = folder('work');
    folder('config/labconfig');
    lab.env = {
      PATH: `${path.join(venv, 'bin')}:${process.env.PATH}`,
      HOME: home,
      LANG: 'C.UTF-8',
      JUPYTER_CONFIG_DIR: folder('config'),
      JUPYTER_DATA_DIR: folder('data'),
      JUPYTER_RUNTIME_DIR: folder('runtime'),
      JUPYTERLAB_SETTINGS_DIR: folder('settings'),
      JUPYTERLAB_WORKSPACES_DIR: folder('workspaces'),
      IPYTHONDIR: folder('ipython')
    };
    const spec = path.join(folder('data/kernels/ir'), 'kernel.json');
    const argv = ['R', '--slave', '-e', 'IRkernel::main()', '--args', '{connection_file}'];
    fs.writeFileSync(spec, JSON.stringify({ argv, display_name: 'R', language: 'R' }));
    lab.overrides(settings);
    fs.writeFileSync(
      path.join(home, 'config/jupyter_server_config.py'),
      [
        "c.IdentityProvider.token = 'lab-token'",
        `c.ServerApp.port = ${port}`,
        'c.ServerApp.port_retries = 0',
        'c.ServerApp.open_browser = False',
        'c.ServerApp.allow_root = True',
        `c.ServerApp.root_dir = ${JSON.stringify(lab.root)}`,
        'c.LabApp.expose_app_in_browser = True',
        'c.JupyterNotebookApp.expose_app_in_browser = True',
        config,
        ''
      ].join('\n')
    );
    lab.notebook('demo.ipynb', ["import os\nprint(os.environ.get('OPENAI_API_KEY', 'not there'))"]);
    prepare?.(lab);
    await lab.begin();
    return lab;
  }

  async begin() {
    this.child = start(this.name, path.join(venv, 'bin', this.program), this.args, {
      env: this.env,
      cwd: this.root
    });
    const answers = async () => {
      if (this.child.exitCode !== null) {
        throw new Error(`${this.name} ended: ${fs.readFileSync(this.child.log, 'utf8')}`);
      }
      return fetch(`${this.url}/api`).then(
        response => response.ok,
        () => false
      );
    };
    await until(`${this.name} to answer`, answers, 180_000);
  }

  /** What an administrator sets for everybody. */
  overrides(settings, others = {}) {
    const all = {
      '@jupyterlab/apputils-extension:notification': { fetchNews: 'false', checkForUpdates: false },
      ...others,
      ...(settings ? { 'jupyterlab-latchkey:plugin': settings } : {})
    };
    const file = path.join(this.home, 'config/labconfig/default_setting_overrides.json');
    fs.writeFileSync(file, JSON.stringify(all, null, 2));
  }

  /** Does something while a person has set something else. Defaults of administrators are read once, when Lab starts. */
  async with(settings, action, others = {}) {
    const all = { 'jupyterlab-latchkey/plugin': settings ?? NOTHING, ...others };
    const files = Object.entries(all).map(([name, values]) => {
      const file = path.join(this.home, 'settings', `${name}.jupyterlab-settings`);
      fs.mkdirSync(path.dirname(file), { recursive: true });
      fs.writeFileSync(file, JSON.stringify(values));
      return file;
    });
    try {
      return await action();
    } finally {
      files.forEach(file => fs.rmSync(file, { force: true }));
    }
  }

  notebook(name, cells, kernel = 'python3', language = 'python') {
    const document = {
      cells: cells.map((source, index) => ({
        cell_type: 'code',
        execution_count: null,
        id: `cell-${index}`,
        metadata: {},
        outputs: [],
        source
      })),
      metadata: { kernelspec: { name: kernel, display_name: kernel, language } },
      nbformat: 4,
      nbformat_minor: 5
    };
    fs.writeFileSync(path.join(this.root, name), JSON.stringify(document));
  }

  async stop() {
    await end(this.child);
  }
}

let browser;

/** The Chromium of the system, once; anew where the machine has ended it. */
export async function launch() {
  if (browser?.isConnected()) {
    return browser;
  }
  browser = await chromium.launch({
    executablePath: process.env.LATCHKEY_CHROMIUM || '/usr/bin/chromium',
    // The scenarios that change a page's headers answer in the server's place, and Chromium no longer knows that it is local.
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-features=LocalNetworkAccessChecks']
  });
  return browser;
}

export async function closeBrowser() {
  await browser?.close();
}
