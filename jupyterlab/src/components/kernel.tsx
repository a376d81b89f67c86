/**
 * What the kernel of the notebook in front was given.
 */
import { Button } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { IRemembered } from '../kernel/memory';
import { usePanel, useSignal } from './context';

export function InKernel(): JSX.Element {
  const { notebooks, trans, actions } = usePanel();
  useSignal(notebooks.changed);
  const [remembered, setRemembered] = React.useState<readonly IRemembered[]>([]);
  const { target } = notebooks;
  React.useEffect(() => {
    let isGone = false;
    const load = () => {
      const now = notebooks.target;
      void (now ? notebooks.remembered(now) : Promise.resolve([])).then(
        list => !isGone && setRemembered(list)
      );
    };
    load();
    notebooks.changed.connect(load);
    return () => {
      isGone = true;
      notebooks.changed.disconnect(load);
    };
  }, [notebooks]);
  if (!target) {
    return (
      <section className="lk-kernel">
        <p className="lk-hint">{trans.__('Open a notebook to put secrets into its kernel.')}</p>
      </section>
    );
  }
  return (
    <section className="lk-kernel" aria-label={trans.__('In the kernel')}>
      <h3>{trans.__('In the kernel of %1', target.title)}</h3>
      {remembered.length === 0 ? (
        <p className="lk-hint">
          {trans.__('Nothing yet. Choose a secret, and put it into the kernel.')}
        </p>
      ) : (
        <ul>
          {remembered.map(({ variable, mount, path, field }) => (
            <li key={variable} title={`${mount}/${path}#${field}`}>
              <code>{variable}</code> <span className="lk-hint">{`${path}#${field}`}</span>
            </li>
          ))}
        </ul>
      )}
      <div className="lk-buttons">
        <Button
          className="jp-mod-styled lk-small"
          data-lk="token"
          onClick={() => void actions.putToken()}
        >
          {trans.__('Vault token …')}
        </Button>
        {remembered.length > 0 && (
          <Button
            className="jp-mod-styled lk-small"
            data-lk="forget"
            onClick={() => void actions.forget(target)}
          >
            {trans.__('Forget')}
          </Button>
        )}
      </div>
    </section>
  );
}
