/**
 * Puts values into a running kernel by its stdin channel.
 *
 * The request is silent and kept in no history; what it asks for is answered to this client alone. Measured on ipykernel:
 * a second client sees `busy` and `idle`, and nothing else.
 */
import type { Kernel, KernelMessage } from '@jupyterlab/services';

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

/** The code for this kernel's language. */
export async function languageOfKernel(kernel: Kernel.IKernelConnection): Promise<ILanguage> {
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
  let asked = 0;
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
    throw new KernelError('kernel_gone', 'the kernel went away in the meantime');
  } finally {
    future.dispose();
  }
  if (asked === 0 && inputs.length > 0 && reply.content.status === 'ok') {
    throw new KernelError('kernel_no_stdin', 'the kernel did not ask for anything');
  }
  if (reply.content.status !== 'ok') {
    throw new KernelError('kernel_refused', `the kernel answered ${failureOf(reply)}`);
  }
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
