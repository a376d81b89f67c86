// Scenarios: named, one after the other, with one line of counts at the end that `cargo xtask test` reads.

const scenarios = [];

/** Registers a scenario. `options.all`: only with --all, since it takes long. */
export function scenario(name, action, options = {}) {
  scenarios.push({ name, action, ...options });
}

/**
 * Runs what the filters name, or all of it; says how many failed.
 *
 * In a usual run a scenario that fails is tried once more, and told as unsteady when it passes then: a browser on a machine
 * that is busy may lose its way, and nobody shall lose an hour by it. With `--all`, and for whoever names scenarios, the
 * first failure counts: there such a scenario is found and mended.
 */
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
    const isPatient = !all && filters.length === 0;
    const begun = Date.now();
    const seconds = () => ((Date.now() - begun) / 1000).toFixed(1);
    let error = await attempt(action);
    const isUnsteady = error && isPatient;
    if (isUnsteady) {
      console.log(`test ${name} ... tried again, after ${seconds()} s\n${error.stack ?? error}`);
      await onFailure?.(name);
      error = await attempt(action);
    }
    if (error) {
      failed.push(name);
      console.log(`test ${name} ... FAILED\n${error.stack ?? error}`);
      await onFailure?.(name);
    } else {
      passed += 1;
      console.log(`test ${name} ... ok, ${isUnsteady ? 'unsteady, ' : ''}${seconds()} s`);
    }
  }
  const verdict = failed.length === 0 ? 'ok' : 'FAILED';
  console.log(
    `\ntest result: ${verdict}. ${passed} passed; ${failed.length} failed; ${ignored} ignored; 0 measured; 0 filtered out`
  );
  return failed.length;
}

/** What an action throws, if it does. */
async function attempt(action) {
  try {
    await action();
    return undefined;
  } catch (error) {
    return error ?? new Error('nothing was thrown');
  }
}
