// What no linter knows: the version is one, every sentence is translated, and the lock file names no host.

import fs from 'node:fs';
import path from 'node:path';

const root = path.dirname(path.dirname(new URL(import.meta.url).pathname));
const read = name => fs.readFileSync(path.join(root, name), 'utf8');
const problems = [];

const { version } = JSON.parse(read('package.json'));
if (!read('src/version.ts').includes(`'${version}'`)) {
  problems.push('src/version.ts has another version than package.json');
}

if (/https?:\/\//.test(read('yarn.lock'))) {
  problems.push('yarn.lock names a host');
}

const sources = fs
  .readdirSync(path.join(root, 'src'), { recursive: true })
  .filter(name => /\.tsx?$/.test(name))
  .map(name => read(path.join('src', name)))
  .join('\n');
const TEXT = String.raw`('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")`;
const unquote = text => text.slice(1, -1).replace(/\\(.)/g, '$1');
const used = new Set();
const counted = new Set();
const call = new RegExp(String.raw`trans\s*\.(__|_n)\(\s*${TEXT}`, 'g');
for (const [, kind, text] of sources.matchAll(call)) {
  used.add(unquote(text));
  if (kind === '_n') {
    counted.add(unquote(text));
  }
}
for (const locale of fs.readdirSync(path.join(root, 'jupyterlab_latchkey/locale'))) {
  const file = `jupyterlab_latchkey/locale/${locale}/LC_MESSAGES/jupyterlab_latchkey.json`;
  const words = JSON.parse(read(file));
  const places = text => (text.match(/%\d/g) ?? []).sort().join();
  for (const text of used) {
    if (!words[text]?.every(each => each !== '')) {
      problems.push(`${locale} lacks: ${text}`);
    } else if (counted.has(text) && words[text].length < 2) {
      // Lab leaves a counted sentence with one form alone, even where a language has but one.
      problems.push(`${locale} counts in one form: ${text}`);
    } else if (!counted.has(text) && places(words[text][0]) !== places(text)) {
      problems.push(`${locale} has other places for values in: ${text}`);
    }
  }
  for (const text of Object.keys(words)) {
    if (text !== '' && !used.has(text)) {
      problems.push(`${locale} has what nobody says: ${text}`);
    }
  }
}

for (const problem of problems) {
  console.error(problem);
}
process.exit(problems.length === 0 ? 0 : 1);
