// Runs the cases in Node and in Chromium, and prints what `cargo test` would print.
//
//     LATCHKEY_TESTBED=…/testbed LATCHKEY_PACKAGE=…/latchkey-wasm LATCHKEY_TABS=…/tabs node run.mjs [filter]

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import { bundleCases, withFolder } from './bundles.mjs';
import { cases } from './cases.mjs';
import { eq } from './check.mjs';
import { startGrounds, startSigners, startWorld } from './world.mjs';

const PACKAGE = process.env.LATCHKEY_PACKAGE;
const TABS = process.env.LATCHKEY_TABS;
const filter = process.argv[2] ?? '';
/** Where the bundles are while they are tried. */
let bundles;
const results = { passed: 0, failed: 0, ignored: 0 };

const pages = await servePages();
const world = await startWorld(pages.origin);
const grounds = await startGrounds();
const signers = await startSigners();

const outside = {
  operate: world.operate,
  signIn: world.signIn,
  enterCode: world.enterCode,
  setHub: async state => world.setHub(state),
  hits: async path => grounds.hits(path),
  expect: async (algorithm, nonce) => void signers.expect(algorithm, nonce),
  async unwrap(token) {
    const reply = await fetch(`${world.vault}/v1/sys/wrapping/unwrap`, { method: 'POST', headers: { 'X-Vault-Token': token } });
    if (!reply.ok) throw new Error(`unwrap: ${reply.status}`);
    return reply.json();
  }
};
const addresses = {
  vault: world.vault, issuer: world.issuer, rootToken: world.rootToken, hub: world.hub, grounds: grounds.address,
  signers: signers.address, algorithms: signers.algorithms, origin: pages.origin, hubIdToken: await world.idToken()
};

try {
  await types();
  await inNode();
  await inChromium();
} finally {
  await world.stop();
  grounds.close();
  signers.close();
  pages.close();
}
const verdict = results.failed ? 'FAILED' : 'ok';
console.log(`\ntest result: ${verdict}. ${results.passed} passed; ${results.failed} failed; ${results.ignored} ignored; 0 measured; 0 filtered out\n`);
process.exit(results.failed ? 1 : 0);

/** The types are those of what was built: the compiler takes them, and each name is there at run time. */
async function types() {
  const { default: ts } = await import('typescript');
  const file = join(PACKAGE, 'index.d.ts');
  await report('types::the_compiler_takes_them_and_a_program_that_uses_them', async () => {
    const options = { strict: true, noEmit: true, target: ts.ScriptTarget.ES2018, module: ts.ModuleKind.ESNext,
      moduleResolution: ts.ModuleResolutionKind.Bundler, lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'], types: [], paths: { 'latchkey-wasm': [file] } };
    const program = ts.createProgram([file, new URL('usage.ts', import.meta.url).pathname], options);
    const found = ts.getPreEmitDiagnostics(program);
    if (found.length) throw new Error(ts.formatDiagnostics(found, { getCanonicalFileName: name => name, getCurrentDirectory: () => '', getNewLine: () => '\n' }));
  });
  const latchkey = await import(pathToFileURL(join(PACKAGE, 'node.js')));
  const source = ts.createSourceFile(file, await readFile(file, 'utf8'), ts.ScriptTarget.Latest, true);
  const exported = source.statements.filter(node => node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword));
  const classes = exported.filter(ts.isClassDeclaration);
  await report('types::every_value_that_they_name_is_there_and_no_other', async () => {
    const values = exported.filter(node => ts.isFunctionDeclaration(node) || ts.isClassDeclaration(node)).map(node => node.name.text);
    const constants = exported.filter(ts.isVariableStatement).flatMap(node => node.declarationList.declarations.map(({ name }) => name.text));
    eq(Object.keys(latchkey).sort(), [...values, ...constants].sort());
  });
  await report('types::every_member_of_a_class_is_there_and_no_other', async () => {
    for (const node of classes.filter(({ name }) => name.text !== 'LatchkeyError')) {
      const declared = node.members.filter(member => member.name).map(member => member.name.text);
      const members = Object.getOwnPropertyNames(latchkey[node.name.text].prototype);
      eq(members.filter(name => !['constructor', '__destroy_into_raw'].includes(name)).sort(), [...new Set(declared)].sort(), node.name.text);
    }
  });
}

async function inNode() {
  const latchkey = await import(pathToFileURL(join(PACKAGE, 'node.js')));
  await latchkey.init();
  // The instance that is there already.
  const { memory } = await (await import(pathToFileURL(join(PACKAGE, 'engine.js')))).default();
  const t = { latchkey, place: 'node', ...addresses, ...outside, memory: () => memory.buffer.byteLength };
  for (const [name, run] of chosen()) await report(`node::${name}`, () => run(t));
}

async function inChromium() {
  const profile = await mkdtemp(join(tmpdir(), 'latchkey-wasm-'));
  const flags = '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync';
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.LATCHKEY_CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: flags.split(' ')
  });
  try {
    const page = await context.newPage();
    const said = [];
    page.on('console', message => said.push(message.text()));
    for (const [name, call] of Object.entries(outside)) await page.exposeFunction(`outside_${name}`, call);
    await page.goto(`${pages.origin}/index.html`);
    await page.evaluate(async ([addresses, names]) => {
      const latchkey = await import('/package/index.js');
      await latchkey.init();
      const engine = await import('/package/engine.js');
      const { memory } = await engine.default();
      const outside = Object.fromEntries(names.map(name => [name, (...all) => window[`outside_${name}`](...all)]));
      window.t = { latchkey, place: 'chromium', ...addresses, ...outside, memory: () => memory.buffer.byteLength };
      window.cases = (await import('/cases.mjs')).cases;
    }, [addresses, Object.keys(outside)]);
    for (const [name] of chosen()) {
      await report(`chromium::${name}`, async () => {
        const failure = await page.evaluate(name => window.cases[name](window.t).then(() => null, error => error.stack ?? String(error)), name);
        if (failure) throw new Error(failure);
      });
    }
    await report('chromium::nothing_is_left_in_storage_console_or_address', async () => {
      const left = await page.evaluate(async () => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href,
        await indexedDB.databases(), await caches.keys()]));
      const secrets = [addresses.rootToken + '"', addresses.hubIdToken, 'dGhpcyBpcyBzZWNyZXQgZGF0YQ'];
      for (const secret of secrets) {
        if (left.includes(secret) || said.some(text => text.includes(secret))) throw new Error('a secret was left');
      }
    });
    await report('chromium::a_policy_without_wasm_is_told', async () => {
      const strict = await context.newPage();
      await strict.goto(`${pages.origin}/strict.html`);
      const found = await strict.evaluate(() => import('/package/index.js').then(({ init }) => init()).then(() => 'loaded', error => error.code));
      if (found !== 'engine_blocked') throw new Error(`found ${found}`);
    });
    await report('chromium::a_worker_can_do_it_too', async () => {
      const found = await page.evaluate(([vault, token]) => new Promise(resolve => {
        const worker = new Worker('/worker.mjs', { type: 'module' });
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = error => resolve(error.message);
        worker.postMessage([vault, token]);
      }), [addresses.vault, addresses.rootToken]);
      if (found !== 'token') throw new Error(`found ${found}`);
    });
    await report('chromium::tabs_take_turns', () => tabsTakeTurns(context));
    await installed(context);
  } finally {
    await context.close();
    await rm(profile, { recursive: true, force: true });
  }
}

/** What somebody has who installs the package. */
async function installed(context) {
  const open = async (path, all) => {
    const page = await context.newPage();
    let engines = 0;
    page.on('request', request => (engines += request.url().includes('.wasm') ? 1 : 0));
    await page.goto(`${pages.origin}${path}`);
    await page.waitForFunction(() => window.use);
    const early = engines;
    const used = await page.evaluate(all => window.use(...all), all);
    await page.close();
    return { used, early, late: engines - early };
  };
  // Outside of this package: what they find must be what was installed.
  await withFolder(tmpdir(), async folder => {
    bundles = folder;
    for (const [name, run] of bundleCases({ package: PACKAGE, folder, page: open, ...addresses })) {
      if (name.includes(filter)) await report(name, run);
    }
  });
}

/** What tabs share is read and written by one of them at a time, although each waits in the middle; and a tab that goes
 *  away holds nobody up. */
async function tabsTakeTurns(context) {
  // Not in the browser's storage, which tabs in two processes see at different times.
  let shared = 0;
  await context.exposeFunction('read', () => shared);
  await context.exposeFunction('write', number => { shared = number; });
  const open = async () => {
    const tab = await context.newPage();
    await tab.goto(`${pages.origin}/index.html`);
    await tab.evaluate(async () => {
      window.tabs = await import('/tabs/engine.js');
      await window.tabs.default({ module_or_path: '/tabs/engine_bg.wasm' });
    });
    return tab;
  };
  const [one, other] = [await open(), await open()];
  const count = async times => {
    for (let time = 0; time < times; time++) {
      const turn = await window.tabs.turn('count');
      await window.write(await window.read() + 1);
      turn.free();
    }
  };
  await Promise.all([one.evaluate(count, 50), other.evaluate(count, 50)]);
  eq(shared, 100, 'no turn was lost');

  await one.evaluate(async () => { window.turn = await window.tabs.turn('count'); });
  await other.evaluate(() => { window.waiting = window.tabs.turn('count').then(() => { window.hasTurn = true; }); });
  await other.evaluate(() => new Promise(resolve => setTimeout(resolve, 100)));
  eq(await other.evaluate(() => window.hasTurn), undefined, 'one tab at a time');
  await one.close();
  await other.evaluate(() => window.waiting);
  await other.close();
}

function chosen() {
  return Object.entries(cases).filter(([name]) => name.includes(filter));
}

async function report(name, run) {
  try {
    await run();
    results.passed += 1;
    console.log(`test ${name} ... ok`);
  } catch (error) {
    results.failed += 1;
    console.log(`test ${name} ... FAILED\n${error.stack ?? error}`);
  }
}

async function servePages() {
  const types = { js: 'text/javascript', mjs: 'text/javascript', wasm: 'application/wasm', html: 'text/html' };
  const here = import.meta.dirname ?? new URL('.', import.meta.url).pathname;
  const html = { '/index.html': undefined, '/strict.html': "script-src 'self'" };
  const server = createServer(async (request, reply) => {
    const { pathname } = new URL(request.url, 'http://x');
    const type = { 'content-type': types[pathname.split('.').pop()] ?? 'text/plain' };
    if (pathname in html) {
      const policy = html[pathname] && { 'content-security-policy': html[pathname] };
      return reply.writeHead(200, { ...type, ...policy }).end('<!doctype html><title>page</title>');
    }
    const [, folder, name] = /^\/(package|tabs|bundles)\/(.+)$/.exec(pathname) ?? [];
    const file = name ? join({ package: PACKAGE, tabs: TABS, bundles }[folder], name) : join(here, pathname.slice(1));
    const content = await readFile(file).catch(() => undefined);
    reply.writeHead(content ? 200 : 404, type).end(content);
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${server.address().port}`;
  return { origin, close: () => (server.closeAllConnections(), server.close()) };
}
