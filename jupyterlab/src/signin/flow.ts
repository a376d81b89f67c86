/**
 * One sign-in from the click to the identity.
 */
import { Signal, type ISignal } from '@lumino/signaling';

import { codeOf } from '../codes';
import type { Engine } from '../engine';
import { hubFor, redirectUri } from '../page';
import type { Settings } from '../settings';
import { awaitCallback } from './callback';
import { hiddenFrame, Popup } from './popup';
import type { WayId } from './ways';

/** Where no page can take the answer, the provider shows the code. */
const OUT_OF_BAND = 'urn:ietf:wg:oauth:2.0:oob';

/** How long a provider may take to answer in a hidden frame. */
const SILENT_WITHIN = 20_000;

/** How a sign-in stands. */
export type FlowState =
  | { readonly kind: 'idle'; readonly error?: unknown }
  | { readonly kind: 'working'; readonly way: WayId }
  | {
      readonly kind: 'waiting';
      readonly way: WayId;
      /** The provider's page. */
      readonly url: string;
      /** Whether the browser refused the window, so that the person has to follow a link. */
      readonly isBlocked: boolean;
      /** Whether the person has to paste what the provider shows. */
      readonly isPasted: boolean;
      /** Whether the Vault hears of it by itself: then nothing comes back to this page, and there is nothing to paste. */
      readonly polls: boolean;
      /** What the person types there, in OpenBao's mode `device`, unless the address has it. */
      readonly userCode: string | undefined;
      /** Why what was pasted was not taken. */
      readonly error?: unknown;
    };

/** Gives the session to sign in with, loading the engine where that has not happened. */
export type SessionSource = () => Promise<Engine.Session>;

/** The sign-in of this tab: one at a time. */
export class SignInFlow {
  constructor(
    private readonly _session: SessionSource,
    private readonly _settings: Settings
  ) {}

  get state(): FlowState {
    return this._state;
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /**
   * Signs in, one way or the other. To be called in the handler of a click: a window is opened before anything else.
   *
   * Resolves when it is over, whatever came of it: see {@link state}.
   */
  async start(way: WayId, token?: string): Promise<void> {
    this.cancel();
    const popup = way === 'vault' || way === 'provider' ? Popup.open() : undefined;
    const control = new AbortController();
    this._control = control;
    this._set({ kind: 'working', way });
    try {
      const session = await this._session();
      if (way === 'hub') {
        await this.withHub(session);
      } else if (way === 'token') {
        await session.signInWithToken(token ?? '');
      } else {
        await this._withPerson(session, way, popup, control.signal);
      }
      if (this._control === control) {
        this._set({ kind: 'idle' });
      }
    } catch (error) {
      popup?.close();
      if (this._control === control) {
        this._set({ kind: 'idle', error: control.signal.aborted ? undefined : error });
      }
    } finally {
      if (this._control === control) {
        this._control = undefined;
        this._pending = undefined;
        this._popup = undefined;
      }
    }
  }

  /** Signs in with what the hub holds. */
  async withHub(session: Engine.Session): Promise<void> {
    const { values } = this._settings;
    const hub = hubFor(values);
    if (!hub) {
      throw new Error('this is no server of a JupyterHub');
    }
    await session.signInWithHub(hub, { mount: values.jwtMount, role: values.jwtRole || undefined });
  }

  /** Asks the provider in a hidden frame whether the person is still signed in there. */
  async silently(session: Engine.Session, signal: AbortSignal): Promise<void> {
    const pending = await this._begin(
      session,
      this._settings.values.oidcMount ? 'vault' : 'provider',
      true
    );
    const timer = new AbortController();
    const stop = () => timer.abort(signal.reason);
    signal.addEventListener('abort', stop);
    const timeout = window.setTimeout(() => timer.abort(new Error('no answer')), SILENT_WITHIN);
    const remove = hiddenFrame(pending.url, () =>
      timer.abort(new Error('the page lets no frame in'))
    );
    try {
      await pending.finish(await awaitCallback(pending.state, timer.signal));
    } finally {
      remove();
      window.clearTimeout(timeout);
      signal.removeEventListener('abort', stop);
      pending.free();
    }
  }

  /** Takes what the person copied: the code, the address, or what our own page showed. */
  async paste(text: string): Promise<void> {
    const pending = this._pending;
    if (!pending || this._state.kind !== 'waiting') {
      return;
    }
    const before = this._state;
    try {
      await pending.paste(text);
      this._pasted?.();
    } catch (error) {
      // What was not understood can be pasted again. A code that was refused cannot: the server forgot this sign-in.
      if (codeOf(error).startsWith('oidc_pasted_')) {
        this._set({ ...before, error });
      } else {
        this._control?.abort();
        this._control = undefined;
        this._set({ kind: 'idle', error });
      }
    }
  }

  /** Opens the provider's page again, in a click. */
  reopen(): void {
    if (this._state.kind !== 'waiting') {
      return;
    }
    this._popup?.close();
    this._popup = Popup.open();
    this._popup.navigate(this._state.url);
    this._set({ ...this._state, isBlocked: this._popup.isBlocked });
  }

  /** Gives up. What comes back later is refused. */
  cancel(): void {
    this._pending?.cancel();
    this._popup?.close();
    this._control?.abort(new Error('cancelled'));
    this._control = undefined;
    this._pending = undefined;
    this._set({ kind: 'idle' });
  }

  private async _withPerson(
    session: Engine.Session,
    way: WayId,
    popup: Popup | undefined,
    signal: AbortSignal
  ): Promise<void> {
    const pending = await this._begin(session, way, false);
    if (signal.aborted) {
      pending.cancel();
      throw signal.reason;
    }
    this._pending = pending;
    this._popup = popup;
    popup?.navigate(pending.url);
    this._set({
      kind: 'waiting',
      way,
      url: pending.url,
      isBlocked: popup?.isBlocked ?? false,
      isPasted: way === 'paste' && !pending.polls,
      polls: pending.polls,
      userCode: pending.userCode
    });
    const timeout = window.setTimeout(
      () => this._control?.abort(new Error('too late')),
      Math.max(0, pending.expiresAt - Date.now())
    );
    try {
      const pasted = new Promise<void>(resolve => {
        this._pasted = resolve;
      });
      const came = pending.polls
        ? pending.poll().then(() => undefined)
        : awaitCallback(pending.state, signal).then(members => pending.finish(members));
      const aborted = new Promise<never>((_, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason))
      );
      await Promise.race([came, pasted, aborted]);
    } finally {
      window.clearTimeout(timeout);
      this._pasted = undefined;
      this._popup?.close();
    }
  }

  private _begin(
    session: Engine.Session,
    way: WayId,
    silent: boolean
  ): Promise<Engine.PendingSignIn> {
    const { oidcMount, oidcRole, jwtMount, jwtRole, issuer, clientId, scopes, algorithms } =
      this._settings.values;
    const address = way === 'paste' ? OUT_OF_BAND : redirectUri(this._settings.values);
    if (way === 'vault' || (way === 'paste' && oidcMount)) {
      return session.beginVault({
        mount: oidcMount,
        role: oidcRole || undefined,
        redirectUri: address,
        silent
      });
    }
    return session.beginProvider({
      mount: jwtMount,
      role: jwtRole || undefined,
      issuer,
      clientId,
      scopes,
      algorithms,
      redirectUri: address,
      silent
    });
  }

  private _set(state: FlowState): void {
    this._state = state;
    this._changed.emit();
  }

  private readonly _changed = new Signal<this, void>(this);
  private _state: FlowState = { kind: 'idle' };
  private _control: AbortController | undefined;
  private _pending: Engine.PendingSignIn | undefined;
  private _popup: Popup | undefined;
  private _pasted: (() => void) | undefined;
}
