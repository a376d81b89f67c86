/**
 * The secrets that somebody may see, as a tree that is loaded where it is opened.
 */
import { Signal, type ISignal } from '@lumino/signaling';

import type { Engine } from '../engine';
import type { IPlace } from './folders';

/** What a row stands for. */
export type NodeKind = 'mount' | 'folder' | 'secret' | 'field';

/** How it stands with what is below a node. */
export type Below =
  'unknown' | 'loading' | 'loaded' | 'denied' | 'empty' | 'deleted' | 'destroyed' | 'failed';

/** One node. A field's value is not here: it is asked for when it is shown. */
export interface INode {
  readonly id: string;
  readonly kind: NodeKind;
  readonly mount: string;
  /** The path below the mount; of a field, that of its secret. A folder's ends in a slash. */
  readonly path: string;
  readonly name: string;
  readonly parent: INode | undefined;
  /** Of a field. */
  readonly fieldKind?: Engine.FieldInfo['kind'];
  isOpen: boolean;
  below: Below;
  children: INode[];
  error?: unknown;
  /** Of a secret that was read. */
  secret?: Engine.SecretVersion;
}

/** A node with its place among those that are visible. */
export interface IRow {
  readonly node: INode;
  readonly level: number;
  readonly position: number;
  readonly siblings: number;
}

/** How many folders a search looks into. */
const SEARCH_AT_MOST = 300;

/** A source of secrets that may change when somebody else signs in. */
export type SecretsSource = () => Engine.Secrets | undefined;

/** The tree, and which of its nodes is chosen. */
export class SecretTree {
  constructor(
    private readonly _secrets: SecretsSource,
    private readonly _extraMounts: () => readonly string[],
    private readonly _folders: (mounts: readonly string[]) => readonly IPlace[]
  ) {}

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Whether the mounts are being asked for. */
  get isLoading(): boolean {
    return this._isLoading;
  }

  get error(): unknown {
    return this._error;
  }

  get filter(): string {
    return this._filter;
  }

  set filter(text: string) {
    this._filter = text;
    this._update();
  }

  get selected(): INode | undefined {
    return this._selected;
  }

  /** What is visible, from top to bottom. */
  get rows(): readonly IRow[] {
    return this._rows;
  }

  /** Forgets everything, values included. */
  clear(): void {
    this._generation += 1;
    for (const root of this._roots) {
      release(root);
    }
    this._roots = [];
    this._selected = undefined;
    this._error = undefined;
    this._update();
  }

  /** Asks for the mounts. What was open is opened again. */
  async load(): Promise<void> {
    const secrets = this._secrets();
    if (!secrets) {
      return this.clear();
    }
    const open = new Set(
      this._all()
        .filter(node => node.isOpen)
        .map(node => node.id)
    );
    const selected = this._selected?.id;
    this.clear();
    const generation = this._generation;
    this._isLoading = true;
    this._changed.emit();
    let names: string[] = [];
    try {
      names = (await secrets.mounts()).map(({ path }) => path);
    } catch (error) {
      // A token that may not look still has the mounts that were set for it.
      this._error = this._extraMounts().length > 0 ? undefined : error;
    }
    if (generation !== this._generation) {
      return;
    }
    this._isLoading = false;
    const all = [...new Set([...names, ...this._extraMounts()])].sort();
    const folders = this._folders(all).map(pinned);
    this._roots = [...folders, ...all.map(mount => make('mount', mount, '', mount, undefined))];
    this._update();
    // Folders that were set are what somebody wants to see. One store alone is opened, too: there is nothing else to choose.
    const alone = this._roots.length === 1 ? this._roots : [];
    const first = (folders.length > 0 ? folders : alone).map(({ id }) => id);
    await this._reopen(this._roots, new Set([...open, ...first]), generation);
    if (generation === this._generation) {
      this._selected = this._all().find(node => node.id === selected) ?? this._roots[0];
      this._update();
    }
  }

  select(node: INode | undefined): void {
    this._selected = node;
    this._changed.emit();
  }

  async toggle(node: INode): Promise<void> {
    return node.isOpen ? this.close(node) : this.open(node);
  }

  async open(node: INode): Promise<void> {
    if (node.kind === 'field' || node.isOpen) {
      return;
    }
    node.isOpen = true;
    if (node.below === 'unknown' || node.below === 'failed') {
      await this.fill(node);
    }
    this._update();
  }

  async close(node: INode): Promise<void> {
    node.isOpen = false;
    this._update();
  }

  /** Asks again for what is below a node. */
  async refresh(node: INode): Promise<void> {
    if (node.kind === 'field') {
      return node.parent && this.refresh(node.parent);
    }
    const open = new Set(
      this._all()
        .filter(each => each.isOpen)
        .map(each => each.id)
    );
    const generation = this._generation;
    await this.fill(node);
    if (generation === this._generation) {
      await this._reopen(node.children, open, generation);
      this._selected = this._all().find(each => each.id === this._selected?.id) ?? node;
      this._update();
    }
  }

  /** Shows a path that may be readable although its folder is not. */
  async reveal(mount: string, path: string): Promise<INode> {
    // The nearest one above it, if a folder of its own is at the top.
    const above = this._roots.filter(root => root.mount === mount && path.startsWith(root.path));
    let parent = above.sort((a, b) => b.path.length - a.path.length)[0];
    if (!parent) {
      parent = make('mount', mount, '', mount, undefined);
      this._roots = [...this._roots, parent];
    }
    const top = parent.path;
    const parts = path.slice(top.length).split('/').filter(Boolean);
    for (const [index, part] of parts.entries()) {
      const isLast = index === parts.length - 1;
      const below = top + parts.slice(0, index + 1).join('/') + (isLast ? '' : '/');
      parent.isOpen = true;
      if (parent.below === 'unknown') {
        await this.fill(parent);
      }
      const kind = isLast ? 'secret' : 'folder';
      let child: INode | undefined = parent.children.find(
        each => each.kind === kind && each.path === below
      );
      if (!child) {
        child = make(kind, mount, below, part, parent);
        if (kind === 'folder') {
          child.below = 'denied';
        }
        parent.children = sort([...parent.children, child]);
      }
      parent = child;
    }
    await this.open(parent);
    this._selected = parent;
    this._update();
    return parent;
  }

  /** Looks into folders that were not opened yet, so that the filter finds what is there. */
  async searchEverywhere(signal: AbortSignal): Promise<{ complete: boolean }> {
    const queue = this._all().filter(isFolder);
    let asked = 0;
    for (let node = queue.shift(); node; node = queue.shift()) {
      if (signal.aborted || asked >= SEARCH_AT_MOST) {
        return { complete: false };
      }
      if (node.below === 'unknown') {
        asked += 1;
        await this.fill(node);
        this._update();
      }
      queue.push(...node.children.filter(isFolder));
    }
    return { complete: true };
  }

  /** Asks for what is below a node, whether it is open or not. */
  async fill(node: INode): Promise<void> {
    const secrets = this._secrets();
    if (!secrets) {
      return;
    }
    const generation = this._generation;
    node.below = 'loading';
    this._update();
    try {
      if (node.kind === 'secret') {
        await this._read(secrets, node);
      } else {
        await this._list(secrets, node);
      }
      node.error = undefined;
    } catch (error) {
      node.below = 'failed';
      node.error = error;
    }
    if (generation === this._generation) {
      this._update();
    } else {
      release(node);
    }
  }

  private async _list(secrets: Engine.Secrets, node: INode): Promise<void> {
    const listing = await secrets.list(node.mount, node.path);
    if (listing.outcome !== 'listed') {
      node.below = listing.outcome;
      return;
    }
    node.children.forEach(release);
    node.children = sort(
      listing.names.map(name => {
        const kind = name.endsWith('/') ? 'folder' : 'secret';
        return make(kind, node.mount, node.path + name, name.replace(/\/$/, ''), node);
      })
    );
    node.below = 'loaded';
  }

  private async _read(secrets: Engine.Secrets, node: INode): Promise<void> {
    const read = await secrets.read(node.mount, node.path);
    node.secret?.free();
    node.secret = undefined;
    node.children = [];
    if (read.outcome === 'found') {
      node.secret = read.secret;
      node.children = read.secret.fields.map(({ name, kind }) => ({
        ...make('field', node.mount, node.path, name, node),
        fieldKind: kind
      }));
      node.below = node.children.length > 0 ? 'loaded' : 'empty';
    } else {
      node.below = read.outcome === 'missing' ? 'empty' : read.outcome;
    }
  }

  private async _reopen(
    nodes: readonly INode[],
    open: ReadonlySet<string>,
    generation: number
  ): Promise<void> {
    for (const node of nodes) {
      if (generation !== this._generation) {
        return;
      }
      if (open.has(node.id)) {
        await this.open(node);
        await this._reopen(node.children, open, generation);
      }
    }
  }

  private _all(): INode[] {
    const all: INode[] = [];
    const walk = (nodes: readonly INode[]) => {
      for (const node of nodes) {
        all.push(node);
        walk(node.children);
      }
    };
    walk(this._roots);
    return all;
  }

  private _update(): void {
    const wanted = this._filter.trim().toLowerCase();
    this._rows = wanted ? filtered(this._roots, wanted) : visible(this._roots);
    this._changed.emit();
  }

  private readonly _changed = new Signal<this, void>(this);
  private _roots: INode[] = [];
  private _rows: readonly IRow[] = [];
  private _selected: INode | undefined;
  private _filter = '';
  private _isLoading = false;
  private _error: unknown;
  private _generation = 0;
}

function make(
  kind: NodeKind,
  mount: string,
  path: string,
  name: string,
  parent: INode | undefined
): INode {
  // What is below a folder at the top may be in its store as well: the two are two nodes.
  const tree = parent?.id.startsWith(PINNED) ? PINNED : '';
  const own = kind === 'field' ? `field:${mount}/${path}#${name}` : `${kind}:${mount}/${path}`;
  const id = tree + own;
  return { id, kind, mount, path, name, parent, isOpen: false, below: 'unknown', children: [] };
}

const PINNED = 'pinned:';

/** A folder at the top of the tree, called by its whole path in the store. */
function pinned({ mount, path }: IPlace): INode {
  const node = make('folder', mount, path, path.replace(/\/$/, ''), undefined);
  return { ...node, id: PINNED + node.id };
}

const isFolder = (node: INode) => node.kind === 'mount' || node.kind === 'folder';

/** Folders first, and both by their names. */
function sort(nodes: INode[]): INode[] {
  const collator = new Intl.Collator(undefined, { numeric: true });
  return nodes.sort(
    (a, b) => Number(isFolder(b)) - Number(isFolder(a)) || collator.compare(a.name, b.name)
  );
}

/** Wipes the values of a node and of what is below it. */
function release(node: INode): void {
  node.secret?.free();
  node.secret = undefined;
  node.children.forEach(release);
}

function visible(roots: readonly INode[]): IRow[] {
  const rows: IRow[] = [];
  const walk = (nodes: readonly INode[], level: number) => {
    nodes.forEach((node, index) => {
      rows.push({ node, level, position: index + 1, siblings: nodes.length });
      if (node.isOpen) {
        walk(node.children, level + 1);
      }
    });
  };
  walk(roots, 1);
  return rows;
}

/** The nodes whose path has the text, with everything above them, and below them what is open. */
function filtered(roots: readonly INode[], wanted: string): IRow[] {
  const isHit = ({ kind, name, path }: INode) =>
    (kind === 'mount' || kind === 'field' ? name : path).toLowerCase().includes(wanted);
  const walk = (nodes: readonly INode[], level: number, isShown: boolean): IRow[] => {
    const kept = nodes
      .map(node => {
        const isWanted = isShown || isHit(node);
        return { node, isWanted, below: walk(node.children, level + 1, isWanted && node.isOpen) };
      })
      .filter(({ below, isWanted }) => isWanted || below.length > 0);
    return kept.flatMap(({ node, below }, index) => [
      { node, level, position: index + 1, siblings: kept.length },
      ...below
    ]);
  };
  return walk(roots, 1, false);
}
