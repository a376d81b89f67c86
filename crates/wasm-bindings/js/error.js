// The one kind of error that leaves this package.

export class LatchkeyError extends Error {
  constructor(message, code, retryable, { problem, status, serverMessages = [], missing = [] } = {}) {
    super(message);
    this.name = 'LatchkeyError';
    Object.assign(this, {
      code,
      retryable,
      problem,
      status,
      serverMessages: Object.freeze(serverMessages),
      missing: Object.freeze(missing)
    });
  }
}

export function isLatchkeyError(caught) {
  return caught instanceof LatchkeyError;
}

/** For the engine. */
export function makeError(message, code, retryable, problem, status, serverMessages, missing) {
  return new LatchkeyError(message, code, retryable, { problem, status, serverMessages, missing });
}
