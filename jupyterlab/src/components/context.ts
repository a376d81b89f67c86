/**
 * What every component of the panel shares.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ISignal } from '@lumino/signaling';
import * as React from 'react';

import type { ITarget, Notebooks } from '../kernel/notebooks';
import type { Latchkey } from '../latchkey';
import { isReadOnly, needOf, type Deed, type Permissions } from '../secrets/permissions';
import type { INode, SecretTree } from '../secrets/tree';

/** What the panel works on. */
export interface IPanel {
  readonly latchkey: Latchkey;
  readonly tree: SecretTree;
  readonly permissions: Permissions;
  readonly notebooks: Notebooks;
  readonly trans: TranslationBundle;
  /** The language of the page, as Lab calls it: `ru_RU`. */
  readonly language: string;
  /** Things that need more than the panel. */
  readonly actions: IActions;
}

/** What the panel asks the application for. */
export interface IActions {
  openSettings(): void;
  runDoctor(): void;
  /** Asks where the fields of a secret, or one field, shall go, and puts them there. */
  putIntoKernel(node: INode): Promise<void>;
  putToken(): Promise<void>;
  /** Takes what a kernel was given out of it, and forgets it. */
  forget(target: ITarget): Promise<void>;
  /** Copies a value, and clears the clipboard later. */
  copy(value: string, what: string): Promise<void>;
  report(error: unknown): void;
  say(text: string): void;
  confirm(title: string, body: string, accept: string): Promise<boolean>;
}

export const PanelContext = React.createContext<IPanel | null>(null);

export function usePanel(): IPanel {
  const panel = React.useContext(PanelContext);
  if (!panel) {
    throw new Error('a component of the panel is used outside of it');
  }
  return panel;
}

/** Draws again whenever the signal is emitted. */
export function useSignal(signal: ISignal<unknown, unknown>): void {
  const [, draw] = React.useReducer((count: number) => count + 1, 0);
  React.useEffect(() => {
    const slot = () => draw();
    signal.connect(slot);
    return () => {
      signal.disconnect(slot);
    };
  }, [signal]);
}

/** Why the token may not do something with a secret; undefined where it may, or where nobody knows. */
export type Refusal = (...anyOf: Deed[]) => string | undefined;

/**
 * Asks what the token may do with a secret, once `isWanted`, and says what it may not.
 *
 * Of several deeds one is enough: it is the first whose lack is told.
 */
export function useRefusal(mount: string, path: string, isWanted: boolean): Refusal {
  const { permissions, trans } = usePanel();
  useSignal(permissions.changed);
  const may = permissions.of(mount, path);
  const { generation } = permissions;
  React.useEffect(() => {
    if (isWanted) {
      void permissions.ask(mount, path);
    }
  }, [permissions, generation, mount, path, isWanted]);
  return (...anyOf) => {
    if (!may || anyOf.some(deed => may[deed])) {
      return undefined;
    }
    const need = needOf(anyOf[0], mount, path);
    return isReadOnly(may)
      ? trans.__('Your policy allows reading only: this needs "%1" on %2.', ...need)
      : trans.__('Your policy does not allow this: it needs "%1" on %2.', ...need);
  };
}

/** What a button has that would only be refused. It can still be reached, so that everybody can learn why. */
export function whileRefused(
  why: string | undefined,
  action: () => unknown
): { 'aria-disabled'?: true; title?: string; onClick: () => void } {
  return why === undefined
    ? { onClick: () => void action() }
    : { 'aria-disabled': true, title: why, onClick: () => undefined };
}

/** Draws again every second while the tab is seen and `isOn`. */
export function useClock(isOn: boolean, seconds = 1): void {
  const [, draw] = React.useReducer((count: number) => count + 1, 0);
  React.useEffect(() => {
    if (!isOn) {
      return;
    }
    const timer = window.setInterval(() => {
      if (document.visibilityState === 'visible') {
        draw();
      }
    }, seconds * 1000);
    return () => window.clearInterval(timer);
  }, [isOn, seconds]);
}
