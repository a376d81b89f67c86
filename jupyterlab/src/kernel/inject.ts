/**
 * Puts values into a running kernel by its stdin channel.
 *
 * The request is silent and kept in no history; what it asks for is answered to this client alone. Measured on ipykernel:
 * a second client sees `busy` and `idle`, and nothing else.
 *
 * A kernel that asks waits until it is answered, and only this page can answer. So nothing is sent to a kernel that has
 * something else to do, where it would wait while the page may be closed; and a page that is left in the middle of an
 * exchange interrupts the kernel.
 */
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection, type Kernel, type KernelMessage } from '@jupyterlab/services';

import { languageOf, type ILanguage } from './languages';
import { unfit } from './names';

/** An error with a code, like those of the engine. */
export class KernelError extends Error {
  constructor(
    readonly code:
      'kernel_language' | 'kernel_refused' | 'kernel_no_stdin' | 'kernel_value' | 'kernel_gone',
    message: string
  ) {
    super(message);
    this.name = 'KernelError';
  }
}

/** The code for this kernel's language: by its specification, which is known while it has something else to do. */
export async function languageOfKernel(kernel: Kernel.IKernelConnection): Promise<ILanguage> {
  const specified = languageOf((await kernel.spec)?.language);
  if (specified) {
    return specified;
  }
  const { language_info } = await kernel.info;
  const language = languageOf(language_info.name);
  if (!language) {
    throw new KernelError(
      'kernel_language',
      `there is no way into a kernel for ${language_info.name} yet`
    );
  }
  return language;
}

/** Waits until a kernel has nothing else to do. */
export async function untilIdle(kernel: Kernel.IKernelConnection): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const look = () => {
      const isGone = kernel.isDisposed || kernel.status === 'dead';
      if (!isGone && kernel.status !== 'idle') {
        return;
      }
      kernel.statusChanged.disconnect(look);
      kernel.disposed.disconnect(look);
      if (isGone) {
        reject(gone());
      } else {
        resolve();
      }
    };
    kernel.statusChanged.connect(look);
    kernel.disposed.connect(look);
    look();
  });
}

const gone = () => new KernelError('kernel_gone', 'the kernel went away in the meantime');

/** Sets environment variables. */
export async function setVariables(
  kernel: Kernel.IKernelConnection,
  variables: ReadonlyMap<string, string>
): Promise<void> {
  const language = await languageOfKernel(kernel);
  for (const [name, value] of variables) {
    if (unfit(value)) {
      throw new KernelError(
        'kernel_value',
        `the value of ${name} cannot be an environment variable`
      );
    }
  }
  await run(kernel, language.set(variables.size), [...variables].flat());
}

/** Removes environment variables. */
export async function forgetVariables(
  kernel: Kernel.IKernelConnection,
  names: readonly string[]
): Promise<void> {
  const language = await languageOfKernel(kernel);
  await run(kernel, language.forget(names.length), names);
}

/** Writes a file that only the kernel's user can read. */
export async function writeFile(
  kernel: Kernel.IKernelConnection,
  path: string,
  value: string
): Promise<void> {
  const language = await languageOfKernel(kernel);
  if (!language.file) {
    throw new KernelError('kernel_language', 'files are written by kernels for Python only');
  }
  await run(kernel, language.file, [path, value]);
}

/** Has the kernel fetch its own Vault token with a wrapping token, which is good for that once. */
export async function unwrapToken(
  kernel: Kernel.IKernelConnection,
  address: string,
  namespace: string,
  wrappingToken: string,
  names: readonly string[]
): Promise<void> {
  const language = await languageOfKernel(kernel);
  if (!language.unwrap) {
    throw new KernelError('kernel_language', 'a Vault token is fetched by kernels for Python only');
  }
  const inputs = [address, namespace, wrappingToken, ...names];
  await run(kernel, language.unwrap(names.length), inputs);
}

/** Runs code that asks for these inputs, and answers. */
async function run(
  kernel: Kernel.IKernelConnection,
  code: string,
  inputs: readonly string[]
): Promise<void> {
  await untilIdle(kernel);
  let asked = 0;
  const leave = () => interruptOnLeave(kernel);
  window.addEventListener('pagehide', leave);
  const future = kernel.requestExecute(
    { code, silent: true, store_history: false, allow_stdin: true, stop_on_error: false },
    true
  );
  future.onStdin = message => {
    if (message.header.msg_type !== 'input_request') {
      return;
    }
    // More questions than inputs: something else asks, and gets nothing.
    const value = asked < inputs.length ? inputs[asked] : '';
    asked += 1;
    kernel.sendInputReply(
      { status: 'ok', value },
      message.header as KernelMessage.IHeader<'input_request'>
    );
  };
  let reply: KernelMessage.IExecuteReplyMsg;
  try {
    reply = (await future.done) as KernelMessage.IExecuteReplyMsg;
  } catch {
    throw gone();
  } finally {
    window.removeEventListener('pagehide', leave);
    future.dispose();
  }
  if (asked === 0 && inputs.length > 0 && reply.content.status === 'ok') {
    throw new KernelError('kernel_no_stdin', 'the kernel did not ask for anything');
  }
  if (reply.content.status !== 'ok') {
    throw new KernelError('kernel_refused', `the kernel answered ${failureOf(reply)}`);
  }
}

/** As a page ends: the request outlives it. */
function interruptOnLeave(kernel: Kernel.IKernelConnection): void {
  const { serverSettings } = kernel;
  const path = ['api/kernels', encodeURIComponent(kernel.id), 'interrupt'];
  const url = URLExt.join(serverSettings.baseUrl, ...path);
  const init = { method: 'POST', keepalive: true };
  ServerConnection.makeRequest(url, init, serverSettings).catch(() => undefined);
}

/** Only a name: the message of a foreign error could hold what was read. */
function failureOf(reply: KernelMessage.IExecuteReplyMsg): string {
  const { content } = reply;
  if (content.status !== 'error') {
    return content.status;
  }
  const ours = /^latchkey: ([A-Za-z]+)$/.exec(content.evalue);
  return ours ? ours[1] : content.ename;
}
