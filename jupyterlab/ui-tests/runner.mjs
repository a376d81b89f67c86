// Scenarios: named, one after the other, with one line of counts at the end that `cargo xtask test` reads.

const scenarios = [];

/** Registers a scenario. `options.all`: only with --all, since it takes long. */
export function scenario(name, action, options = {}) {
  scenarios.push({ name, action, ...options });
}

/** Runs what the filters name, or all of it; says how many failed. */
export async function run({ filters, all, onFailure }) {
  let passed = 0;
  let ignored = 0;
  const failed = [];
  for (const { name, action, all: isLong, needs } of scenarios) {
    if (filters.length > 0 && !filters.some(filter => name.includes(filter))) {
      continue;
    }
    if (isLong && !all && filters.length === 0) {
      ignored += 1;
      console.log(`test ${name} ... ignored, only with --all`);
      continue;
    }
    const missing = needs?.();
    if (missing) {
      ignored += 1;
      console.log(`test ${name} ... ignored, ${missing}`);
      continue;
    }
    const begun = Date.now();
    try {
      await action();
      passed += 1;
      console.log(`test ${name} ... ok, ${((Date.now() - begun) / 1000).toFixed(1)} s`);
    } catch (error) {
      failed.push(name);
      console.log(`test ${name} ... FAILED\n${error.stack ?? error}`);
      await onFailure?.(name);
    }
  }
  const verdict = failed.length === 0 ? 'ok' : 'FAILED';
  console.log(
    `\ntest result: ${verdict}. ${passed} passed; ${failed.length} failed; ${ignored} ignored; 0 measured; 0 filtered out`
  );
  return failed.length;
}
