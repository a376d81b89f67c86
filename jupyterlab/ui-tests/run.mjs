// node run.mjs [--all] [FILTER …]: the scenarios in one Chromium, against one JupyterLab and the doubles.

import fs from 'node:fs';
import path from 'node:path';

import { run } from './runner.mjs';
import { closeBrowser, endAll, output, pictures } from './world.mjs';
import { closeShared, endKernels, people } from './shared.mjs';
import './signin.mjs';
import './secrets.mjs';
import './permissions.mjs';
import './kernel.mjs';
import './safety.mjs';
import './policies.mjs';
import './wheel.mjs';
import './extensions.mjs';
import { closeHub } from './hub.mjs';
import { leaveServers } from './servers.mjs';

const args = process.argv.slice(2);
const all = args.includes('--all');
const filters = args.filter(arg => !arg.startsWith('--'));

fs.mkdirSync(output, { recursive: true });
fs.rmSync(pictures, { recursive: true, force: true });

/** What everybody saw when a scenario failed. */
async function onFailure(name) {
  for (const [index, person] of [...people].entries()) {
    const file = path.join(pictures, `failed-${name.replace(/[^a-z0-9]+/gi, '-')}-${index}.png`);
    fs.mkdirSync(pictures, { recursive: true });
    await person.page?.screenshot({ path: file }).catch(() => undefined);
    const told = await person.page
      ?.locator('.Toastify__toast')
      .allInnerTexts()
      .catch(() => []);
    console.log(`  told ${person.name}: ${told?.join(' | ')}`);
    const lines = person.console.slice(-12).map(line => line.slice(0, 300));
    console.log(`  console of ${person.name}: ${lines.join('\n    ')}`);
    await person.leave().catch(() => undefined);
  }
  people.clear();
  await endKernels().catch(error => console.log(`  the kernels are as they were: ${error}`));
}

let failed = 1;
try {
  failed = await run({ filters, all, onFailure });
} finally {
  await closeBrowser();
  await closeHub();
  await closeShared();
  await leaveServers();
  await endAll();
}
process.exit(failed === 0 ? 0 : 1);
