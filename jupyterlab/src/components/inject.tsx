/**
 * Asks where the fields of a secret shall go.
 */
import { ReactWidget } from '@jupyterlab/ui-components';
import type { Dialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { isVariableName, suggestName } from '../kernel/names';
import type { IRemembered } from '../kernel/memory';

/** What the person chose. */
export interface IChoice {
  readonly kind: 'variables' | 'file';
  readonly variables: readonly IRemembered[];
  readonly file: string;
  readonly remember: boolean;
}

interface ILine {
  readonly field: string;
  readonly isText: boolean;
  isWanted: boolean;
  variable: string;
}

/** What is asked about. */
export interface IQuestion {
  readonly mount: string;
  readonly path: string;
  readonly fields: readonly { readonly name: string; readonly isText: boolean }[];
  /** How many others are at the same kernel. */
  readonly others: number;
  /** Whether the language can write files. */
  readonly canWriteFiles: boolean;
  readonly isTested: boolean;
}

/** The body of the dialogue. */
export class InjectBody extends ReactWidget implements Dialog.IBodyWidget<IChoice> {
  constructor(
    private readonly _question: IQuestion,
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.addClass('lk-inject');
    this._lines = _question.fields.map(({ name, isText }) => ({
      field: name,
      isText,
      isWanted: true,
      variable: suggestName(_question.path, name)
    }));
    this._file = `~/.secrets/${_question.path.split('/').pop() ?? 'secret'}`;
  }

  getValue(): IChoice {
    const { mount, path } = this._question;
    const wanted = this._lines.filter(
      ({ isWanted, variable }) => isWanted && (this._kind === 'file' || isVariableName(variable))
    );
    return {
      kind: this._kind,
      variables: wanted.map(({ field, variable }) => ({ variable, mount, path, field })),
      file: this._file,
      remember: this._remember
    };
  }

  protected render(): JSX.Element {
    const trans = this._trans;
    const { others, canWriteFiles, isTested } = this._question;
    const isFile = this._kind === 'file';
    const draw = () => this.update();
    return (
      <>
        {others > 0 && (
          <p role="alert" className="lk-problem">
            {trans._n(
              'One more client is connected to this kernel. Whoever it is can read what you put there.',
              '%1 more clients are connected to this kernel. Whoever they are can read what you put there.',
              others
            )}
          </p>
        )}
        {!isTested && (
          <p role="note">{trans.__('This has not been tested with kernels of this language.')}</p>
        )}
        {canWriteFiles && (
          <div role="radiogroup" aria-label={trans.__('As what')}>
            {(['variables', 'file'] as const).map(kind => (
              <label key={kind}>
                <input
                  type="radio"
                  name="lk-kind"
                  checked={this._kind === kind}
                  onChange={() => {
                    this._kind = kind;
                    // One file holds one field.
                    this._lines.forEach(
                      (line, index) => (line.isWanted = kind !== 'file' || index === 0)
                    );
                    draw();
                  }}
                />{' '}
                {kind === 'file' ? trans.__('a file') : trans.__('environment variables')}
              </label>
            ))}
          </div>
        )}
        <ul className="lk-lines">
          {this._lines.map(line => (
            <li key={line.field}>
              <label>
                <input
                  type={isFile ? 'radio' : 'checkbox'}
                  name="lk-field"
                  checked={line.isWanted}
                  onChange={event => {
                    if (isFile) {
                      this._lines.forEach(each => (each.isWanted = each === line));
                    } else {
                      line.isWanted = event.target.checked;
                    }
                    draw();
                  }}
                />{' '}
                <code>{line.field}</code>
                {!line.isText && <span className="lk-hint"> {trans.__('as JSON')}</span>}
              </label>
              {!isFile && (
                <input
                  className="jp-mod-styled"
                  value={line.variable}
                  disabled={!line.isWanted}
                  spellCheck={false}
                  aria-label={trans.__('Variable for %1', line.field)}
                  aria-invalid={line.isWanted && !isVariableName(line.variable)}
                  data-lk="variable"
                  onChange={event => {
                    line.variable = event.target.value;
                    draw();
                  }}
                />
              )}
            </li>
          ))}
        </ul>
        {!isFile && this._lines.some(line => line.isWanted && !isVariableName(line.variable)) && (
          <p role="alert" className="lk-problem">
            {trans.__(
              'A name has letters, digits and underscores and is none that the system uses. Others are left out.'
            )}
          </p>
        )}
        {isFile ? (
          <label className="lk-form">
            {trans.__('File on the machine of the kernel; only you can read it')}
            <input
              className="jp-mod-styled"
              value={this._file}
              spellCheck={false}
              data-lk="file"
              onChange={event => {
                this._file = event.target.value;
                draw();
              }}
            />
          </label>
        ) : (
          <label>
            <input
              type="checkbox"
              checked={this._remember}
              onChange={event => {
                this._remember = event.target.checked;
                draw();
              }}
            />{' '}
            {trans.__(
              'Put it back when the kernel restarts. Only the path is remembered, never the value.'
            )}
          </label>
        )}
        <p className="lk-hint">
          {trans.__(
            'The value is in no cell and in no history. Code in the notebook can print it.'
          )}
        </p>
      </>
    );
  }

  private readonly _lines: ILine[];
  private _kind: 'variables' | 'file' = 'variables';
  private _file: string;
  private _remember = true;
}
