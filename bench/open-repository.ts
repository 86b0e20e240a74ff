import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Measurement, measureWork } from './measure.ts';
import type { BenchServer } from './server.ts';
import type { Holdfast } from './tools/index.ts';

const program = fileURLToPath(new URL('keep-repository-open.ts', import.meta.url));

/** A program that holds a repository open and takes an increment whenever it is told to, as an agent does. */
export class OpenRepository implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #serverPid: number;
  readonly #answers: AsyncIterator<string>;

  private constructor(child: ChildProcess, serverPid: number) {
    this.#child = child;
    this.#serverPid = serverPid;
    this.#answers = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  }

  static async start(tool: Holdfast, server: BenchServer): Promise<OpenRepository> {
    const { repository, keyFile, stateDirectory } = tool;
    const given = JSON.stringify({ repository, keyFile, stateDirectory, url: server.url });
    const child = spawn(process.execPath, ['--conditions=holdfast-source', program, given], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const open = new OpenRepository(child, server.pid);
    await open.#expect('open');
    return open;
  }

  async backup(): Promise<void> {
    this.#child.stdin!.write('backup\n');
    await this.#expect('done');
  }

  measureBackup(): Promise<Measurement> {
    return measureWork(this.#child.pid!, this.#serverPid, () => this.backup());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.stdin!.end();
    if (this.#child.exitCode === null) await ended;
  }

  async #expect(answer: string): Promise<void> {
    const { value, done } = await this.#answers.next();
    if (done === true || value !== answer) throw new Error(`the open repository said "${value}", expected "${answer}"`);
  }
}
