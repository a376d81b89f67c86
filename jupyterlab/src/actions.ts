/**
 * What the panel and the commands do that needs more than the panel: dialogues, notifications, the clipboard, kernels.
 */
import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

import { copySecret } from './clipboard';
import { codeOf } from './codes';
import type { IActions } from './components/context';
import { DoctorBody } from './components/doctor';
import { InjectBody } from './components/inject';
import { examine } from './doctor';
import { describe, needsSignIn } from './errors';
import { languageOfKernel, unwrapToken, untilIdle, writeFile } from './kernel/inject';
import { isVariableName } from './kernel/names';
import type { Notebooks, ITarget, Restored } from './kernel/notebooks';
import type { Concern, Latchkey } from './latchkey';
import { isForeignServer, vaultUrl } from './page';
import type { INode, SecretTree } from './secrets/tree';

/** What the application does for us. */
export interface IApplicationParts {
  readonly openSettings: () => void;
  readonly openPanel: () => void;
  readonly version: string;
}

export class Actions implements IActions {
  constructor(
    private readonly _latchkey: Latchkey,
    private readonly _tree: SecretTree,
    private readonly _notebooks: Notebooks,
    private readonly _trans: TranslationBundle,
    private readonly _parts: IApplicationParts
  ) {}

  openSettings(): void {
    this._parts.openSettings();
  }

  runDoctor(): void {
    void this._doctor();
  }

  /** What went wrong, and what can be done; never a secret. */
  report(error: unknown): void {
    const message = this._sentence(error);
    const actions = needsSignIn(error)
      ? [{ label: this._trans.__('Sign in'), callback: () => this._parts.openPanel() }]
      : [];
    Notification.error(message, { autoClose: 8000, actions });
  }

  say(text: string): void {
    Notification.success(text, { autoClose: 3000 });
  }

  async confirm(title: string, body: string, accept: string): Promise<boolean> {
    const result = await showDialog({
      title,
      body,
      buttons: [
        Dialog.cancelButton({ label: this._trans.__('Cancel') }),
        Dialog.warnButton({ label: accept })
      ]
    });
    return result.button.accept;
  }

  async copy(value: string, what: string): Promise<void> {
    const { clipboardSeconds } = this._latchkey.settings.values;
    try {
      await copySecret(value, clipboardSeconds);
      this.say(
        clipboardSeconds > 0
          ? this._trans.__(
              '%1 is copied. The clipboard is cleared in %2 s.',
              what,
              clipboardSeconds
            )
          : this._trans.__('%1 is copied.', what)
      );
    } catch (error) {
      this.report(error);
    }
  }

  async putIntoKernel(node: INode): Promise<void> {
    try {
      await this._putIntoKernel(node);
    } catch (error) {
      this.report(error);
    }
  }

  async forget(target: ITarget): Promise<void> {
    try {
      const names = await this._inTurn(target, this._notebooks.forget(target));
      if (names.length > 0) {
        this.say(this._trans.__('Taken out of %1: %2', target.title, names.join(', ')));
      }
    } catch (error) {
      this.report(error);
    }
  }

  async putToken(): Promise<void> {
    const trans = this._trans;
    try {
      const target = this._target();
      const session = await this._latchkey.session();
      const isSure = await this.confirm(
        trans.__('Give the kernel a Vault token?'),
        trans.__(
          'The kernel gets a token of its own, a child of yours, that ends with yours. It travels wrapped: what is on the way is good for one use. All code in the notebook can use it.'
        ),
        trans.__('Give it')
      );
      const kernel = target.context.session?.kernel;
      if (!isSure || !kernel) {
        return;
      }
      const { values } = this._latchkey.settings;
      const names = values.kernelTokenVariables.filter(isVariableName);
      await this._inTurn(target, untilIdle(kernel));
      const { token } = await session.wrapChildToken();
      await unwrapToken(kernel, vaultUrl(values), values.namespace, token, names);
      this.say(trans.__('Set in %1: %2', target.title, [...names, 'VAULT_ADDR'].join(', ')));
    } catch (error) {
      this.report(error);
    }
  }

  /** What came of a kernel that began anew. */
  tellRestored(restored: Restored): void {
    const trans = this._trans;
    const { target } = restored;
    switch (restored.kind) {
      case 'restored':
        Notification.info(
          trans._n(
            'The kernel of %2 has its secret again.',
            'The kernel of %2 has its %1 secrets again.',
            restored.count,
            target.title
          ),
          { autoClose: 4000 }
        );
        break;
      case 'needs-sign-in':
        Notification.warning(
          trans.__(
            'The kernel of %1 lost its secrets. Sign in, and it has them again.',
            target.title
          ),
          {
            autoClose: false,
            actions: [{ label: trans.__('Sign in'), callback: () => this._parts.openPanel() }]
          }
        );
        break;
      case 'failed':
        this.report(restored.error);
    }
  }

  /** The token needs a person. */
  tellConcern(concern: Concern): void {
    const trans = this._trans;
    const text =
      concern === 'lost'
        ? trans.__('Your sign-in has ended.')
        : trans.__('Your sign-in ends soon, and cannot be prolonged.');
    // What was told before is no news any more.
    if (this._concern !== undefined) {
      Notification.dismiss(this._concern);
    }
    this._concern = Notification.warning(text, {
      autoClose: false,
      actions: [{ label: trans.__('Sign in again'), callback: () => this._parts.openPanel() }]
    });
  }

  private async _putIntoKernel(node: INode): Promise<void> {
    const trans = this._trans;
    const target = this._target();
    const kernel = target.context.session?.kernel;
    const secretNode = node.kind === 'field' ? node.parent : node;
    if (!kernel || !secretNode) {
      return;
    }
    if (!secretNode.secret) {
      await this._tree.fill(secretNode);
    }
    const { secret } = secretNode;
    if (!secret) {
      return;
    }
    const language = await languageOfKernel(kernel);
    const wanted = secret.fields.filter(({ name }) => node.kind === 'secret' || name === node.name);
    const body = new InjectBody(
      {
        mount: secret.mount,
        path: secret.path,
        fields: wanted.map(({ name, kind }) => ({ name, isText: kind === 'text' })),
        others: await this._notebooks.othersAt(kernel),
        canWriteFiles: language.file !== undefined,
        isTested: language.isTested
      },
      trans
    );
    const result = await showDialog({
      title: trans.__('Into the kernel of %1', target.title),
      body,
      buttons: [
        Dialog.cancelButton({ label: trans.__('Cancel') }),
        Dialog.okButton({ label: trans.__('Put it there') })
      ]
    });
    const choice = result.value;
    if (!result.button.accept || !choice || choice.variables.length === 0) {
      return;
    }
    await this._inTurn(target, untilIdle(kernel));
    if (choice.kind === 'file') {
      const [{ field }] = choice.variables;
      await writeFile(kernel, choice.file, secret.value(field));
      this.say(trans.__('%1 is written.', choice.file));
      return;
    }
    await this._notebooks.put(target, choice.variables, choice.remember);
    const names = choice.variables.map(({ variable }) => variable).join(', ');
    this.say(trans.__('Set in %1: %2', target.title, names));
  }

  /** The notebook in front; nothing goes into the kernels of somebody else's server. */
  private _target(): ITarget {
    if (isForeignServer()) {
      throw new Error(
        this._trans.__("This is somebody else's server: no secret goes into its kernels.")
      );
    }
    const { target } = this._notebooks;
    if (!target?.context.session?.kernel) {
      throw new Error(this._trans.__('Open a notebook with a running kernel first.'));
    }
    return target;
  }

  /** Says that the kernel is busy, if it is, for as long as somebody waits for it. */
  private async _inTurn<T>(target: ITarget, work: Promise<T>): Promise<T> {
    const kernel = target.context.session?.kernel;
    const isBusy = kernel && kernel.status !== 'idle';
    const note = isBusy
      ? Notification.info(
          this._trans.__('The kernel of %1 is busy: this is done when it is free.', target.title),
          { autoClose: false }
        )
      : undefined;
    try {
      return await work;
    } finally {
      if (note !== undefined) {
        Notification.dismiss(note);
      }
    }
  }

  private async _doctor(): Promise<void> {
    const trans = this._trans;
    const { values } = this._latchkey.settings;
    const findings = await examine(values, this._parts.version, trans);
    await showDialog({
      title: trans.__('The set-up of Latchkey'),
      body: new DoctorBody(findings, trans),
      buttons: [Dialog.okButton({ label: trans.__('Close') })]
    });
  }

  private _sentence(error: unknown): string {
    const trans = this._trans;
    switch (codeOf(error)) {
      case 'kernel_language':
        return trans.__('There is no way into a kernel of this language yet.');
      case 'kernel_gone':
        return trans.__('The kernel went away in the meantime.');
      case 'kernel_no_stdin':
        return trans.__('This kernel does not ask for input, so that nothing can be put into it.');
      case 'kernel_value':
      case 'kernel_refused':
        return trans.__('The kernel did not take it: %1', (error as Error).message);
      default:
        return error instanceof Error && codeOf(error) === ''
          ? error.message
          : describe(error, trans);
    }
  }

  private _concern: string | undefined;
}
