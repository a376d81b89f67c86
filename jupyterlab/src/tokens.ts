/**
 * What other extensions may use.
 */
import { Token } from '@lumino/coreutils';
import type { ISignal } from '@lumino/signaling';

import type { Engine } from './engine';

/** A session with Vault or OpenBao that other extensions can build on. */
export interface ILatchkey {
  /** Who is signed in; it holds no token. */
  readonly identity: Engine.Identity | undefined;

  /** Emitted whenever {@link identity} has changed. */
  readonly changed: ISignal<ILatchkey, void>;

  /**
   * The session of whoever is signed in.
   *
   * Without one it signs in as far as that goes without a person, and otherwise asks the person by opening the panel.
   * Rejected when the person says no.
   */
  session(): Promise<Engine.Session>;
}

/** The token of {@link ILatchkey}. */
export const ILatchkey = new Token<ILatchkey>(
  'jupyterlab-latchkey:ILatchkey',
  'A session with Vault or OpenBao: who is signed in, and the secrets that they may see.'
);
