// The package as somebody has it who installs it: packed, installed, and bundled by what people bundle with.

import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { assert, eq } from './check.mjs';

const run = promisify(execFile);

/** What a program does with the package: the same in each bundle, and in Node. */
const USE = `
async function use({ init, Session }, vault, token, source) {
  await init(source);
  const session = new Session({ vault });
  await session.signInWithToken(token);
  const read = await session.secrets.read('notebook-secret-kv-v2', 'test');
  return read.secret.value('data');
}
`;

/** A page that loads the package when it is asked to, and not before. */
const PAGE = `${USE}
window.use = async (...all) => use(await import('latchkey-wasm'), ...all);
`;

/** esbuild leaves \`new URL\` alone: it is given the engine as a file. */
const PAGE_WITH_FILE = `${USE}
import engine from 'latchkey-wasm/engine_bg.wasm';
window.use = async (...all) => use(await import('latchkey-wasm'), ...all, new URL(engine, import.meta.url));
`;

const NODE = `${USE}
const [, , vault, token] = process.argv;
console.log(await use(await import('latchkey-wasm'), vault, token));
`;

const TYPED = `
import { init, Session, type Identity } from 'latchkey-wasm';
export async function who(vault: string, token: string): Promise<Identity> {
  await init();
  return new Session({ vault }).signInWithToken(token);
}
`;

/** Writes a module that begins with \`folder/index.html\`, and says how the page loads it. */
const BUNDLERS = {
  async webpack(app, folder) {
    const { default: webpack } = await import('webpack');
    const compiler = webpack({
      mode: 'production',
      context: app,
      entry: './page.js',
      output: { path: folder, filename: 'main.js' },
      // It would warn of the engine, which is loaded late.
      performance: { hints: false }
    });
    const stats = await promisify(compiler.run.bind(compiler))();
    assert(!stats.hasErrors() && !stats.hasWarnings(), stats.toString('errors-warnings'));
    return 'main.js';
  },

  async vite(app, folder) {
    const { build } = await import('vite');
    const options = { outDir: folder, rollupOptions: { input: join(app, 'page.js'), output: { entryFileNames: 'main.js' } } };
    await build({ root: app, base: './', logLevel: 'error', configFile: false, build: options });
    return 'main.js';
  },

  async esbuild(app, folder) {
    const { build } = await import('esbuild');
    const { warnings } = await build({ absWorkingDir: app, entryPoints: { main: 'page-with-file.js' }, outdir: folder, bundle: true,
      splitting: true, format: 'esm', minify: true, loader: { '.wasm': 'file' }, logLevel: 'silent' });
    eq(warnings, []);
    return 'main.js';
  }
};

/** The names of the cases, for whoever reports them, each with what it does. */
export function bundleCases({ package: source, folder, page, vault, rootToken }) {
  const app = join(folder, 'app');
  let installed;
  /** Packed and installed once, as from a registry. */
  const install = () => (installed ??= packAndInstall(source, folder, app));
  const cases = {
    async 'node::a_program_that_installed_the_package_reads_a_secret'() {
      await install();
      const { stdout } = await run(process.execPath, ['program.mjs', vault, rootToken], { cwd: app });
      eq(stdout.trim(), 'dGhpcyBpcyBzZWNyZXQgZGF0YQ==');
    },

    async 'types::a_program_that_installed_the_package_compiles'() {
      await install();
      const { default: ts } = await import('typescript');
      for (const [module, resolution] of [['ESNext', 'Bundler'], ['Node16', 'Node16']]) {
        const options = { strict: true, noEmit: true, target: ts.ScriptTarget.ES2022, module: ts.ModuleKind[module],
          moduleResolution: ts.ModuleResolutionKind[resolution], types: [] };
        const program = ts.createProgram([join(app, 'program.mts')], options);
        eq(ts.getPreEmitDiagnostics(program).map(({ messageText }) => messageText), [], resolution);
      }
    }
  };
  for (const [name, bundle] of Object.entries(BUNDLERS)) {
    cases[`chromium::a_page_bundled_by_${name}_reads_a_secret_and_loads_the_engine_late`] = async () => {
      await install();
      const to = join(folder, name);
      await mkdir(to, { recursive: true });
      const main = await bundle(app, to);
      await writeFile(join(to, 'index.html'), `<!doctype html><title>${name}</title><script type="module" src="${main}"></script>`);
      const engines = (await readdir(to, { recursive: true })).filter(file => file.endsWith('.wasm'));
      eq(engines.length, 1, 'engines in the bundle');
      const { used, early, late } = await page(`/bundles/${name}/index.html`, [vault, rootToken]);
      eq(used, 'dGhpcyBpcyBzZWNyZXQgZGF0YQ==');
      eq([early, late], [0, 1], 'requests for the engine before and after');
    };
  }
  return Object.entries(cases);
}

async function packAndInstall(source, folder, app) {
  const { stdout } = await run('npm', ['pack', source, '--pack-destination', folder, '--json'], { cwd: folder });
  const [{ filename }] = JSON.parse(stdout);
  await mkdir(app, { recursive: true });
  const files = { 'page.js': PAGE, 'page-with-file.js': PAGE_WITH_FILE, 'program.mjs': NODE, 'program.mts': TYPED,
    'package.json': '{ "private": true, "type": "module" }' };
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(app, name), text)));
  await run('npm', ['install', join(folder, filename), '--offline', '--no-audit', '--no-fund'], { cwd: app });
}

/** A folder that is gone when everything in it was tried. */
export async function withFolder(parent, action) {
  await mkdir(parent, { recursive: true });
  const folder = await mkdtemp(join(parent, 'bundles-'));
  try {
    return await action(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
