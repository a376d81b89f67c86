// The unit tests: bundled as the extension is, for Node, and run by Node's own runner.

import fs from 'node:fs';
import path from 'node:path';
import { run } from 'node:test';

import { rspack } from '@rspack/core';

const root = path.dirname(path.dirname(new URL(import.meta.url).pathname));
const out = path.join(root, 'lib/tests');
const names = fs
  .readdirSync(path.join(root, 'tests'))
  .filter(name => name.endsWith('.test.ts'))
  .map(name => name.slice(0, -'.ts'.length));

const compiler = rspack({
  mode: 'development',
  devtool: 'inline-source-map',
  context: root,
  target: 'node20',
  entry: Object.fromEntries(names.map(name => [name, `./tests/${name}.ts`])),
  externals: [/^node:/, { '../engine/index': `import ${path.join(root, 'tests/engine.mjs')}` }],
  externalsType: 'module',
  experiments: { outputModule: true },
  output: { path: out, clean: true, filename: '[name].mjs', library: { type: 'module' } },
  resolve: { extensions: ['.ts', '.tsx', '.js'] },
  module: {
    rules: [
      {
        test: /\.tsx?$/,
        type: 'javascript/auto',
        loader: 'builtin:swc-loader',
        options: { jsc: { parser: { syntax: 'typescript', tsx: true }, target: 'es2022' } }
      },
      { test: /\.(svg|css)$/, type: 'asset/source' }
    ]
  }
});

const stats = await new Promise((resolve, reject) =>
  compiler.run((error, result) => (error ? reject(error) : resolve(result)))
);
if (stats.hasErrors()) {
  console.error(stats.toString('errors-only'));
  process.exit(1);
}

let passed = 0;
let failed = 0;
const files = names.map(name => path.join(out, `${name}.mjs`));
const events = run({ files, concurrency: false });
events.on('test:pass', ({ name, details, nesting }) => {
  if (nesting === 0 && details.type !== 'suite') {
    passed += 1;
    console.log(`test ${name} ... ok`);
  }
});
events.on('test:fail', ({ name, details }) => {
  failed += 1;
  console.log(`test ${name} ... FAILED\n${details.error?.cause?.stack ?? details.error}`);
});
events.on('test:stderr', ({ message }) => process.stderr.write(message));
for await (const _ of events) {
  // The listeners above tell all.
}
const verdict = failed === 0 && passed > 0 ? 'ok' : 'FAILED';
console.log(`\ntest result: ${verdict}. ${passed} passed; ${failed} failed; 0 ignored`);
process.exitCode = verdict === 'ok' ? 0 : 1;
