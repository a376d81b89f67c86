/**
 * The notebook or console in front, and what its kernel was given.
 */
import type { ISessionContext } from '@jupyterlab/apputils';
import type { IConsoleTracker } from '@jupyterlab/console';
import { ServerConnection, type Kernel, type ServiceManager } from '@jupyterlab/services';
import type { INotebookTracker } from '@jupyterlab/notebook';
import { URLExt } from '@jupyterlab/coreutils';
import type { IDisposable } from '@lumino/disposable';
import { Signal, type ISignal } from '@lumino/signaling';
import type { Widget } from '@lumino/widgets';

import type { Latchkey } from '../latchkey';
import { forgetVariables, KernelError, setVariables } from './inject';
import type { IRemembered, Memory } from './memory';

/** Where values can go. */
export interface ITarget {
  /** The notebook's path, or that of the console. */
  readonly path: string;
  readonly title: string;
  readonly context: ISessionContext;
}

/** What came of putting the values back. */
export type Restored =
  | { readonly kind: 'restored'; readonly target: ITarget; readonly count: number }
  | { readonly kind: 'needs-sign-in'; readonly target: ITarget; readonly count: number }
  | { readonly kind: 'failed'; readonly target: ITarget; readonly error: unknown };

/** Follows the notebooks and consoles of the page. */
export class Notebooks implements IDisposable {
  constructor(
    private readonly _latchkey: Latchkey,
    private readonly _memory: Memory,
    private readonly _services: ServiceManager.IManager,
    trackers: ReadonlyArray<INotebookTracker | IConsoleTracker>
  ) {
    for (const tracker of trackers) {
      tracker.currentChanged.connect(this._onCurrent, this);
      tracker.widgetAdded.connect(this._onAdded, this);
      tracker.forEach(widget => this._follow(widget));
      if (tracker.currentWidget) {
        this._current = tracker.currentWidget;
      }
    }
    _latchkey.changed.connect(this._onSession, this);
  }

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Emitted when a kernel came back and its variables were due. */
  get restored(): ISignal<this, Restored> {
    return this._restored;
  }

  /** The notebook or console in front, if it has a kernel. */
  get target(): ITarget | undefined {
    const widget = this._current;
    const context = widget && !widget.isDisposed ? contextOf(widget) : undefined;
    return widget && context
      ? { path: context.path, title: widget.title.label, context }
      : undefined;
  }

  /** What the kernel of this notebook was given. */
  remembered(target: ITarget): Promise<IRemembered[]> {
    return this._memory.of(target.path);
  }

  /** How many clients the kernel has beside this one. The server knows; where it does not say, none. */
  async othersAt(kernel: Kernel.IKernelConnection): Promise<number> {
    const settings = this._services.serverSettings;
    const url = URLExt.join(settings.baseUrl, 'api/kernels', encodeURIComponent(kernel.id));
    try {
      const response = await ServerConnection.makeRequest(url, {}, settings);
      const { connections } = (await response.json()) as { connections?: number };
      return Math.max(0, (connections ?? 1) - 1);
    } catch {
      return 0;
    }
  }

  /** Puts fields of secrets into variables of a kernel, and remembers their paths if that is wanted. */
  async put(target: ITarget, wanted: readonly IRemembered[], remember: boolean): Promise<void> {
    const values = await this._read(wanted);
    await setVariables(kernelOf(target), values);
    if (remember) {
      await this._memory.add(target.path, wanted);
    }
    this._changed.emit();
  }

  /** Forgets the paths, and takes the variables out of the kernel. Returns the names of those that were taken out. */
  async forget(target: ITarget): Promise<string[]> {
    const names = (await this._memory.of(target.path)).map(({ variable }) => variable);
    await this._memory.forget(target.path);
    this._changed.emit();
    if (names.length === 0 || !target.context.session?.kernel) {
      return [];
    }
    await forgetVariables(kernelOf(target), names);
    return names;
  }

  /** Puts back what a kernel lost. */
  async restore(target: ITarget): Promise<void> {
    const wanted = await this._memory.of(target.path);
    if (wanted.length === 0) {
      return;
    }
    const count = wanted.length;
    if (!this._latchkey.identity && !(await this._latchkey.trySilently())) {
      this._waiting.add(target.context);
      this._restored.emit({ kind: 'needs-sign-in', target, count });
      return;
    }
    try {
      await setVariables(kernelOf(target), await this._read(wanted));
      this._restored.emit({ kind: 'restored', target, count });
    } catch (error) {
      this._restored.emit({ kind: 'failed', target, error });
    }
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  /** Hears of nothing any more: its own signals, and those that it follows. */
  dispose(): void {
    this._isDisposed = true;
    Signal.clearData(this);
  }

  private async _read(wanted: readonly IRemembered[]): Promise<Map<string, string>> {
    const session = await this._latchkey.session();
    const values = new Map<string, string>();
    for (const { variable, mount, path, field } of wanted) {
      const read = await session.secrets.read(mount, path);
      if (read.outcome !== 'found') {
        throw new KernelError('kernel_value', `${mount}/${path} is ${read.outcome}`);
      }
      try {
        values.set(variable, read.secret.value(field));
      } finally {
        read.secret.free();
      }
    }
    return values;
  }

  private _onCurrent(_: unknown, widget: Widget | null): void {
    if (widget) {
      this._current = widget;
    }
    this._changed.emit();
  }

  private _onAdded(_: unknown, widget: Widget): void {
    this._follow(widget);
  }

  /** Hears of every kernel that begins anew. */
  private _follow(widget: Widget): void {
    const context = contextOf(widget);
    if (!context || this._followed.has(context)) {
      return;
    }
    this._followed.add(context);
    let isDue = false;
    context.statusChanged.connect((_, status) => {
      if (status === 'restarting' || status === 'autorestarting') {
        isDue = true;
      } else if (status === 'idle' && isDue) {
        isDue = false;
        void this.restore({ path: context.path, title: widget.title.label, context });
      }
      this._changed.emit();
    }, this);
    context.kernelChanged.connect((_, { oldValue, newValue }) => {
      // The first kernel of a page that was loaded again may still have what it was given.
      isDue = isDue || (oldValue !== null && newValue !== null && oldValue.id !== newValue.id);
      this._changed.emit();
    }, this);
    widget.disposed.connect(() => {
      this._waiting.delete(context);
      if (this._current === widget) {
        this._current = undefined;
        this._changed.emit();
      }
    }, this);
  }

  /** What could not be put back without a person is put back once they have signed in. */
  private _onSession(): void {
    if (!this._latchkey.identity) {
      return;
    }
    const waiting = [...this._waiting];
    this._waiting.clear();
    for (const context of waiting) {
      void this.restore({ path: context.path, title: context.name, context });
    }
  }

  private readonly _changed = new Signal<this, void>(this);
  private readonly _restored = new Signal<this, Restored>(this);
  private readonly _followed = new WeakSet<ISessionContext>();
  private readonly _waiting = new Set<ISessionContext>();
  private _current: Widget | undefined;
  private _isDisposed = false;
}

function kernelOf(target: ITarget): Kernel.IKernelConnection {
  const kernel = target.context.session?.kernel;
  if (!kernel) {
    throw new KernelError('kernel_gone', 'the notebook has no kernel');
  }
  return kernel;
}

/** Notebooks have it on themselves, consoles on what they contain. */
function contextOf(widget: Widget): ISessionContext | undefined {
  const { sessionContext, console } = widget as {
    sessionContext?: ISessionContext;
    console?: { sessionContext: ISessionContext };
  };
  return sessionContext ?? console?.sessionContext;
}
