/**
 * A secret being written: a new one, or a new version of one.
 */
import { Button } from '@jupyterlab/ui-components';
import * as React from 'react';

import { codeOf } from '../codes';
import type { Engine } from '../engine';
import {
  changesOf,
  draftOf,
  fieldsOf,
  newField,
  problemOf,
  withValues,
  type DraftProblem,
  type IDraftField
} from '../secrets/edit';
import { usePanel, useRefusal } from './context';
import { Dotenv } from './dotenv';

/** What the editor works on. */
export interface IEditing {
  readonly mount: string;
  /** Undefined where the person still has to choose it. */
  readonly path: string | undefined;
  /** Where a new one begins. */
  readonly folder?: string;
}

interface IConflict {
  /** What somebody else wrote in between. */
  readonly theirs: Engine.SecretVersion;
  readonly changes: readonly Engine.FieldChange[];
}

export function Editor({
  editing,
  onDone
}: {
  editing: IEditing;
  onDone: () => void;
}): JSX.Element {
  const { latchkey, tree, trans, actions } = usePanel();
  const [base, setBase] = React.useState<Engine.SecretVersion>();
  const [draft, setDraft] = React.useState<IDraftField[]>([]);
  const [path, setPath] = React.useState(editing.path ?? editing.folder ?? '');
  const [isReady, setIsReady] = React.useState(editing.path === undefined);
  const [isSaving, setIsSaving] = React.useState(false);
  const [isImporting, setIsImporting] = React.useState(false);
  const [conflict, setConflict] = React.useState<IConflict>();
  const title =
    editing.path === undefined ? trans.__('New secret') : trans.__('Edit %1', editing.path);

  React.useEffect(() => {
    if (editing.path === undefined) {
      setDraft([newField()]);
      return;
    }
    let isGone = false;
    let read: Engine.SecretVersion | undefined;
    void load(editing.path).then(secret => {
      read = secret;
      if (isGone) {
        secret?.free();
        return;
      }
      setBase(secret);
      setDraft(secret ? draftOf(secret) : [newField()]);
      setIsReady(true);
    });
    return () => {
      isGone = true;
      read?.free();
    };
  }, [editing]);

  const at = path.trim().replace(/^\/+/, '');
  const isNamed = at !== '' && !at.endsWith('/');
  const problem = problemOf(draft) ?? (isNamed ? undefined : 'no-path');
  const refusal = useRefusal(editing.mount, at, useSettled(at) && isNamed);
  const why = refusal('create', 'update');
  const isChanged = base ? Object.keys(changesOf(base, draft)).length > 0 : true;

  return (
    <form
      className="lk-editor"
      aria-label={title}
      onSubmit={event => {
        event.preventDefault();
        void save();
      }}
    >
      <h3>{title}</h3>
      {editing.path === undefined && (
        <label className="lk-form">
          {trans.__('Path in %1', editing.mount)}
          <input
            className="jp-mod-styled"
            value={path}
            autoComplete="off"
            spellCheck={false}
            data-lk="path"
            onChange={event => setPath(event.target.value)}
          />
        </label>
      )}
      {isReady ? (
        <ul className="lk-fields">
          {draft.map(field => (
            <Field
              key={field.key}
              field={field}
              onChange={change => update(field, change)}
              onRemove={() => setDraft(draft.filter(each => each !== field))}
            />
          ))}
        </ul>
      ) : (
        <p role="status">{trans.__('loading …')}</p>
      )}
      {conflict && (
        <Conflict conflict={conflict} onTheirs={takeTheirs} onMine={() => void putMineOnTop()} />
      )}
      <div className="lk-buttons">
        <Button
          type="button"
          className="jp-mod-styled lk-small"
          onClick={() => setDraft([...draft, newField()])}
          data-lk="add-field"
        >
          {trans.__('Add a field')}
        </Button>
        <Button
          type="button"
          className="jp-mod-styled lk-small"
          aria-expanded={isImporting}
          onClick={() => setIsImporting(!isImporting)}
          data-lk="dotenv"
        >
          {trans.__('From a .env file …')}
        </Button>
      </div>
      {isImporting && (
        <Dotenv
          onValues={values => {
            setDraft(withValues(draft, values));
            setIsImporting(false);
          }}
        />
      )}
      {problem && problem !== 'no-field' && isReady && <p className="lk-hint">{hint(problem)}</p>}
      {why !== undefined && (
        <p className="lk-hint" role="status" data-lk="refusal">
          {why}
        </p>
      )}
      <div className="lk-buttons">
        <Button type="button" className="jp-mod-styled jp-mod-reject" onClick={onDone}>
          {trans.__('Back')}
        </Button>
        <Button
          type="submit"
          className="jp-mod-styled jp-mod-accept"
          disabled={!isReady || isSaving || !!problem || !isChanged || !!conflict || !!why}
          data-lk="save"
        >
          {trans.__('Save')}
        </Button>
      </div>
    </form>
  );

  async function load(of: string): Promise<Engine.SecretVersion | undefined> {
    try {
      const read = await latchkey.secrets?.read(editing.mount, of);
      return read?.outcome === 'found' ? read.secret : undefined;
    } catch (error) {
      actions.report(error);
      return undefined;
    }
  }

  function update(field: IDraftField, change: Partial<IDraftField>): void {
    setDraft(draft.map(each => (each === field ? { ...each, ...change } : each)));
  }

  async function save(): Promise<void> {
    const { secrets } = latchkey;
    if (!secrets) {
      return;
    }
    setIsSaving(true);
    try {
      if (base) {
        await secrets.change(base, changesOf(base, draft));
      } else {
        // There must be none yet: a new secret never covers another one.
        const cas = editing.path === undefined ? 'create' : await newestOf(at);
        await secrets.write(editing.mount, at, fieldsOf(draft), cas);
      }
      onDone();
      await tree.reveal(editing.mount, at);
      const node = tree.selected;
      if (node) {
        await tree.refresh(node);
      }
      actions.say(trans.__('Saved.'));
    } catch (error) {
      const theirs = codeOf(error) === 'vault_cas_mismatch' ? await load(at) : undefined;
      if (theirs) {
        setConflict({ theirs, changes: base ? theirs.diff(base) : [] });
      } else {
        actions.report(error);
      }
    } finally {
      setIsSaving(false);
    }
  }

  /** The number that a new version of a deleted secret replaces. */
  async function newestOf(at: string): Promise<number | 'create'> {
    const read = await latchkey.secrets?.read(editing.mount, at);
    return read?.outcome === 'deleted' || read?.outcome === 'destroyed'
      ? read.version.number
      : 'create';
  }

  function takeTheirs(): void {
    if (conflict) {
      setBase(conflict.theirs);
      setDraft(draftOf(conflict.theirs));
      setConflict(undefined);
    }
  }

  /** What this person changed, on top of what the other one wrote. */
  async function putMineOnTop(): Promise<void> {
    if (!conflict) {
      return;
    }
    const changes = base ? changesOf(base, draft) : fieldsOf(draft);
    try {
      await latchkey.secrets?.change(conflict.theirs, changes);
      onDone();
      const node = await tree.reveal(editing.mount, path);
      await tree.refresh(node);
      actions.say(trans.__('Saved.'));
    } catch (error) {
      setConflict(undefined);
      actions.report(error);
    }
  }

  function hint(of: DraftProblem | 'no-path'): string {
    switch (of) {
      case 'no-name':
        return trans.__('Each field needs a name.');
      case 'name-twice':
        return trans.__('Two fields have the same name.');
      case 'not-json':
        return trans.__('A field that is not text must be valid JSON.');
      default:
        return trans.__('The secret needs a path that does not end in a slash.');
    }
  }
}

/** Whether a text has stayed as it is for a moment: nobody is asked about every letter. */
function useSettled(text: string): boolean {
  const [settled, setSettled] = React.useState(text);
  React.useEffect(() => {
    const timer = window.setTimeout(() => setSettled(text), 300);
    return () => window.clearTimeout(timer);
  }, [text]);
  return settled === text;
}

interface IFieldProps {
  field: IDraftField;
  onChange: (change: Partial<IDraftField>) => void;
  onRemove: () => void;
}

function Field({ field, onChange, onRemove }: IFieldProps): JSX.Element {
  const { trans } = usePanel();
  const [isShown, setIsShown] = React.useState(field.was === undefined);
  return (
    <li>
      <div className="lk-field-head">
        <input
          className="jp-mod-styled"
          value={field.name}
          aria-label={trans.__('Name of the field')}
          placeholder={trans.__('Name')}
          autoComplete="off"
          spellCheck={false}
          data-lk="field-name"
          onChange={event => onChange({ name: event.target.value })}
        />
        <Button
          type="button"
          minimal
          small
          aria-pressed={isShown}
          onClick={() => setIsShown(!isShown)}
          aria-label={trans.__('Show the value of %1', field.name)}
        >
          {isShown ? trans.__('Hide') : trans.__('Show')}
        </Button>
        <Button
          type="button"
          minimal
          small
          onClick={onRemove}
          aria-label={trans.__('Remove the field %1', field.name)}
        >
          {trans.__('Remove')}
        </Button>
      </div>
      <textarea
        className={isShown ? 'jp-mod-styled' : 'jp-mod-styled lk-hidden-text'}
        value={field.text}
        rows={Math.min(6, field.text.split('\n').length)}
        aria-label={trans.__('Value of %1', field.name)}
        autoComplete="off"
        spellCheck={false}
        data-lk="field-value"
        onChange={event => onChange({ text: event.target.value })}
      />
    </li>
  );
}

interface IConflictProps {
  conflict: IConflict;
  onTheirs: () => void;
  onMine: () => void;
}

function Conflict({ conflict, onTheirs, onMine }: IConflictProps): JSX.Element {
  const { trans } = usePanel();
  const changed = conflict.changes.filter(({ change }) => change !== 'same');
  return (
    <div
      className="lk-conflict"
      role="alertdialog"
      aria-label={trans.__('Somebody else was quicker')}
    >
      <p>
        <strong>{trans.__('Somebody else was quicker')}</strong>
      </p>
      <p>
        {trans.__(
          'Version %1 was saved while you were writing. Nothing of yours was saved yet.',
          conflict.theirs.version.number
        )}
      </p>
      {changed.length > 0 && (
        <ul>
          {changed.map(({ field, change }) => (
            <li key={field}>
              <code>{field}</code>{' '}
              {change === 'added'
                ? trans.__('was added')
                : change === 'removed'
                  ? trans.__('was removed')
                  : trans.__('was changed')}
            </li>
          ))}
        </ul>
      )}
      <div className="lk-buttons">
        <Button type="button" className="jp-mod-styled" onClick={onTheirs} data-lk="theirs">
          {trans.__('Take theirs')}
        </Button>
        <Button type="button" className="jp-mod-styled jp-mod-warn" onClick={onMine} data-lk="mine">
          {trans.__('Put my changes on top')}
        </Button>
      </div>
    </div>
  );
}
