import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import { awaitCallback } from '../src/signin/callback';
import { page } from './page';

const STATE = 'st_0123456789abcdef';
const ANSWER = { type: 'latchkey-answer', code: 'c', state: STATE };

let window: EventTarget;
let control: AbortController;
let callbackPage: BroadcastChannel;

beforeEach(() => {
  window = page('http://localhost:8888/lab');
  control = new AbortController();
  callbackPage = new BroadcastChannel('latchkey:' + STATE);
});
afterEach(() => callbackPage.close());

/** What the page at the end sends to its opener. */
function post(data: unknown, origin = 'http://localhost:8888'): void {
  window.dispatchEvent(Object.assign(new Event('message'), { data, origin }));
}

/** Whether nothing has come for a while. */
async function waitsOn(answer: Promise<unknown>): Promise<boolean> {
  const late = new Promise(resolve => setTimeout(() => resolve('late'), 50));
  return (await Promise.race([answer, late])) === 'late';
}

test('an answer on the channel is taken, and the page hears that it was', async () => {
  const received = new Promise(resolve => {
    callbackPage.onmessage = event => resolve(event.data);
  });
  const answer = awaitCallback(STATE, control.signal);
  callbackPage.postMessage({ ...ANSWER, iss: 'https://idp.example.org' });
  assert.deepEqual(await answer, { code: 'c', state: STATE, iss: 'https://idp.example.org' });
  assert.deepEqual(await received, { type: 'latchkey-received' });
});

test('an answer to the opener is taken from our own origin only', async () => {
  const answer = awaitCallback(STATE, control.signal);
  post(ANSWER, 'https://elsewhere.example.org');
  post(ANSWER, 'http://localhost:8889');
  assert.ok(await waitsOn(answer));
  post(ANSWER);
  assert.deepEqual(await answer, { code: 'c', state: STATE });
});

test('what is no answer to this sign-in is not taken', async () => {
  const answer = awaitCallback(STATE, control.signal);
  for (const data of [
    'text',
    null,
    [],
    { ...ANSWER, type: 'oidc-callback' },
    { ...ANSWER, state: STATE + '0' },
    { ...ANSWER, state: undefined },
    { ...ANSWER, code: 7 },
    { ...ANSWER, code: 'x'.repeat(8193) }
  ]) {
    post(data);
  }
  assert.ok(await waitsOn(answer));
  control.abort(new Error('cancelled'));
  await assert.rejects(answer, /cancelled/);
});

test('members that nobody asked for are left out', async () => {
  const answer = awaitCallback(STATE, control.signal);
  post({ ...ANSWER, id_token: 'x', session_state: 'z' });
  assert.deepEqual(Object.keys(await answer).sort(), ['code', 'state']);
});

test('a sign-in that was given up hears nothing any more', async () => {
  const answer = awaitCallback(STATE, control.signal);
  control.abort(new Error('cancelled'));
  await assert.rejects(answer, /cancelled/);
  await assert.rejects(awaitCallback(STATE, control.signal), /cancelled/);
});
