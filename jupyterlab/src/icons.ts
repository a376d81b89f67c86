/**
 * Our pictures, in the colours of Lab's theme.
 */
import { LabIcon } from '@jupyterlab/ui-components';

const svg = (paths: string) =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24"><g class="jp-icon3" fill="#616161">${paths}</g></svg>`;

/** A key on a latch. */
export const keyIcon = new LabIcon({
  name: 'latchkey:key',
  svgstr: svg(
    '<path d="M7.5 6a6 6 0 1 0 5.66 8H15v3h3v-3h1v3h3v-6h-8.84A6 6 0 0 0 7.5 6m0 3a3 3 0 1 1 0 6 3 3 0 0 1 0-6"/>'
  )
});

/** A store of secrets. */
export const storeIcon = new LabIcon({
  name: 'latchkey:store',
  svgstr: svg(
    '<path d="M4 3h16a1 1 0 0 1 1 1v15h-2v2h-2v-2H7v2H5v-2H3V4a1 1 0 0 1 1-1m1 2v12h14V5zm7 2.5a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7m0 2a1.5 1.5 0 1 0 0 3 1.5 1.5 0 0 0 0-3"/>'
  )
});

export const folderIcon = new LabIcon({
  name: 'latchkey:folder',
  svgstr: svg(
    '<path d="M10 4H4a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h16a2 2 0 0 0 2-2V8a2 2 0 0 0-2-2h-8z"/>'
  )
});

export const secretIcon = new LabIcon({
  name: 'latchkey:secret',
  svgstr: svg(
    '<path d="M12 2a5 5 0 0 0-5 5v3H5v12h14V10h-2V7a5 5 0 0 0-5-5m0 2a3 3 0 0 1 3 3v3H9V7a3 3 0 0 1 3-3m0 9.5a1.5 1.5 0 0 1 .75 2.8V19h-1.5v-2.7a1.5 1.5 0 0 1 .75-2.8"/>'
  )
});

export const fieldIcon = new LabIcon({
  name: 'latchkey:field',
  svgstr: svg(
    '<path d="M3 6h12l6 6-6 6H3zm2 2v8h9.2l4-4-4-4zm3 2.5a1.5 1.5 0 1 1 0 3 1.5 1.5 0 0 1 0-3"/>'
  )
});
