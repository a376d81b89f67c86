/**
 * The plugins of `jupyterlab-latchkey`.
 *
 * Everything is optional but the application itself: Notebook 7 has no status bar, and under a strict
 * Content-Security-Policy there is no settings registry.
 */
import {
  ILabShell,
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { IConsoleTracker } from '@jupyterlab/console';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStateDB } from '@jupyterlab/statedb';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { DisposableSet, type IDisposable } from '@lumino/disposable';

// The panel, its commands and the kernels that begin anew are there from the start. What is heavy, the engine, comes later.
/* eslint-disable jupyter/prefer-lazy-imports */
import { Actions } from './actions';
import { addCommands } from './commands';
import { PANEL_ID, PanelWidget } from './components/panel';
import { StatusWidget } from './components/status';
import { VaultConnector } from './connector';
import { Memory } from './kernel/memory';
import { Notebooks } from './kernel/notebooks';
import { Latchkey } from './latchkey';
import { foldersFor, placeOf } from './secrets/folders';
import { Permissions } from './secrets/permissions';
import { SecretTree } from './secrets/tree';
import { PLUGIN_ID, Settings } from './settings';
import { ILatchkey } from './tokens';
import { VERSION } from './version';
/* eslint-enable jupyter/prefer-lazy-imports */

export { ILatchkey } from './tokens';

/** What ends with the plugin. */
let active: IDisposable | undefined;

const plugin: JupyterFrontEndPlugin<ILatchkey> = {
  id: PLUGIN_ID,
  description:
    'The panel with the secrets of Vault or OpenBao, and the way from it into the kernel.',
  autoStart: true,
  provides: ILatchkey,
  optional: [
    ISettingRegistry,
    ITranslator,
    ILayoutRestorer,
    ICommandPalette,
    INotebookTracker,
    IConsoleTracker,
    IStateDB,
    IStatusBar,
    ILabShell
  ],
  activate: (
    app: JupyterFrontEnd,
    registry: ISettingRegistry | null,
    translator: ITranslator | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    notebookTracker: INotebookTracker | null,
    consoleTracker: IConsoleTracker | null,
    state: IStateDB | null,
    statusBar: IStatusBar | null,
    labShell: ILabShell | null
  ): ILatchkey => {
    const { languageCode } = translator ?? nullTranslator;
    const trans = (translator ?? nullTranslator).load('jupyterlab_latchkey');
    const settings = new Settings();
    const latchkey = new Latchkey(settings);
    const tree = new SecretTree(
      () => latchkey.secrets,
      () => settings.values.mounts,
      mounts => foldersFor(latchkey.identity?.name ?? '', settings.values.folders, mounts)
    );
    const trackers = [notebookTracker, consoleTracker].filter(tracker => tracker !== null);
    const notebooks = new Notebooks(latchkey, new Memory(state), app.serviceManager, trackers);
    const openPanel = () => {
      app.shell.activateById(PANEL_ID);
      // In Notebook 7 the side panels begin closed.
      if (!labShell && app.commands.hasCommand('application:toggle-panel') && !panel.isVisible) {
        void app.commands.execute('application:toggle-panel', { side: 'right', id: PANEL_ID });
      }
    };
    const openSettings = () => {
      void app.commands.execute('settingeditor:open', { query: 'Latchkey' });
    };
    const actions = new Actions(latchkey, tree, notebooks, trans, {
      openSettings,
      openPanel,
      version: VERSION
    });
    const panel = new PanelWidget({
      latchkey,
      tree,
      permissions: new Permissions(() => latchkey.secrets),
      notebooks,
      trans,
      language: languageCode,
      actions
    });
    latchkey.ask = openPanel;
    latchkey.concern.connect((_, concern) => actions.tellConcern(concern), panel);
    notebooks.restored.connect((_, restored) => actions.tellRestored(restored), panel);
    app.shell.add(panel, labShell ? 'left' : 'right', { rank: 550 });
    restorer?.add(panel, PANEL_ID);
    const commands = { latchkey, tree, notebooks, actions, trans, openPanel };
    const all = DisposableSet.from([
      addCommands(app, commands, palette),
      panel,
      notebooks,
      latchkey
    ]);
    active = all;
    if (statusBar) {
      const item = new StatusWidget(latchkey, trans, openPanel);
      all.add(item);
      all.add(
        statusBar.registerStatusItem('jupyterlab-latchkey:status', {
          item,
          align: 'right',
          rank: 60,
          isActive: () => settings.values.showStatus && latchkey.isConfigured,
          activeStateChanged: settings.changed
        })
      );
    }
    if (registry) {
      settings.follow(registry).catch(() => {
        // Without settings the panel says what is missing.
      });
    }
    return latchkey;
  },
  deactivate: () => {
    active?.dispose();
    active = undefined;
  }
};

/**
 * Another extension keeps its keys through `jupyter-secrets-manager`: with this they are in Vault.
 *
 * Its token is none of our dependencies: a token is an object, and a copy of ours would be another one than that of the
 * extension. Where it is installed it is asked for its own.
 */
const connector: JupyterFrontEndPlugin<void> = {
  id: 'jupyterlab-latchkey:secrets-manager',
  description: 'Keeps the keys of other extensions in Vault, through jupyter-secrets-manager.',
  autoStart: true,
  requires: [ILatchkey],
  optional: [ISettingRegistry],
  activate: (
    app: JupyterFrontEnd,
    latchkey: ILatchkey,
    registry: ISettingRegistry | null
  ): void => {
    const isThere = app.hasPlugin('jupyter-secrets-manager:manager');
    // Two connectors lock the manager: ours comes only where its own has been turned off.
    if (!isThere || !registry || app.hasPlugin('jupyter-secrets-manager:connector')) {
      return;
    }
    void connect(app, latchkey, registry);
  }
};

/** Gives the manager our connector, if a place for the keys is set. */
async function connect(
  app: JupyterFrontEnd,
  latchkey: ILatchkey,
  registry: ISettingRegistry
): Promise<void> {
  const settings = await registry.load(PLUGIN_ID);
  const path = settings.get('secretsManagerPath').composite as string;
  const { mount, path: folder } = placeOf(path, []);
  if (!mount || !folder) {
    return;
  }
  const { ISecretsManager } = await import('jupyter-secrets-manager');
  const manager = await app.resolveOptionalService(ISecretsManager);
  manager?.setConnector(new VaultConnector(latchkey, { mount, folder }));
}

export default [plugin, connector];
