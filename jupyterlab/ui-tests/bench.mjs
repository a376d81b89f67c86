// node bench.mjs: what `cargo xtask bench --jupyterlab` tells. Goals are those of the project; nothing fails by them.

import fs from 'node:fs';

import { hubLoginRequests, closeHub } from './hub.mjs';
import { median, memoryOfRenewals, scrollThrough, tenThousand, timesToUse } from './measures.mjs';
import { as, closeShared, shared } from './shared.mjs';
import { closeBrowser, endAll, output } from './world.mjs';

fs.mkdirSync(output, { recursive: true });
const lines = [];

function tell(what, value, unit, goal, holds) {
  lines.push({ what, value, unit, goal, holds });
  const verdict = holds ? 'holds' : 'MISSED';
  console.log(
    `${what.padEnd(52)} ${String(value).padStart(8)} ${unit.padEnd(9)} ${goal}: ${verdict}`
  );
}

try {
  await as('reader', async person => {
    const engine = () => person.requests.filter(({ url }) => url.includes('.wasm'));
    await person.page.waitForTimeout(2000);
    const early = engine().length;
    tell('requests for the engine before the first use', early, '', '0', early === 0);
    const times = await timesToUse(person, 20);
    const middle = Math.round(median(times));
    tell('panel usable after the first click, median of 20', middle, 'ms', '< 150', middle < 150);
    const worst = Math.round(Math.max(...times));
    tell('  the slowest of them', worst, 'ms', '< 400', worst < 400);
  });

  const { doubles, lab } = await shared();
  const settings = await tenThousand(doubles);
  await as(
    'management',
    async person => {
      await person.signIn();
      const frames = await scrollThrough(person);
      const [middle, idle] = [frames.median, frames.idle].map(time => Math.round(time * 10) / 10);
      tell('10 000 secrets: a frame while scrolling, median', middle, 'ms', '< 34', middle < 34);
      tell('  a frame when nothing moves', idle, 'ms', '< 34', idle < 34);
      tell('  frames of 120 that took over 34 ms', frames.late, '', '<= 6', frames.late <= 6);
      tell('  rows that are drawn', frames.rows, '', '< 80', frames.rows < 80);
    },
    { settings }
  );

  const made = await doubles.call('POST', 'auth/token/create', {
    policies: ['reader'],
    period: '1h'
  });
  const { before, after } = await memoryOfRenewals(lab, made.auth.client_token, 1000);
  const heap = Math.round((after.heap - before.heap) / 1024);
  tell('heap after 1 000 renewals', heap, 'KB more', '< 128', heap < 128);
  const engine = (after.engine - before.engine) / 1024;
  const isFlat = engine === 0 && after.engine > 0;
  tell("engine's memory after 1 000 renewals", engine, 'KB more', '0', isFlat);

  const requests = await hubLoginRequests();
  tell('requests for a sign-in by hub token', requests, '', '<= 4', requests > 0 && requests <= 4);
  fs.writeFileSync(`${output}/bench.json`, JSON.stringify(lines, null, 2));
} finally {
  await closeBrowser();
  await closeHub();
  await closeShared();
  await endAll();
}
process.exit(0);
