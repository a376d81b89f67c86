import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parseDotenv } from '../src/secrets/dotenv';

/** What comes of a text: the values as an object. */
const values = (text: string) => Object.fromEntries(parseDotenv(text).values);

test('names and values are taken as a shell would take them', () => {
  assert.deepEqual(values('A=1\nexport B = two words \n\n# a remark\nC=\nD=x=y\r\nA=3'), {
    A: '3',
    B: 'two words',
    C: '',
    D: 'x=y'
  });
});

test('quotes keep what is between them, over several lines, too', () => {
  assert.deepEqual(
    values(
      'A="one\\ntwo \\"x\\" \\\\ \\d"\nB=\'as is \\n # no remark\' # a remark\nC="one\ntwo"\nD=`t`'
    ),
    { A: 'one\ntwo "x" \\ \\d', B: 'as is \\n # no remark', C: 'one\ntwo', D: 't' }
  );
});

test('a remark ends a value only after a blank, and nothing is put in for a name', () => {
  assert.deepEqual(values('A=x#y\nB=x # y\nC=#y\nD=$HOME/${A}'), {
    A: 'x#y',
    B: 'x',
    C: '',
    D: '$HOME/${A}'
  });
});

test('a line that is none is named by its number, and the others are taken', () => {
  const { strange } = parseDotenv('\uFEFFA="1\n2"\nnonsense\n1B=x\nC="open\nD=4');
  assert.deepEqual(strange, [3, 4, 5]);
  assert.deepEqual(values('A="1\n2"\nnonsense\nC="open\nD=4'), { A: '1\n2', D: '4' });
});

test('a long text without an end is read in no time', () => {
  const begun = Date.now();
  parseDotenv('A="' + '\\a'.repeat(200_000));
  parseDotenv('A=\n'.repeat(5_000) + '"'.repeat(5_000));
  assert.ok(Date.now() - begun < 10_000);
});
