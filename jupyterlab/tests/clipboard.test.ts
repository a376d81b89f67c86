import assert from 'node:assert/strict';
import { beforeEach, mock, test } from 'node:test';

import { copySecret } from '../src/clipboard';
import { page } from './page';

/** A clipboard that says whether it may be read, and whether it may be written at the moment. */
const clipboard = { text: '', mayRead: true, mayWrite: true };
let window: EventTarget;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout'] });
  Object.assign(clipboard, { text: '', mayRead: true, mayWrite: true });
  window = page('http://localhost:8888/lab');
  const navigator = {
    clipboard: {
      writeText: async (text: string) => {
        if (!clipboard.mayWrite) {
          throw new Error('not in front');
        }
        clipboard.text = text;
      },
      readText: async () => clipboard.text
    },
    permissions: { query: async () => ({ state: clipboard.mayRead ? 'granted' : 'prompt' }) }
  };
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
});

async function after(seconds: number): Promise<void> {
  mock.timers.tick(seconds * 1000);
  // What a timer began is done after some turns.
  for (let turn = 0; turn < 8; turn += 1) {
    await Promise.resolve();
  }
}

test('what was copied leaves the clipboard after its time, and not before', async () => {
  await copySecret('s3cret', 30);
  await after(29);
  assert.equal(clipboard.text, 's3cret');
  await after(1);
  assert.equal(clipboard.text, '');
});

test('a second copy has the whole time again', async () => {
  await copySecret('first', 30);
  await after(20);
  await copySecret('second', 30);
  await after(20);
  assert.equal(clipboard.text, 'second');
  await after(10);
  assert.equal(clipboard.text, '');
});

test('no seconds leave it, and end what an earlier copy began', async () => {
  await copySecret('first', 30);
  await copySecret('second', 0);
  await after(3600);
  assert.equal(clipboard.text, 'second');
});

test('what somebody copied in the meantime stays theirs', async () => {
  await copySecret('s3cret', 30);
  clipboard.text = 'mine';
  await after(30);
  assert.equal(clipboard.text, 'mine');
});

test('a clipboard that may not be read is cleared all the same', async () => {
  clipboard.mayRead = false;
  await copySecret('s3cret', 30);
  await after(30);
  assert.equal(clipboard.text, '');
});

test('a tab in the background clears it as soon as somebody comes back', async () => {
  await copySecret('s3cret', 30);
  clipboard.mayWrite = false;
  await after(30);
  assert.equal(clipboard.text, 's3cret');
  clipboard.mayWrite = true;
  window.dispatchEvent(new Event('focus'));
  await after(0);
  assert.equal(clipboard.text, '');
});
