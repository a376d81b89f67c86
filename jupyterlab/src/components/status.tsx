/**
 * Who is signed in and for how long, in the status bar.
 */
import { ReactWidget } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { keyIcon } from '../icons';
import type { Latchkey } from '../latchkey';
import { useClock, useSignal } from './context';
import { timeLeft } from './time';

export class StatusWidget extends ReactWidget {
  constructor(
    private readonly _latchkey: Latchkey,
    private readonly _trans: TranslationBundle,
    private readonly _onClick: () => void
  ) {
    super();
    this.addClass('lk-status');
  }

  protected render(): JSX.Element {
    return <Status latchkey={this._latchkey} trans={this._trans} onClick={this._onClick} />;
  }
}

interface IStatusProps {
  latchkey: Latchkey;
  trans: TranslationBundle;
  onClick: () => void;
}

function Status({ latchkey, trans, onClick }: IStatusProps): JSX.Element {
  useSignal(latchkey.changed);
  const { identity } = latchkey;
  useClock(identity !== undefined);
  const text = identity
    ? trans.__('%1: %2', identity.name || trans.__('signed in'), timeLeft(latchkey.timeLeft, trans))
    : trans.__('Sign in');
  return (
    // A screen reader hears it when it asks, not every second.
    <button
      className="lk-status-button"
      onClick={onClick}
      title={trans.__('Secrets (Latchkey)')}
      aria-live="off"
    >
      <keyIcon.react tag="span" width="14px" aria-hidden="true" />
      <span>{text}</span>
    </button>
  );
}
