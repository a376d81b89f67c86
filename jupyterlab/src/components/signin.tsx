/**
 * What somebody sees who is not signed in.
 */
import { Button } from '@jupyterlab/ui-components';
import * as React from 'react';

import { describe } from '../errors';
import { redirectUri } from '../page';
import type { FlowState } from '../signin/flow';
import { ways, type IWay } from '../signin/ways';
import { usePanel, useSignal } from './context';

export function SignIn(): JSX.Element {
  const { latchkey, trans } = usePanel();
  useSignal(latchkey.signIn.changed);
  useSignal(latchkey.settings.changed);
  // The window opens in the click: what it needs must be there by then.
  const isSet = latchkey.isConfigured;
  React.useEffect(() => {
    // What fails is told when somebody presses the button.
    void latchkey.greet().catch(() => undefined);
  }, [latchkey, isSet]);
  const { state } = latchkey.signIn;
  const all = ways(latchkey.settings.values, trans);
  const usable = all.filter(way => !way.missing);
  const best = usable[0];
  return (
    <section className="lk-signin" aria-label={trans.__('Sign in')}>
      {state.kind === 'idle' && (
        <>
          {state.error !== undefined && (
            <p className="lk-problem" role="alert">
              {describe(state.error, trans)}
            </p>
          )}
          {best && best.id !== 'token' ? (
            <>
              <p>{best.caption}</p>
              <Button
                className="jp-mod-styled jp-mod-accept lk-wide"
                data-way={best.id}
                onClick={() => void latchkey.signIn.start(best.id)}
              >
                {trans.__('Sign in')}
              </Button>
            </>
          ) : (
            <NotSet />
          )}
          <Ways all={all.filter(way => way !== best || way.id === 'token')} isOpen={!best} />
        </>
      )}
      {state.kind === 'working' && (
        <p role="status" className="lk-waiting">
          {trans.__('Signing in …')}
        </p>
      )}
      {state.kind === 'waiting' && <Waiting state={state} />}
    </section>
  );
}

function NotSet(): JSX.Element {
  const { actions, trans } = usePanel();
  return (
    <>
      <p>
        {trans.__(
          'Latchkey does not know yet how you sign in here. Below is what is missing for each way.'
        )}
      </p>
      <Button className="jp-mod-styled lk-wide" onClick={() => actions.openSettings()}>
        {trans.__('Open the settings')}
      </Button>
    </>
  );
}

function Ways({ all, isOpen }: { all: readonly IWay[]; isOpen: boolean }): JSX.Element {
  const { latchkey, trans } = usePanel();
  return (
    <details className="lk-ways" open={isOpen}>
      <summary>{trans.__('Other ways to sign in')}</summary>
      <ul>
        {all.map(way => (
          <li key={way.id}>
            {way.missing ? (
              <>
                <span className="lk-off">{way.label}</span>
                <p className="lk-hint">{way.missing}</p>
              </>
            ) : way.id === 'token' ? (
              <TokenForm way={way} />
            ) : (
              <>
                <button
                  className="lk-link"
                  data-way={way.id}
                  onClick={() => void latchkey.signIn.start(way.id)}
                >
                  {way.label}
                </button>
                <p className="lk-hint">{way.caption}</p>
              </>
            )}
          </li>
        ))}
      </ul>
      <p className="lk-hint">
        {trans.__('Redirect address of this page:')}{' '}
        <code>{redirectUri(latchkey.settings.values)}</code>
      </p>
    </details>
  );
}

function TokenForm({ way }: { way: IWay }): JSX.Element {
  const { latchkey, trans } = usePanel();
  const input = React.useRef<HTMLInputElement>(null);
  return (
    <form
      className="lk-form"
      onSubmit={event => {
        event.preventDefault();
        const token = input.current?.value.trim() ?? '';
        if (input.current) {
          input.current.value = '';
        }
        if (token) {
          void latchkey.signIn.start('token', token);
        }
      }}
    >
      <label>
        {way.label}
        <input
          ref={input}
          type="password"
          className="jp-mod-styled"
          autoComplete="off"
          data-lk="token"
        />
      </label>
      <Button className="jp-mod-styled" type="submit">
        {trans.__('Use it')}
      </Button>
      <p className="lk-hint">{way.caption}</p>
    </form>
  );
}

function Waiting({ state }: { state: Extract<FlowState, { kind: 'waiting' }> }): JSX.Element {
  const { latchkey, trans } = usePanel();
  const { signIn } = latchkey;
  return (
    <div className="lk-waiting">
      {state.userCode ? (
        <p role="status">
          {trans.__('Open the page below and type this code:')} <strong>{state.userCode}</strong>
        </p>
      ) : state.isBlocked ? (
        <p role="alert" className="lk-problem">
          {trans.__('Your browser did not let the window open. This link does the same:')}
        </p>
      ) : state.isPasted ? (
        <p role="status">
          {trans.__('Sign in on the page below, and paste the code that it shows.')}
        </p>
      ) : (
        <p role="status">{trans.__('Waiting for your sign-in in the other window …')}</p>
      )}
      {(state.isBlocked || state.isPasted || state.userCode) && (
        <p>
          <a href={state.url} target="_blank" rel="noopener noreferrer" className="lk-provider">
            {trans.__('Open the sign-in page')}
          </a>
        </p>
      )}
      {state.error !== undefined && (
        <p role="alert" className="lk-problem">
          {describe(state.error, trans)}
        </p>
      )}
      {state.isPasted ? (
        <Paste />
      ) : (
        !state.polls && (
          <details>
            <summary>{trans.__('The window does not come back?')}</summary>
            <Paste />
          </details>
        )
      )}
      <div className="lk-buttons">
        {!state.isPasted && !state.userCode && (
          <Button className="jp-mod-styled" onClick={() => signIn.reopen()}>
            {trans.__('Open the window again')}
          </Button>
        )}
        <Button className="jp-mod-styled jp-mod-reject" onClick={() => signIn.cancel()}>
          {trans.__('Cancel')}
        </Button>
      </div>
    </div>
  );
}

function Paste(): JSX.Element {
  const { latchkey, trans } = usePanel();
  const input = React.useRef<HTMLInputElement>(null);
  return (
    <form
      className="lk-form"
      onSubmit={event => {
        event.preventDefault();
        const text = input.current?.value ?? '';
        if (input.current) {
          input.current.value = '';
        }
        void latchkey.signIn.paste(text);
      }}
    >
      <label>
        {trans.__('The code, or the whole address of the page')}
        <input
          ref={input}
          type="password"
          className="jp-mod-styled"
          autoComplete="off"
          data-lk="paste"
        />
      </label>
      <Button className="jp-mod-styled" type="submit">
        {trans.__('Go on')}
      </Button>
    </form>
  );
}
