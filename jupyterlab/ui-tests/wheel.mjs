// The wheel: installed without Node, and replaced by the next version while people work.

import fs from 'node:fs';
import path from 'node:path';
import { execFileSync } from 'node:child_process';

import { scenario } from './runner.mjs';
import { as, people, shared } from './shared.mjs';
import { assert, KEY, Person } from './page.mjs';
import { output } from './world.mjs';

const { LATCHKEY_EXTENSION, LATCHKEY_JUPYTERLAB, LATCHKEY_WHEEL } = process.env;
const STORE = 'notebook-secret-kv-v2';
const bin = path.join(LATCHKEY_JUPYTERLAB ?? '', 'bin');

/** Runs a program of the environment, which finds nothing but that environment's. */
function run(env, program, ...args) {
  const stdio = ['ignore', 'pipe', 'pipe'];
  return execFileSync(path.join(bin, program), args, { env, encoding: 'utf8', stdio });
}

function install(env, wheel) {
  run(env, 'pip', 'install', '--no-deps', '--force-reinstall', '--no-input', wheel);
  const list = execFileSync('/bin/sh', ['-c', `"${bin}/jupyter" labextension list 2>&1`], {
    env,
    encoding: 'utf8'
  });
  const { version, state } =
    /jupyterlab-latchkey v(?<version>\S+).*?(?<state>enabled.*)/.exec(list)?.groups ?? {};
  assert.match(state ?? '', /OK/, list);
  return version;
}

const needsWheel = { needs: () => (LATCHKEY_WHEEL ? undefined : 'LATCHKEY_WHEEL is not set') };

scenario(
  'the wheel is installed without Node, and Lab finds it in order',
  async () => {
    const { lab } = await shared();
    const env = { ...lab.env, PATH: bin };
    assert.throws(
      () => execFileSync('node', ['--version'], { env }),
      'there is a node on this PATH'
    );
    install(env, LATCHKEY_WHEEL);
    // Lab runs all the while: a page that is loaded now has the new one.
    await as('reader', person => person.signIn());
  },
  needsWheel
);

/** Builds the next version from the same sources, but for the number and an engine with a section more. */
function buildNext(version) {
  const folder = path.join(output, 'next');
  fs.rmSync(folder, { recursive: true, force: true });
  const left = ['node_modules', 'ui-tests', 'docs', 'labextension', 'tests'];
  fs.cpSync(LATCHKEY_EXTENSION, folder, {
    recursive: true,
    filter: from => from === LATCHKEY_EXTENSION || !left.includes(path.basename(from))
  });
  fs.symlinkSync(path.join(LATCHKEY_EXTENSION, 'node_modules'), path.join(folder, 'node_modules'));
  for (const [file, before, after] of [
    ['package.json', /"version": "[^"]+"/, `"version": "${version}"`],
    ['lib/version.js', /VERSION = '[^']+'/, `VERSION = '${version}'`]
  ]) {
    const text = fs.readFileSync(path.join(folder, file), 'utf8');
    assert.match(text, before);
    fs.writeFileSync(path.join(folder, file), text.replace(before, after));
  }
  // A section that nobody reads: id 0, its length, and a name.
  const name = Buffer.from('next');
  const section = Buffer.concat([Buffer.from([0, name.length + 1, name.length]), name]);
  fs.appendFileSync(path.join(folder, 'engine/engine_bg.wasm'), section);
  const options = {
    cwd: folder,
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
    stdio: ['ignore', 'pipe', 'pipe']
  };
  execFileSync(path.join(bin, 'jupyter-builder'), ['build', '.'], options);
  execFileSync(
    path.join(bin, 'python'),
    ['-m', 'build', '--wheel', '--no-isolation', '--outdir', 'dist', '.'],
    options
  );
  const [wheel] = fs.readdirSync(path.join(folder, 'dist')).filter(file => file.endsWith('.whl'));
  const built = path.join(folder, 'jupyterlab_latchkey/labextension/static');
  return { wheel: path.join(folder, 'dist', wheel), files: fs.readdirSync(built) };
}

scenario(
  'the wheel is replaced by the next version while people work, and no page mixes the two',
  async () => {
    const { lab } = await shared();
    const next = buildNext('0.2.0');
    const isEngine = file => file.endsWith('.wasm');
    /** What a page has loaded of ours, by the names of the files. */
    const loaded = person =>
      person.requests
        .filter(({ url }) => url.includes('/jupyterlab-latchkey/static/'))
        .map(({ url }) => path.basename(new URL(url).pathname));
    await as('reader', async busy => {
      await busy.signIn();
      const idle = await Person.arrive(lab, { name: 'reader' });
      people.add(idle);
      assert.ok(!loaded(idle).some(isEngine), 'it has no engine yet');
      const before = install(lab.env, LATCHKEY_WHEEL);
      try {
        assert.equal(install(lab.env, next.wheel), '0.2.0');
        // Whoever works goes on as if nothing had happened, a new sign-in included.
        await busy.inject(STORE, 'team', 'openai');
        assert.equal(await busy.run("import os; print(os.environ['OPENAI_API_KEY'])"), KEY);
        await busy.forget();
        await busy.action('sign-out').click();
        await busy.panel.locator('.lk-signin').waitFor();
        await busy.windowFrom(() => busy.panel.locator('[data-way="vault"]').click());
        await busy.signedIn();

        // Whoever had not begun hears that the page is of yesterday, and gets no engine of today.
        await idle.showPanel();
        await idle.panel.locator('[data-way="vault"]').click();
        await idle.panel.locator('.lk-problem', { hasText: 'Load the page again' }).waitFor();
        await idle.panel.locator('.lk-problem', { hasText: 'was updated' }).waitFor();
        await idle.picture('outdated');
        assert.ok(!loaded(idle).some(file => isEngine(file) && next.files.includes(file)));

        // And is on the new version as soon as that is done.
        idle.requests.length = 0;
        await idle.open();
        await idle.signIn();
        const files = loaded(idle);
        assert.ok(files.some(isEngine), 'it has the engine');
        assert.deepEqual(
          files.filter(file => !next.files.includes(file)),
          []
        );
        void idle.command('jupyterlab-latchkey:check-setup');
        await idle.dialog().getByText('jupyterlab-latchkey 0.2.0').waitFor();
      } finally {
        assert.equal(install(lab.env, LATCHKEY_WHEEL), before);
      }
      people.delete(idle);
      await idle.leave();
    });
  },
  {
    all: true,
    needs: () =>
      needsWheel.needs() ?? (LATCHKEY_EXTENSION ? undefined : 'LATCHKEY_EXTENSION is not set')
  }
);
