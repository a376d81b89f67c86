/**
 * What the check of the set-up found, each with its cure as a text to copy.
 */
import { Button, ReactWidget } from '@jupyterlab/ui-components';
import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { IFinding } from '../doctor';

const MARKS = { ok: '✓', warning: '!', failed: '✗', skipped: '–' } as const;

export class DoctorBody extends ReactWidget {
  constructor(
    private readonly _findings: readonly IFinding[],
    private readonly _trans: TranslationBundle
  ) {
    super();
    this.addClass('lk-doctor');
    // It scrolls, so that the keyboard must reach it.
    this.node.tabIndex = 0;
  }

  protected render(): JSX.Element {
    const trans = this._trans;
    const words = {
      ok: trans.__('in order'),
      warning: trans.__('to be looked at'),
      failed: trans.__('wrong'),
      skipped: trans.__('not looked at')
    };
    return (
      <ul>
        {this._findings.map(finding => (
          <li key={finding.check} className={`lk-${finding.outcome}`} data-check={finding.check}>
            <span aria-hidden="true">{MARKS[finding.outcome]}</span>{' '}
            <strong>{finding.title}</strong> <em>{words[finding.outcome]}</em>
            {finding.detail && <p className="lk-hint">{finding.detail}</p>}
            {finding.fix && (
              <div className="lk-fix">
                <pre tabIndex={0}>{finding.fix}</pre>
                <Button
                  className="jp-mod-styled lk-small"
                  onClick={() => void navigator.clipboard.writeText(finding.fix ?? '')}
                >
                  {trans.__('Copy')}
                </Button>
              </div>
            )}
          </li>
        ))}
      </ul>
    );
  }
}
