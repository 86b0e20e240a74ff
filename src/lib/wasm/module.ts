import { unsignedLeb } from './instructions.ts';

/** What a module with one function is made of. Types are the codes of `I32`, `I64` and `V128`. */
export interface FunctionModule {
  /** The name under which it is exported. */
  readonly name: string;
  readonly parameters: readonly number[];
  readonly results: readonly number[];
  /** Local variables behind the parameters: how many, of which type. */
  readonly locals: readonly (readonly [count: number, type: number])[];
  /** Instructions, without the `end` of the function. */
  readonly body: readonly number[];
}

function section(id: number, contents: number[]): number[] {
  return [id, ...unsignedLeb(contents.length), ...contents];
}

function name(text: string): number[] {
  return [...unsignedLeb(text.length), ...Buffer.from(text, 'ascii')];
}

/** The bytes of a module that imports the memory `holdfast.memory` (1 to 65,536 pages of 64 KiB), shared or not, and exports one function. */
export function encodeFunctionModule(module: FunctionModule, isShared: boolean): Uint8Array<ArrayBuffer> {
  const { parameters, results, locals, body } = module;
  const code = [
    ...unsignedLeb(locals.length),
    ...locals.flatMap(([count, type]) => [...unsignedLeb(count), type]),
    ...body,
    0x0b,
  ];
  const limits = [isShared ? 0x03 : 0x01, ...unsignedLeb(1), ...unsignedLeb(65_536)];
  const signature = [0x60, parameters.length, ...parameters, results.length, ...results];
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, [1, ...signature]),
    ...section(2, [1, ...name('holdfast'), ...name('memory'), 0x02, ...limits]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...name(module.name), 0x00, 0]),
    ...section(10, [1, ...unsignedLeb(code.length), ...code]),
  ]);
}

/** Compiles the module and binds it to the memory. */
export function instantiateFunction<Call>(module: FunctionModule, memory: WebAssembly.Memory): Call {
  const compiled = new WebAssembly.Module(encodeFunctionModule(module, memory.buffer instanceof SharedArrayBuffer));
  const instance = new WebAssembly.Instance(compiled, { holdfast: { memory } });
  return instance.exports[module.name] as Call;
}
