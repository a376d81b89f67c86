// A program as a page would write it: it has to compile with the package's types, and is not run.

import { init, isLatchkeyError, Keeper, Session, type ErrorCode, type Identity, type KeeperState } from 'latchkey-wasm';

export async function use(redirectUri: string): Promise<Identity | undefined> {
  await init();
  const session = new Session({ vault: 'https://vault.example' });
  const keeper = new Keeper(session, {
    lock: 'latchkey',
    signInAgain: async signal => signal.throwIfAborted(),
    onEvent: event => event.kind === 'needs-person' && console.log(event.by)
  });
  keeper.start();
  const state: KeeperState = keeper.state;
  const pending = await session.beginVault({ mount: 'oidc', redirectUri });
  try {
    const identity = await pending.finish({ code: 'x', state: pending.state });
    const read = await session.secrets.read('secret', `team/${state}`);
    if (read.outcome === 'found') {
      const text: string = read.secret.value('password');
      await session.secrets.change(read.secret, { password: text, old: null, port: { json: '5432' } });
    } else if (read.outcome === 'deleted') {
      await session.secrets.undelete('secret', 'team/app', [read.version.number]);
    }
    return identity;
  } catch (caught) {
    if (!isLatchkeyError(caught)) throw caught;
    const code: ErrorCode = caught.code;
    // @ts-expect-error: no such code
    const other: ErrorCode = 'no_such_code';
    return code === 'vault_cas_mismatch' && caught.retryable ? session.identity : (void other, undefined);
  }
}
