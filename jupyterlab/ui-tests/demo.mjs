// node demo.mjs [--headless]: the doubles and a JupyterLab for a person to try, or for a script that tries it.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { closeBrowser, Doubles, endAll, freePort, Lab, until } from './world.mjs';
import { Person, place } from './page.mjs';

const isHeadless = process.argv.includes('--headless');
const here = path.dirname(new URL(import.meta.url).pathname);

const stop = async code => {
  await closeBrowser();
  await endAll();
  process.exit(code);
};
process.on('SIGINT', () => void stop(0));
process.on('SIGTERM', () => void stop(0));

try {
  const port = await freePort();
  console.log('starting the doubles and JupyterLab');
  const doubles = await Doubles.start({ lab: `http://localhost:${port}` });
  const lab = await Lab.start({ name: 'demo-lab', port, settings: doubles.settings() });
  fs.copyFileSync(path.join(here, 'welcome.ipynb'), path.join(lab.root, 'welcome.ipynb'));
  await (isHeadless ? tryIt(lab, doubles) : invite(lab, doubles));
} catch (error) {
  console.error(error);
  await stop(1);
}

/** What a person would do, to the end; by each of the two. */
async function tryIt(lab, doubles) {
  for (const { name } of doubles.provider.users) {
    const person = await Person.arrive(lab, { name, at: place('welcome.ipynb') });
    console.log(`signing in as ${name}, in a window of the provider`);
    await person.signIn();
    console.log('putting notebook-secret-kv-v2/team/openai into the kernel');
    await person.inject('notebook-secret-kv-v2', 'team', 'openai');
    const shown = await person.run("import os; print(len(os.environ['OPENAI_API_KEY']))");
    if (!(Number(shown) > 0)) {
      throw new Error(`the kernel has no key: ${shown}`);
    }
    console.log(`the kernel has OPENAI_API_KEY, ${shown} characters long`);
    await person.leave();
  }
  await stop(0);
}

async function invite(lab, doubles) {
  const url = `${lab.url}/lab/tree/welcome.ipynb?token=lab-token`;
  console.log(`\n  ${url}\n`);
  for (const { name, password } of doubles.provider.users) {
    console.log(`  sign in as \`${name}\` with the password \`${password}\``);
  }
  console.log('\nCtrl-C ends it all; nothing is kept.');
  const opener = process.env.BROWSER ?? (process.platform === 'darwin' ? 'open' : 'xdg-open');
  spawn(opener, [url], { stdio: 'ignore', detached: true }).on('error', () => undefined);
  await until('the end of JupyterLab', () => lab.child.exitCode !== null, 2 ** 31 - 1);
  await stop(1);
}
