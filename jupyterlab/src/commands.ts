/**
 * The commands, for the palette, for menus and for shortcuts that people define.
 */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ICommandPalette } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { DisposableDelegate, DisposableSet, type IDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';

import type { Actions } from './actions';
import { keyIcon } from './icons';
import type { Notebooks } from './kernel/notebooks';
import type { Latchkey } from './latchkey';
import type { SecretTree } from './secrets/tree';
import { ways } from './signin/ways';

/** The ids of our commands. */
export const CommandIDs = {
  open: 'jupyterlab-latchkey:open',
  signIn: 'jupyterlab-latchkey:sign-in',
  signOut: 'jupyterlab-latchkey:sign-out',
  inject: 'jupyterlab-latchkey:put-into-kernel',
  restore: 'jupyterlab-latchkey:put-back',
  forget: 'jupyterlab-latchkey:forget',
  token: 'jupyterlab-latchkey:give-token',
  doctor: 'jupyterlab-latchkey:check-setup'
} as const;

/** What the commands work on. */
export interface ICommandParts {
  readonly latchkey: Latchkey;
  readonly tree: SecretTree;
  readonly notebooks: Notebooks;
  readonly actions: Actions;
  readonly trans: TranslationBundle;
  readonly openPanel: () => void;
}

const NO_ARGUMENTS = { args: { type: 'object', properties: {} } } as const;

export function addCommands(
  app: JupyterFrontEnd,
  parts: ICommandParts,
  palette: ICommandPalette | null
): IDisposable {
  const { latchkey, tree, notebooks, actions, trans, openPanel } = parts;
  const { commands } = app;
  const added = new DisposableSet();
  const add = (...command: Parameters<typeof commands.addCommand>) => {
    added.add(commands.addCommand(...command));
  };

  add(CommandIDs.open, {
    label: trans.__('Show the secrets'),
    caption: trans.__('Show the panel with your secrets from Vault or OpenBao'),
    icon: keyIcon,
    describedBy: NO_ARGUMENTS,
    execute: openPanel
  });
  add(CommandIDs.signIn, {
    label: trans.__('Sign in'),
    caption: trans.__('Sign in at Vault or OpenBao in the way that suits this page best'),
    icon: keyIcon,
    describedBy: NO_ARGUMENTS,
    isEnabled: () => latchkey.isConfigured && !latchkey.identity,
    execute: async () => {
      openPanel();
      const best = ways(latchkey.settings.values, trans).find(way => !way.missing);
      if (best && best.id !== 'token') {
        await latchkey.signIn.start(best.id);
      }
    }
  });
  add(CommandIDs.signOut, {
    label: trans.__('Sign out'),
    caption: trans.__('Forget the token, here and in the Vault'),
    describedBy: NO_ARGUMENTS,
    isEnabled: () => latchkey.identity !== undefined,
    execute: () => latchkey.signOut().catch(error => actions.report(error))
  });
  add(CommandIDs.inject, {
    label: trans.__('Put the chosen secret into the kernel …'),
    caption: trans.__(
      'Set environment variables of the notebook in front from the secret that is chosen'
    ),
    describedBy: NO_ARGUMENTS,
    isEnabled: () =>
      (tree.selected?.kind === 'secret' || tree.selected?.kind === 'field') && !!notebooks.target,
    execute: () => (tree.selected ? actions.putIntoKernel(tree.selected) : undefined)
  });
  add(CommandIDs.restore, {
    label: trans.__('Put the secrets back into the kernel'),
    caption: trans.__('Set again the variables that this notebook asked for before'),
    describedBy: NO_ARGUMENTS,
    isEnabled: () => !!notebooks.target,
    execute: () => (notebooks.target ? notebooks.restore(notebooks.target) : undefined)
  });
  add(CommandIDs.forget, {
    label: trans.__('Take the secrets out of the kernel'),
    caption: trans.__('Remove the variables that this notebook asked for, and forget them'),
    describedBy: NO_ARGUMENTS,
    isEnabled: () => !!notebooks.target,
    execute: () => (notebooks.target ? actions.forget(notebooks.target) : undefined)
  });
  add(CommandIDs.token, {
    label: trans.__('Give the kernel a Vault token …'),
    caption: trans.__('Set VAULT_TOKEN to a child of your token, which travels wrapped'),
    describedBy: NO_ARGUMENTS,
    isEnabled: () => !!notebooks.target && latchkey.identity !== undefined,
    execute: () => actions.putToken()
  });
  add(CommandIDs.doctor, {
    label: trans.__('Check the set-up'),
    caption: trans.__(
      'Look at addresses, CORS, redirect address, scopes and clocks, and show each cure'
    ),
    describedBy: NO_ARGUMENTS,
    execute: () => actions.runDoctor()
  });

  const category = trans.__('Secrets');
  for (const command of Object.values(CommandIDs)) {
    if (palette) {
      added.add(palette.addItem({ command, category }));
    }
  }
  const changed = () => commands.notifyCommandChanged();
  const signals = [latchkey.changed, notebooks.changed, tree.changed];
  for (const signal of signals as ISignal<unknown, void>[]) {
    signal.connect(changed);
    added.add(new DisposableDelegate(() => void signal.disconnect(changed)));
  }
  return added;
}
