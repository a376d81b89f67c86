/**
 * The tree of secrets. Only what is visible is drawn, however many there are.
 */
import { caretDownIcon, caretRightIcon, type LabIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import { fieldIcon, folderIcon, secretIcon, storeIcon } from '../icons';
import type { INode, IRow } from '../secrets/tree';
import { describe } from '../errors';
import { usePanel, useSignal } from './context';

/** The height of a row in pixels, as the style sheet has it. */
const ROW = 24;

/** How many rows are drawn beyond what is visible. */
const MORE = 8;

const ICONS: Record<INode['kind'], LabIcon> = {
  mount: storeIcon,
  folder: folderIcon,
  secret: secretIcon,
  field: fieldIcon
};

/** Which fields are shown in clear, and until when: see the panel's actions. */
export interface IRevealed {
  has(node: INode): boolean;
  toggle(node: INode): void;
}

export function Tree({ revealed }: { revealed: IRevealed }): JSX.Element {
  const { tree, trans } = usePanel();
  useSignal(tree.changed);
  const box = React.useRef<HTMLDivElement>(null);
  const [view, setView] = React.useState({ top: 0, height: 400 });
  const { rows, selected } = tree;
  const index = Math.max(
    0,
    rows.findIndex(({ node }) => node === selected)
  );

  React.useEffect(() => {
    const element = box.current;
    if (!element) {
      return;
    }
    const measure = () => setView({ top: element.scrollTop, height: element.clientHeight });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    measure();
    return () => observer.disconnect();
  }, []);

  // What is chosen by the keyboard is brought into sight.
  React.useEffect(() => {
    const element = box.current;
    if (!element || !selected) {
      return;
    }
    if (index * ROW < element.scrollTop) {
      element.scrollTop = index * ROW;
    } else if ((index + 1) * ROW > element.scrollTop + element.clientHeight) {
      element.scrollTop = (index + 1) * ROW - element.clientHeight;
    }
  }, [index, selected]);

  const from = Math.max(0, Math.floor(view.top / ROW) - MORE);
  const to = Math.min(rows.length, Math.ceil((view.top + view.height) / ROW) + MORE);
  const drawn: [number, IRow][] = [];
  for (let at = from; at < to; at += 1) {
    drawn.push([at, rows[at]]);
  }
  // What has the focus of a screen reader is always there.
  if (rows[index] && (index < from || index >= to)) {
    drawn.push([index, rows[index]]);
  }

  return (
    <div
      ref={box}
      className="lk-tree"
      role="tree"
      tabIndex={0}
      aria-label={trans.__('Secrets')}
      aria-busy={tree.isLoading}
      aria-activedescendant={rows[index] ? rowId(rows[index].node) : undefined}
      onScroll={event =>
        setView({ top: event.currentTarget.scrollTop, height: event.currentTarget.clientHeight })
      }
      onKeyDown={event => onKey(event, rows, index)}
    >
      <div className="lk-rows" role="presentation" style={{ height: rows.length * ROW }}>
        {drawn.map(([at, row]) => (
          <Row
            key={row.node.id}
            row={row}
            top={at * ROW}
            isSelected={at === index}
            isRevealed={revealed.has(row.node)}
            onReveal={() => revealed.toggle(row.node)}
          />
        ))}
      </div>
    </div>
  );

  function onKey(event: React.KeyboardEvent, all: readonly IRow[], at: number): void {
    const node = all[at]?.node;
    if (!node || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const page = Math.max(1, Math.floor(view.height / ROW) - 1);
    const go = (next: number) => tree.select(all[Math.min(all.length - 1, Math.max(0, next))].node);
    switch (event.key) {
      case 'ArrowDown':
        go(at + 1);
        break;
      case 'ArrowUp':
        go(at - 1);
        break;
      case 'PageDown':
        go(at + page);
        break;
      case 'PageUp':
        go(at - page);
        break;
      case 'Home':
        go(0);
        break;
      case 'End':
        go(all.length - 1);
        break;
      case 'ArrowRight':
        if (node.kind !== 'field' && !node.isOpen) {
          void tree.open(node);
        } else if (node.children.length > 0) {
          go(at + 1);
        }
        break;
      case 'ArrowLeft':
        if (node.isOpen && node.kind !== 'field') {
          void tree.close(node);
        } else if (node.parent) {
          tree.select(node.parent);
        }
        break;
      case 'Enter':
      case ' ':
        if (node.kind === 'field') {
          revealed.toggle(node);
        } else {
          void tree.toggle(node);
        }
        break;
      default:
        if (event.key.length === 1) {
          // Typing goes to the next name that begins so.
          const key = event.key.toLowerCase();
          const order = [...all.slice(at + 1), ...all.slice(0, at + 1)];
          const next = order.find(each => each.node.name.toLowerCase().startsWith(key));
          if (next) {
            tree.select(next.node);
            break;
          }
        }
        return;
    }
    event.preventDefault();
    event.stopPropagation();
  }
}

interface IRowProps {
  row: IRow;
  top: number;
  isSelected: boolean;
  isRevealed: boolean;
  onReveal: () => void;
}

/** Drawn again only when something of it has changed: while somebody scrolls, most rows stay as they are. */
const Row = React.memo(
  DrawnRow,
  (before, after) =>
    before.row === after.row &&
    before.top === after.top &&
    before.isSelected === after.isSelected &&
    before.isRevealed === after.isRevealed
);

function DrawnRow({ row, top, isSelected, isRevealed, onReveal }: IRowProps): JSX.Element {
  const { tree, trans } = usePanel();
  const { node, level } = row;
  const isBranch = node.kind !== 'field';
  const Icon = ICONS[node.kind];
  const Caret = node.isOpen ? caretDownIcon : caretRightIcon;
  const note = noteOn(node);
  return (
    <div
      id={rowId(node)}
      role="treeitem"
      className={`lk-row lk-${node.kind}`}
      aria-level={level}
      aria-posinset={row.position}
      aria-setsize={row.siblings}
      aria-selected={isSelected}
      aria-expanded={isBranch ? node.isOpen : undefined}
      style={{ top, paddingLeft: 4 + (level - 1) * 14 }}
      onClick={() => {
        tree.select(node);
        if (isBranch) {
          void tree.toggle(node);
        }
      }}
      title={node.kind === 'field' ? undefined : `${node.mount}/${node.path}`}
    >
      <span className="lk-caret" aria-hidden="true">
        {isBranch && <Caret.react tag="span" width="14px" />}
      </span>
      <Icon.react tag="span" className="lk-icon" width="16px" aria-hidden="true" />
      <span className="lk-name">{node.name}</span>
      {node.kind === 'field' && (
        <span
          className={isRevealed ? 'lk-value' : 'lk-value lk-masked'}
          onClick={event => {
            event.stopPropagation();
            tree.select(node);
            onReveal();
          }}
        >
          {isRevealed ? valueOf(node) : trans.__('hidden')}
        </span>
      )}
      {note && (
        <span className="lk-note" title={note}>
          {note}
        </span>
      )}
    </div>
  );

  function noteOn(of: INode): string | undefined {
    if (!of.isOpen) {
      return undefined;
    }
    switch (of.below) {
      case 'loading':
        return trans.__('loading …');
      case 'denied':
        return of.kind === 'secret'
          ? trans.__('you may not read this')
          : trans.__('you may not list this; open a path instead');
      case 'empty':
        return trans.__('empty');
      case 'deleted':
        return trans.__('deleted');
      case 'destroyed':
        return trans.__('destroyed');
      case 'failed':
        return describe(of.error, trans);
      default:
        return undefined;
    }
  }
}

/** The value of a field, out of the engine's memory for as long as it is shown. */
export function valueOf(node: INode): string {
  return node.parent?.secret?.value(node.name) ?? '';
}

function rowId(node: INode): string {
  return 'lk-row-' + encodeURIComponent(node.id).replace(/%/g, '-');
}
