// The few checks that the cases need, for Node and for a page.

export function assert(holds, message = 'it does not hold') {
  if (!holds) throw new Error(message);
}

export function eq(found, wanted, what = '') {
  const [one, other] = [found, wanted].map(text);
  assert(one === other, `${what} found ${one}, wanted ${other}`);
}

/** Code and problem of one of ours; anything else is shown as it is. */
export function code(error) {
  if (error?.name !== 'LatchkeyError') throw new Error(`no LatchkeyError: ${error?.stack ?? error}`);
  return [error.code, error.problem];
}

const text = value => JSON.stringify(value, (_, member) => (member === undefined ? '(undefined)' : member));
