/**
 * The panel in the side bar.
 */
import {
  Button,
  ReactWidget,
  ToolbarButtonComponent,
  addIcon,
  refreshIcon
} from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import * as React from 'react';

import { describe } from '../errors';
import { keyIcon } from '../icons';
import { placeOf } from '../secrets/folders';
import type { INode } from '../secrets/tree';
import {
  PanelContext,
  useClock,
  usePanel,
  useRefusal,
  useSignal,
  whileRefused,
  type IPanel
} from './context';
import { Editor, type IEditing } from './editor';
import { InKernel } from './kernel';
import { SignIn } from './signin';
import { timeLeft } from './time';
import { Tree, valueOf, type IRevealed } from './tree';
import { Versions } from './versions';

/** The id of the panel in Lab's shell. */
export const PANEL_ID = 'jupyterlab-latchkey-panel';

/** The panel as a widget. */
export class PanelWidget extends ReactWidget {
  constructor(private readonly _panel: IPanel) {
    super();
    this.id = PANEL_ID;
    this.title.icon = keyIcon;
    this.title.caption = _panel.trans.__('Secrets (Latchkey)');
    this.addClass('lk-panel');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', _panel.trans.__('Secrets'));
  }

  /** Nothing is drawn, asked for or loaded before somebody sees it. */
  protected render(): JSX.Element {
    if (!this._wasShown) {
      return <></>;
    }
    return (
      <PanelContext.Provider value={this._panel}>
        <Panel />
      </PanelContext.Provider>
    );
  }

  protected onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this._onSeen();
  }

  protected onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._onSeen();
  }

  private _onSeen(): void {
    if (this.isVisible && !this._wasShown) {
      this._wasShown = true;
      this.update();
    }
  }

  private _wasShown = false;
}

type View =
  | { readonly kind: 'tree' }
  | { readonly kind: 'edit'; readonly editing: IEditing }
  | { readonly kind: 'versions'; readonly node: INode };

function Panel(): JSX.Element {
  const { latchkey, tree, permissions, trans, actions } = usePanel();
  useSignal(latchkey.changed);
  const [view, setView] = React.useState<View>({ kind: 'tree' });
  const { identity } = latchkey;
  // A token that was fetched anew is of the same entity: what somebody is writing stays.
  const who = identity && (identity.entityId || identity.accessor);

  // Another person, or nobody: nothing of the last one's stays.
  React.useEffect(() => {
    setView({ kind: 'tree' });
    if (identity) {
      void tree.load();
    } else {
      tree.clear();
    }
    // Only who it is matters: a token that was prolonged is the same.
  }, [who, tree]);

  // Another token may do other things.
  React.useEffect(() => permissions.clear(), [identity?.accessor, permissions]);

  if (!identity) {
    return (
      <>
        <div className="lk-header">
          <h2>{trans.__('Secrets')}</h2>
        </div>
        <SignIn />
        <div className="lk-footer">
          <button className="lk-link" onClick={() => actions.runDoctor()}>
            {trans.__('Check the set-up …')}
          </button>
        </div>
      </>
    );
  }
  return (
    <>
      <Who />
      {view.kind === 'tree' && <Browser onView={setView} />}
      {view.kind === 'edit' && (
        <Editor editing={view.editing} onDone={() => setView({ kind: 'tree' })} />
      )}
      {view.kind === 'versions' && (
        <Versions node={view.node} onDone={() => setView({ kind: 'tree' })} />
      )}
      <InKernel />
    </>
  );
}

/** Who is signed in, for how long, and by which way. */
function Who(): JSX.Element {
  const { latchkey, trans, actions } = usePanel();
  useClock(true);
  const { identity } = latchkey;
  if (!identity) {
    return <></>;
  }
  const way = {
    hub: trans.__('by the hub'),
    vault: trans.__('by the provider, through the Vault'),
    provider: trans.__('by the provider'),
    jwt: trans.__('by an ID token'),
    token: trans.__('with a Vault token')
  }[identity.way];
  return (
    <div className="lk-header">
      <div className="lk-who">
        <strong className="lk-person">{identity.name || trans.__('Signed in')}</strong>
        <span className="lk-hint">
          {way} · <span className="lk-left">{timeLeft(latchkey.timeLeft, trans)}</span>
        </span>
      </div>
      <Button
        className="jp-mod-styled lk-small"
        data-lk="sign-out"
        onClick={() => void latchkey.signOut().catch(error => actions.report(error))}
      >
        {trans.__('Sign out')}
      </Button>
    </div>
  );
}

/** Which fields are shown in clear; each hides itself again. */
function useRevealed(): IRevealed {
  const { latchkey, tree } = usePanel();
  const [shown, setShown] = React.useState<ReadonlySet<string>>(new Set());
  const timers = React.useRef(new Map<string, number>());
  React.useEffect(() => {
    const all = timers.current;
    return () => all.forEach(timer => window.clearTimeout(timer));
  }, []);
  const hide = (id: string) => {
    window.clearTimeout(timers.current.get(id));
    timers.current.delete(id);
    setShown(before => new Set([...before].filter(each => each !== id)));
  };
  return {
    has: node => shown.has(node.id),
    toggle: node => {
      if (node.kind !== 'field') {
        return;
      }
      if (shown.has(node.id)) {
        return hide(node.id);
      }
      setShown(before => new Set([...before, node.id]));
      const { revealSeconds } = latchkey.settings.values;
      if (revealSeconds > 0) {
        timers.current.set(
          node.id,
          window.setTimeout(() => hide(node.id), revealSeconds * 1000)
        );
      }
      tree.select(node);
    }
  };
}

function Browser({ onView }: { onView: (view: View) => void }): JSX.Element {
  const { latchkey, tree, permissions, trans, actions } = usePanel();
  useSignal(tree.changed);
  const revealed = useRevealed();
  const [isAsking, setIsAsking] = React.useState(false);
  const [searched, setSearched] = React.useState<'no' | 'running' | 'complete' | 'partly'>('no');
  const search = React.useRef<AbortController>();
  React.useEffect(() => () => search.current?.abort(), []);
  const { selected } = tree;
  const secret = selected?.kind === 'field' ? selected.parent : selected;
  const refusal = useRefusal(
    secret?.mount ?? '',
    secret?.path ?? '',
    secret?.kind === 'secret' && secret.isOpen
  );

  return (
    <>
      <div className="lk-toolbar" role="toolbar" aria-label={trans.__('Secrets')}>
        <input
          type="search"
          className="jp-mod-styled"
          placeholder={trans.__('Search')}
          aria-label={trans.__('Search the secrets')}
          value={tree.filter}
          onChange={event => {
            tree.filter = event.target.value;
            setSearched('no');
          }}
        />
        <ToolbarButtonComponent
          icon={addIcon}
          tooltip={trans.__('New secret')}
          enabled={!!selected}
          onClick={() =>
            selected &&
            onView({
              kind: 'edit',
              editing: { mount: selected.mount, path: undefined, folder: folderOf(selected) }
            })
          }
        />
        <ToolbarButtonComponent
          icon={refreshIcon}
          tooltip={trans.__('Look again')}
          onClick={() => {
            permissions.clear();
            void tree.load();
          }}
        />
      </div>
      {tree.filter && searched !== 'complete' && (
        <p className="lk-hint lk-search" role="status">
          {searched === 'running' ? (
            trans.__('Looking into all folders …')
          ) : (
            <button className="lk-link" onClick={() => void searchEverywhere()}>
              {searched === 'partly' ? trans.__('Look further') : trans.__('Look into all folders')}
            </button>
          )}
        </p>
      )}
      {tree.error !== undefined && (
        <p role="alert" className="lk-problem">
          {describe(tree.error, trans)}
        </p>
      )}
      <Tree revealed={revealed} />
      <div className="lk-actions" role="toolbar" aria-label={trans.__('What is chosen')}>
        {selected?.kind === 'field' && (
          <>
            {action('reveal', revealed.has(selected) ? trans.__('Hide') : trans.__('Show'), () =>
              revealed.toggle(selected)
            )}
            {action('copy', trans.__('Copy'), () => actions.copy(valueOf(selected), selected.name))}
          </>
        )}
        {secret?.kind === 'secret' && (
          <>
            {action(
              'inject',
              trans.__('Into the kernel …'),
              () => (selected ? actions.putIntoKernel(selected) : undefined),
              refusal('read')
            )}
            {action(
              'edit',
              trans.__('Edit'),
              () => onView({ kind: 'edit', editing: { mount: secret.mount, path: secret.path } }),
              // Where there is none, it would be a new one.
              secret.secret ? refusal('update') : refusal('update', 'create')
            )}
            {action(
              'versions',
              trans.__('Versions'),
              () => onView({ kind: 'versions', node: secret }),
              refusal('readMetadata')
            )}
          </>
        )}
        {secret?.kind !== 'secret' &&
          action('open-path', trans.__('Open a path …'), () => setIsAsking(!isAsking))}
      </div>
      {isAsking && secret?.kind !== 'secret' && <OpenPath onDone={() => setIsAsking(false)} />}
    </>
  );

  function action(name: string, label: string, run: () => unknown, why?: string): JSX.Element {
    return (
      <Button
        key={name}
        className="jp-mod-styled lk-small"
        data-lk={name}
        {...whileRefused(why, run)}
      >
        {label}
      </Button>
    );
  }

  async function searchEverywhere(): Promise<void> {
    search.current?.abort();
    const control = new AbortController();
    search.current = control;
    setSearched('running');
    const { complete } = await tree.searchEverywhere(control.signal);
    if (!control.signal.aborted && latchkey.identity) {
      setSearched(complete ? 'complete' : 'partly');
    }
  }
}

/** Opens a secret whose folder cannot be listed. */
function OpenPath({ onDone }: { onDone: () => void }): JSX.Element {
  const { tree, trans, actions } = usePanel();
  const [text, setText] = React.useState(() => {
    const { selected } = tree;
    return selected ? `${selected.mount}/${folderOf(selected)}` : '';
  });
  return (
    <form
      className="lk-form"
      onSubmit={event => {
        event.preventDefault();
        void open();
      }}
    >
      <label>
        {trans.__('Store and path')}
        <input
          className="jp-mod-styled"
          value={text}
          autoFocus
          autoComplete="off"
          spellCheck={false}
          placeholder={trans.__('secret/team/app')}
          data-lk="open-path-input"
          onChange={event => setText(event.target.value)}
        />
      </label>
      <Button className="jp-mod-styled" type="submit">
        {trans.__('Open')}
      </Button>
    </form>
  );

  async function open(): Promise<void> {
    const mounts = new Set(tree.rows.map(({ node }) => node.mount));
    const { mount, path } = placeOf(text, [...mounts]);
    if (!path) {
      return;
    }
    try {
      await tree.reveal(mount, path);
      onDone();
    } catch (error) {
      actions.report(error);
    }
  }
}

/** The folder that something is in, as a path that ends in a slash, or nothing. */
function folderOf(node: INode): string {
  return node.kind === 'folder' || node.kind === 'mount'
    ? node.path
    : node.path.slice(0, node.path.lastIndexOf('/') + 1);
}
