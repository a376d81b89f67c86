/**
 * Takes the values out of a `.env` file, so that the file is needed no more.
 */
import { Button } from '@jupyterlab/ui-components';
import * as React from 'react';

import { parseDotenv } from '../secrets/dotenv';
import { usePanel } from './context';

/** A line of such a file: the same in every language. */
const EXAMPLE = 'OPENAI_API_KEY=…';

interface IDotenvProps {
  onValues: (values: ReadonlyMap<string, string>) => void;
}

export function Dotenv({ onValues }: IDotenvProps): JSX.Element {
  const { trans, actions } = usePanel();
  const [text, setText] = React.useState('');
  const { values, strange } = parseDotenv(text);

  async function read(file: File | undefined): Promise<void> {
    try {
      setText((await file?.text()) ?? '');
    } catch (error) {
      actions.report(error);
    }
  }

  return (
    <div className="lk-dotenv" role="group" aria-label={trans.__('From a .env file …')}>
      <label className="lk-form">
        {trans.__('The lines of the file')}
        <textarea
          className="jp-mod-styled"
          value={text}
          rows={4}
          autoComplete="off"
          spellCheck={false}
          placeholder={EXAMPLE}
          data-lk="dotenv-text"
          onChange={event => setText(event.target.value)}
        />
      </label>
      <label className="lk-form">
        {trans.__('or the file itself, from this computer')}
        <input
          type="file"
          data-lk="dotenv-file"
          onChange={event => void read(event.target.files?.[0])}
        />
      </label>
      {strange.length > 0 && (
        <p role="alert" className="lk-problem">
          {trans.__('Not understood, and left out: line %1', strange.join(', '))}
        </p>
      )}
      <Button
        type="button"
        className="jp-mod-styled"
        disabled={values.size === 0}
        onClick={() => onValues(values)}
        data-lk="dotenv-take"
      >
        {trans._n('Take %1 value', 'Take %1 values', values.size)}
      </Button>
    </div>
  );
}
