import assert from 'node:assert/strict';
import { test } from 'node:test';

import { dateTime, timeLeft } from '../src/components/time';
import { trans } from './page';

test('what is left is told in the largest unit that says enough', () => {
  for (const [seconds, text] of [
    [-5, '0 seconds'],
    [59.9, '59 seconds'],
    [60, '1 minute'],
    [119 * 60, '119 minutes'],
    [120 * 60, '2 hours'],
    [71 * 3600, '71 hours'],
    [72 * 3600, '3 days']
  ] as const) {
    assert.equal(timeLeft(seconds * 1000, trans), text);
  }
  assert.equal(timeLeft(undefined, trans), 'without end');
});

test('a time is written as the language of the page writes it', () => {
  const time = '2026-03-04T05:06:07Z';
  assert.match(dateTime(time, 'ru_RU'), /^0?[345]\.03\.2026/);
  assert.match(dateTime(time, 'ko_KR'), /^2026\. 3\. [345]\./);
  assert.equal(dateTime(time, 'en'), new Date(time).toLocaleString());
  assert.equal(dateTime('nonsense', 'en') + dateTime(undefined, 'ru_RU'), '');
});
