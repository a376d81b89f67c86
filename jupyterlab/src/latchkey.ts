/**
 * The session of this tab, and what keeps it alive.
 */
import type { IDisposable } from '@lumino/disposable';
import { Signal, type ISignal } from '@lumino/signaling';

import { loadEngine, type Engine } from './engine';
import { hubPage, isForeignServer, vaultUrl } from './page';
import { watchPolicy } from './policy';
import type { Settings } from './settings';
import { SignInFlow } from './signin/flow';
import type { ILatchkey } from './tokens';

/** All tabs of this origin share it, so that only one of them signs in again at a time. */
const LOCK = 'jupyterlab-latchkey';

/** Somebody is needed, or the token is gone. */
export type Concern = 'needs-person' | 'lost';

/** One session with one Vault. */
export class Latchkey implements ILatchkey, IDisposable {
  constructor(readonly settings: Settings) {
    this.signIn = new SignInFlow(() => this.open(), settings);
    settings.changed.connect(this._onSettings, this);
    for (const event of ['visibilitychange', 'pageshow', 'online']) {
      window.addEventListener(event, this._wake);
      document.addEventListener(event, this._wake);
    }
    this._stopWatching = watchPolicy('connect-src', () => this._changed.emit());
  }

  /** The sign-in of this tab. */
  readonly signIn: SignInFlow;

  get identity(): Engine.Identity | undefined {
    return this._session?.identity;
  }

  /** Milliseconds that the token has left. */
  get timeLeft(): number | undefined {
    return this._session?.timeLeft;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Something that a person should hear of. */
  get concern(): ISignal<this, Concern> {
    return this._concern;
  }

  /** How the panel is opened for somebody who must sign in. */
  ask: () => void = () => undefined;

  /** Whether the address of a Vault is set. */
  get isConfigured(): boolean {
    return this.settings.values.vaultUrl !== '';
  }

  /** The secrets of whoever is signed in. */
  get secrets(): Engine.Secrets | undefined {
    return this.identity && this._session?.secrets;
  }

  /** The session, whether somebody is signed in or not; loads the engine. */
  async open(): Promise<Engine.Session> {
    const engine = await loadEngine();
    if (this._session) {
      return this._session;
    }
    const { values } = this.settings;
    const session = new engine.Session({
      vault: vaultUrl(values),
      namespace: values.namespace || undefined,
      ...(values.allowPlainHttp ? { danger: { plainHttp: true } } : {})
    });
    this._session = session;
    this._opened = fingerprint(this.settings);
    this._unsubscribe = session.onChange(() => this._changed.emit());
    this._keeper = new engine.Keeper(session, {
      lock: LOCK,
      signInAgain: signal => this._signInAgain(session, signal),
      onEvent: event => {
        if (event.kind === 'needs-person' || event.kind === 'lost') {
          this._concern.emit(event.kind);
        }
        this._changed.emit();
      }
    });
    this._keeper.start();
    return session;
  }

  async session(): Promise<Engine.Session> {
    const session = await this.open();
    if (session.identity || (await this.trySilently())) {
      return session;
    }
    this.ask();
    await new Promise<void>((resolve, reject) => {
      const look = () => {
        const { state } = this.signIn;
        if (this.identity) {
          end();
          resolve();
        } else if (state.kind === 'idle' && state.error) {
          end();
          reject(state.error);
        }
      };
      const end = () => {
        this._changed.disconnect(look);
        this.signIn.changed.disconnect(look);
      };
      this._changed.connect(look);
      this.signIn.changed.connect(look);
    });
    return session;
  }

  /** What the panel does when it is shown: once, and not for somebody who has signed out. */
  async greet(): Promise<void> {
    if (this._mayGreet && this.isConfigured) {
      this._mayGreet = false;
      await this.open();
      await this.trySilently();
    }
  }

  /** Signs in with what the hub holds, where that is allowed. Says whether somebody is signed in. */
  async trySilently(): Promise<boolean> {
    const { vaultUrl, jwtMount, signInSilently } = this.settings.values;
    if (this.identity) {
      return true;
    }
    if (!signInSilently || !vaultUrl || !jwtMount || !hubPage() || isForeignServer()) {
      return false;
    }
    await this.signIn.start('hub');
    return this.identity !== undefined;
  }

  /** Ends the session; the Vault forgets the token first. */
  async signOut(): Promise<void> {
    this._mayGreet = false;
    this.signIn.cancel();
    await this._session?.signOut({ revoke: true });
    this._changed.emit();
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    if (this._isDisposed) {
      return;
    }
    this._isDisposed = true;
    this.settings.changed.disconnect(this._onSettings, this);
    for (const event of ['visibilitychange', 'pageshow', 'online']) {
      window.removeEventListener(event, this._wake);
      document.removeEventListener(event, this._wake);
    }
    this._stopWatching();
    this._close();
    Signal.clearData(this);
  }

  /** The ladder without a person: the hub's token, then a hidden frame. */
  private async _signInAgain(session: Engine.Session, signal: AbortSignal): Promise<void> {
    const { jwtMount, oidcMount, issuer, clientId } = this.settings.values;
    const way = session.identity?.way;
    if (way === 'token') {
      throw new Error('a token that was pasted cannot be fetched again');
    }
    if (hubPage() && !isForeignServer() && jwtMount) {
      try {
        return await this.signIn.withHub(session);
      } catch {
        // The next rung.
      }
    }
    if (oidcMount || (issuer && clientId && jwtMount)) {
      return this.signIn.silently(session, signal);
    }
    throw new Error('no way to sign in without a person');
  }

  private _onSettings(): void {
    // Another Vault is another session. What only concerns the looks leaves it alone.
    if (this._session && this._opened !== fingerprint(this.settings)) {
      this._close();
    }
    this._changed.emit();
  }

  private _close(): void {
    this.signIn.cancel();
    this._keeper?.stop();
    this._unsubscribe?.();
    this._keeper?.free();
    this._session?.free();
    this._keeper = undefined;
    this._session = undefined;
  }

  private readonly _wake = (): void => {
    if (document.visibilityState === 'visible') {
      this._keeper?.wake();
    }
  };

  private readonly _changed = new Signal<this, void>(this);
  private readonly _concern = new Signal<this, Concern>(this);
  private readonly _stopWatching: () => void;
  private _session: Engine.Session | undefined;
  private _keeper: Engine.Keeper | undefined;
  private _unsubscribe: (() => void) | undefined;
  private _isDisposed = false;
  private _opened = '';
  private _mayGreet = true;
}

/** What a session depends on. */
function fingerprint(settings: Settings): string {
  const { vaultUrl, namespace, allowPlainHttp } = settings.values;
  return JSON.stringify([vaultUrl, namespace, allowPlainHttp]);
}
