/**
 * The versions of a secret: what differs, and what can be brought back.
 */
import { Button } from '@jupyterlab/ui-components';
import * as React from 'react';

import { describe } from '../errors';
import type { Engine } from '../engine';
import type { INode } from '../secrets/tree';
import { usePanel, useRefusal, whileRefused } from './context';
import { dateTime } from './time';

interface IVersionsProps {
  node: INode;
  onDone: () => void;
}

export function Versions({ node, onDone }: IVersionsProps): JSX.Element {
  const { latchkey, tree, trans, language, actions } = usePanel();
  const [read, setRead] = React.useState<Engine.MetadataRead>();
  const [problem, setProblem] = React.useState<unknown>();
  const [shown, setShown] = React.useState<number>();
  const metadata = read?.outcome === 'found' ? read.metadata : undefined;
  const refusal = useRefusal(node.mount, node.path, true);

  const load = React.useCallback(async () => {
    try {
      setRead(await latchkey.secrets?.metadata(node.mount, node.path));
    } catch (error) {
      setProblem(error);
    }
  }, [latchkey, node]);
  React.useEffect(() => void load(), [load]);

  return (
    <section className="lk-versions" aria-label={trans.__('Versions of %1', node.path)}>
      <h3>{trans.__('Versions of %1', node.path)}</h3>
      {problem !== undefined && (
        <p role="alert" className="lk-problem">
          {describe(problem, trans)}
        </p>
      )}
      {read?.outcome === 'denied' && (
        <p>{trans.__('You may not see the versions of this secret.')}</p>
      )}
      {read?.outcome === 'missing' && <p>{trans.__('There are no versions.')}</p>}
      {metadata && (
        <ol className="lk-version-list">
          {metadata.versions.map(version => (
            <li key={version.number} data-version={version.number}>
              <div className="lk-version-head">
                <strong>{trans.__('Version %1', version.number)}</strong>{' '}
                {dateTime(version.createdTime, language)}
                {stateOf(version) && <em className="lk-note"> {stateOf(version)}</em>}
              </div>
              <div className="lk-buttons">{actionsOn(version)}</div>
              {shown === version.number && (
                <Diff node={node} older={previousOf(version.number)} newer={version.number} />
              )}
            </li>
          ))}
        </ol>
      )}
      <div className="lk-buttons">
        <Button className="jp-mod-styled jp-mod-reject" onClick={onDone}>
          {trans.__('Back')}
        </Button>
        {metadata && (
          <Button
            className="jp-mod-styled jp-mod-warn"
            data-lk="delete-all"
            {...whileRefused(refusal('deleteAll'), removeAll)}
          >
            {trans.__('Delete for good …')}
          </Button>
        )}
      </div>
    </section>
  );

  function isDeleted(version: Engine.Version): boolean {
    const time = version.deletionTime ? Date.parse(version.deletionTime) : NaN;
    return time <= Date.now();
  }

  function stateOf(version: Engine.Version): string {
    if (version.destroyed) {
      return trans.__('destroyed');
    }
    if (isDeleted(version)) {
      return trans.__('deleted');
    }
    return version.number === metadata?.currentVersion ? trans.__('newest') : '';
  }

  /** The next older version that can still be read. */
  function previousOf(number: number): number | undefined {
    return metadata?.versions.find(
      each => each.number < number && !each.destroyed && !isDeleted(each)
    )?.number;
  }

  function actionsOn(version: Engine.Version): JSX.Element[] {
    const { number } = version;
    const buttons: JSX.Element[] = [];
    const add = (
      name: string,
      label: string,
      why: string | undefined,
      action: () => Promise<unknown> | void
    ) =>
      buttons.push(
        <Button
          key={name}
          className="jp-mod-styled lk-small"
          data-lk={name}
          aria-label={trans.__('%1: version %2', label, number)}
          {...whileRefused(why, action)}
        >
          {label}
        </Button>
      );
    if (version.destroyed) {
      return buttons;
    }
    if (isDeleted(version)) {
      add('undelete', trans.__('Undelete'), refusal('undelete'), () =>
        change(secrets => secrets.undelete(node.mount, node.path, [number]))
      );
    } else {
      const isShown = shown === number;
      const label = isShown ? trans.__('Hide changes') : trans.__('Show changes');
      add('diff', label, refusal('read'), () => setShown(isShown ? undefined : number));
      if (number !== metadata?.currentVersion) {
        const why = refusal('read') ?? refusal('update');
        add('restore', trans.__('Make it the newest'), why, () => restore(number));
      }
      add('delete', trans.__('Delete'), refusal('deleteVersions'), () =>
        change(secrets => secrets.delete(node.mount, node.path, [number]))
      );
    }
    add('destroy', trans.__('Destroy …'), refusal('destroy'), () => destroy(number));
    return buttons;
  }

  async function change(action: (secrets: Engine.Secrets) => Promise<unknown>): Promise<void> {
    const { secrets } = latchkey;
    if (!secrets) {
      return;
    }
    try {
      await action(secrets);
    } catch (error) {
      actions.report(error);
    }
    await load();
    await tree.refresh(node);
  }

  async function restore(number: number): Promise<void> {
    await change(async secrets => {
      const old = await secrets.read(node.mount, node.path, number);
      if (old.outcome !== 'found') {
        return;
      }
      try {
        const { secret } = old;
        const fields: Record<string, Engine.FieldInput> = {};
        for (const { name, kind } of secret.fields) {
          fields[name] = kind === 'text' ? secret.value(name) : { json: secret.value(name) };
        }
        // On top of what is the newest now: if there is another one meanwhile, nothing is written.
        await secrets.write(node.mount, node.path, fields, metadata?.currentVersion ?? 0);
      } finally {
        old.secret.free();
      }
    });
  }

  async function destroy(number: number): Promise<void> {
    const isSure = await actions.confirm(
      trans.__('Destroy version %1?', number),
      trans.__('Its values are gone for good. Nobody can bring them back.'),
      trans.__('Destroy')
    );
    if (isSure) {
      await change(secrets => secrets.destroy(node.mount, node.path, [number]));
    }
  }

  async function removeAll(): Promise<void> {
    const isSure = await actions.confirm(
      trans.__('Delete %1 for good?', node.path),
      trans.__('All its versions and notes are gone for good. Nobody can bring them back.'),
      trans.__('Delete for good')
    );
    if (isSure) {
      await change(secrets => secrets.deleteAll(node.mount, node.path));
      if (node.parent) {
        await tree.refresh(node.parent);
      }
      onDone();
    }
  }
}

interface IDiffProps {
  node: INode;
  older: number | undefined;
  newer: number;
}

/** What a field held before and after; undefined where there was no such field. */
interface IValues {
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** What was done to come from one version to the next. Values are hidden until somebody asks for them. */
function Diff({ node, older, newer }: IDiffProps): JSX.Element {
  const { latchkey, trans } = usePanel();
  const [changes, setChanges] = React.useState<readonly Engine.FieldChange[]>();
  const [values, setValues] = React.useState<ReadonlyMap<string, IValues>>();
  const [problem, setProblem] = React.useState<unknown>();

  /** Reads both versions, and frees them when it has looked at them. */
  const look = React.useCallback(
    async function <T>(
      at: (now?: Engine.SecretVersion, then?: Engine.SecretVersion) => T
    ): Promise<T> {
      const secrets = latchkey.secrets;
      const after = await secrets?.read(node.mount, node.path, newer);
      const before =
        older === undefined ? undefined : await secrets?.read(node.mount, node.path, older);
      const [now, then] = [after, before].map(read =>
        read?.outcome === 'found' ? read.secret : undefined
      );
      try {
        return at(now, then);
      } finally {
        now?.free();
        then?.free();
      }
    },
    [latchkey, node, older, newer]
  );

  React.useEffect(() => {
    let isGone = false;
    void look((now, then): readonly Engine.FieldChange[] =>
      now && then
        ? now.diff(then)
        : (now?.fields ?? []).map(({ name }) => ({ field: name, change: 'added' as const }))
    ).then(
      found => !isGone && setChanges(found),
      error => !isGone && setProblem(error)
    );
    return () => {
      isGone = true;
    };
  }, [look]);

  const { revealSeconds } = latchkey.settings.values;
  React.useEffect(() => {
    if (!values || revealSeconds === 0) {
      return;
    }
    const timer = window.setTimeout(() => setValues(undefined), revealSeconds * 1000);
    return () => window.clearTimeout(timer);
  }, [values, revealSeconds]);

  async function toggle(): Promise<void> {
    if (values) {
      return setValues(undefined);
    }
    try {
      const found = await look((now, then) => {
        const valueIn = (secret: Engine.SecretVersion | undefined, field: string) =>
          secret?.fields.some(({ name }) => name === field) ? secret.value(field) : undefined;
        return (changes ?? []).map(
          ({ field }) =>
            [field, { before: valueIn(then, field), after: valueIn(now, field) }] as const
        );
      });
      setValues(new Map(found));
    } catch (error) {
      setProblem(error);
    }
  }

  const words = {
    added: trans.__('added'),
    removed: trans.__('removed'),
    changed: trans.__('changed'),
    same: trans.__('the same')
  };
  return (
    <>
      {problem !== undefined && <p role="alert">{describe(problem, trans)}</p>}
      {changes && (
        <table className="lk-diff">
          <caption>
            {older === undefined
              ? trans.__('First version that can be read')
              : trans.__('Compared with version %1', older)}
          </caption>
          <tbody>
            {changes.map(({ field, change }) => (
              <tr key={field} className={`lk-${change}`}>
                <th scope="row">{field}</th>
                <td>
                  {words[change]}
                  {values && <Values {...(values.get(field) ?? NO_VALUES)} />}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {changes && (
        <Button
          className="jp-mod-styled lk-small"
          data-lk="diff-values"
          aria-pressed={values !== undefined}
          onClick={() => void toggle()}
        >
          {values ? trans.__('Hide values') : trans.__('Show values')}
        </Button>
      )}
    </>
  );
}

const NO_VALUES: IValues = { before: undefined, after: undefined };

function Values({ before, after }: IValues): JSX.Element {
  return (
    <div className="lk-diff-values">
      {before !== undefined && before !== after && <del>{before}</del>}
      {after !== undefined && (before === after ? <span>{after}</span> : <ins>{after}</ins>)}
    </div>
  );
}
