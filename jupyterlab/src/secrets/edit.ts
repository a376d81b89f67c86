/**
 * What somebody changes in a secret, before it is written.
 */
import type { Engine } from '../engine';

/** One field in the editor. */
export interface IDraftField {
  /** Stays the same while the name changes. */
  readonly key: number;
  name: string;
  text: string;
  /** `text`, or JSON that is kept to the letter. */
  readonly isJson: boolean;
  /** What it was; undefined for a new one. */
  readonly was: { readonly name: string; readonly text: string } | undefined;
}

let keys = 0;

/** The fields of a version, to be changed. */
export function draftOf(secret: Engine.SecretVersion | undefined): IDraftField[] {
  return (secret?.fields ?? []).map(({ name, kind }) => {
    const text = secret?.value(name) ?? '';
    return { key: keys++, name, text, isJson: kind !== 'text', was: { name, text } };
  });
}

export function newField(): IDraftField {
  return { key: keys++, name: '', text: '', isJson: false, was: undefined };
}

/** A draft with values out of a `.env` file: in place of fields of the same names, and of those that are still empty. */
export function withValues(
  draft: readonly IDraftField[],
  values: ReadonlyMap<string, string>
): IDraftField[] {
  const kept = draft.filter(({ name, text }) => !values.has(name) && (name !== '' || text !== ''));
  const added = [...values].map(([name, text]) => ({ ...newField(), name, text }));
  return [...kept, ...added];
}

/** Why it cannot be saved yet. */
export type DraftProblem = 'no-name' | 'name-twice' | 'not-json' | 'no-field';

export function problemOf(draft: readonly IDraftField[]): DraftProblem | undefined {
  if (draft.length === 0) {
    return 'no-field';
  }
  const names = draft.map(({ name }) => name);
  if (names.some(name => name.trim() === '')) {
    return 'no-name';
  }
  if (new Set(names).size !== names.length) {
    return 'name-twice';
  }
  return draft.some(({ isJson, text }) => isJson && !isValidJson(text)) ? 'not-json' : undefined;
}

/** What differs from the version that was read: a new value, or `null` for a field that is gone. */
export function changesOf(
  secret: Engine.SecretVersion,
  draft: readonly IDraftField[]
): Record<string, Engine.FieldInput | null> {
  const changes: Record<string, Engine.FieldInput | null> = {};
  const kept = new Set(draft.map(({ name }) => name));
  for (const { name } of secret.fields) {
    if (!kept.has(name)) {
      changes[name] = null;
    }
  }
  for (const field of draft) {
    if (field.was?.name !== field.name || field.was.text !== field.text) {
      changes[field.name] = inputOf(field);
    }
  }
  return changes;
}

/** All fields, for a secret that is new. */
export function fieldsOf(draft: readonly IDraftField[]): Record<string, Engine.FieldInput> {
  return Object.fromEntries(draft.map(field => [field.name, inputOf(field)]));
}

function inputOf({ isJson, text }: IDraftField): Engine.FieldInput {
  return isJson ? { json: text } : text;
}

function isValidJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
