/**
 * WebAssembly modules written by hand, as lists of instructions.
 *
 * A loop over every byte of a database runs at the speed of memory in 128-bit instructions, without a native dependency or a committed binary. Each
 * instruction here is the bytes that the binary format has for it; a module is put together from one function body. What the functions compute is
 * told, and tested against plain arithmetic, where they are written.
 */
export * from './instructions.ts';
export * from './module.ts';
