import { formatDuration, HoldfastError } from '../../lib/index.ts';
import type { LineagePlace, WalEvent, WalReceiverOptions } from '../../protect/wal/index.ts';
import type { PushSocket } from '../../protect/wal/push/index.ts';
import type { SpoolState } from '../../repository/index.ts';
import { bringWalHome, keepBringingHome } from '../bring-home.ts';
import { chooseCluster } from '../cluster.ts';
import type { Command, CommandContext } from '../command.ts';
import { readDatabase } from '../database.ts';
import { formatFacts, type Json, shortId } from '../output/index.ts';
import { describeAlarm, tellAlarm } from '../wal-alarm.ts';

/** `holdfast wal stream`. */
export const walStream: Command = {
  path: ['wal', 'stream'],
  summary: 'Receive WAL and make it durable within a second, until it is stopped.',
  details: [
    'Run it as a service. It keeps a replication slot, so that the server keeps WAL while it is away, and goes on where it was after any stop.',
    'It brings to the copies of the repository what they lack, and each new object as soon as it is durable in the primary.',
    'Named in synchronous_standby_names as holdfast_<cluster>, it makes commits wait until they are durable in the repository.',
  ],
  examples: [
    { line: 'holdfast wal stream', does: 'Until it is stopped; as a service.' },
    { line: 'holdfast wal stream --until 0/9000000', does: 'Until WAL is durable up to there.' },
  ],
  access: 'write',
  keepsWal: true,
  database: 'required',
  planOptions: ['wal.flushInterval', 'wal.budget'],
  flags: [
    { flag: '--slot <name>', help: 'The replication slot, made when it is missing. (default: holdfast_<cluster>)' },
    { flag: '--until <lsn>', help: 'End when WAL is durable up to here.' },
  ],
  run: async (context, input) => {
    const source = await readDatabase(context);
    const { formatLsn, parseLsn, timestampToMilliseconds } = await import('../../postgres/index.ts');
    const { receiveWal } = await import('../../protect/wal/index.ts');
    const [slot, until] = [input.optional('slot'), input.optional('until')];
    const words: Words = { formatLsn, isoTime: (at) => new Date(timestampToMilliseconds(at)).toISOString() };
    let timeline: number | null = null as number | null;
    const tell = tellEvents(context, words);
    await context.copies.check();
    context.copies.beginCatchUp();
    const cluster = await chooseCluster(context, 'stream');
    if (context.spool?.isAway !== true) await bringWalHome(context);
    await using _bringing = keepBringingHome(context, () => context.spool?.isAway === true);
    await using door = new PushDoor(context, cluster);
    const { place, durableLsn, ended } = await receiveWal({
      repository: context.repository,
      source,
      cluster,
      stateDirectory: context.plan.stateDirectory,
      clock: context.clock,
      signal: context.signal,
      flushIntervalMs: context.plan.wal.flushIntervalMs,
      budgetBytes: context.plan.wal.budgetBytes,
      ...outageOf(context),
      ...(slot === undefined ? {} : { slot }),
      ...(until === undefined ? {} : { until: parseLsn(until) }),
      onEvent: (event) => {
        // At its end the receiver is connected no more and knows of no timeline.
        if (event.kind === 'progress') timeline = event.progress.timeline;
        if (event.kind === 'lineage') door.openAt(event.place);
        tell(event);
      },
    });
    const durable = durableLsn === 0n ? null : formatLsn(durableLsn);
    return {
      json: { system: place?.system ?? null, lineage: place?.lineage ?? null, timeline, durableLsn: durable, ended },
      text: (paint) => [
        `${paint.good('stopped')} ${ended === 'until' ? 'as asked' : 'by a signal'}`,
        // Before a server has answered, what is stored was not looked at; "nothing" would be taken for a loss.
        ...(place === null
          ? ['No server was reached, and nothing was stored. What the repository holds is as it was.']
          : formatFacts(
              [
                ['durable to', durable ?? 'as before'],
                ['timeline', timeline === null ? 'not known yet' : String(timeline)],
                ['lineage', shortId(place.lineage)],
              ],
              paint,
            )),
      ],
    };
  },
};

/** How WAL goes on while the primary is away, for whoever takes some. */
function outageOf({ spool, plan, standIn }: CommandContext): Pick<WalReceiverOptions, 'outage'> {
  return spool === null ? {} : { outage: { spool, protect: plan.repository.protect, standIn } };
}

/** The receiver's door for `wal push`: open from when it knows where WAL goes, until it ends. */
class PushDoor implements AsyncDisposable {
  readonly #context: CommandContext;
  readonly #cluster: string;
  #place: LineagePlace | null = null;
  #opening: Promise<PushSocket | null> | null = null;

  constructor(context: CommandContext, cluster: string) {
    this.#context = context;
    this.#cluster = cluster;
  }

  openAt(place: LineagePlace): void {
    const isOther = this.#place !== null && this.#place.system !== place.system;
    this.#place = place;
    // Another system answers now: what its archiver has goes to the repository without us.
    if (isOther) void this.#close();
    this.#opening ??= this.#open();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }

  async #close(): Promise<void> {
    await (await this.#opening)?.close();
  }

  async #open(): Promise<PushSocket | null> {
    const context = this.#context;
    try {
      const { openPushSocket } = await import('../../protect/wal/push/index.ts');
      return await openPushSocket({
        repository: context.repository,
        cluster: this.#cluster,
        stateDirectory: context.plan.stateDirectory,
        clock: context.clock,
        place: () => this.#place!,
        onAlarm: (alarm) => tellAlarm(context, alarm),
        ...outageOf(context),
      });
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      // Whoever pushes then opens the repository himself.
      context.progress.note(`takes no files from holdfast wal push: ${error.message}`);
      return null;
    }
  }
}

/** Texts that need the PostgreSQL layer, which is loaded when the command runs. */
interface Words {
  formatLsn(lsn: bigint): string;
  isoTime(at: bigint): string;
}

/** Shows events as progress and lines, and emits each for `--events`. */
function tellEvents({ progress, emit }: CommandContext, words: Words): (event: WalEvent) => void {
  let counted: bigint | null = null;
  return (event) => {
    emit('wal', eventDocument(event, words));
    const line = describeEvent(event, words);
    if (line !== null) progress.note(line);
    if (event.kind === 'state' && event.state === 'streaming') progress.begin('receiving WAL');
    if (event.kind !== 'progress') return;
    const { durableLsn } = event.progress;
    if (counted !== null && durableLsn > counted) progress.advance(Number(durableLsn - counted));
    counted = durableLsn;
  };
}

/** One line for a person, `null` for what need not be told. */
function describeEvent(event: WalEvent, { formatLsn }: Words): string | null {
  switch (event.kind) {
    case 'lineage':
      return `${event.created ? 'began' : 'goes on in'} lineage ${shortId(event.place.lineage)} of system ${event.place.system}`;
    case 'stream':
      return `streams timeline ${event.timeline} from ${formatLsn(event.start)}; stored up to ${formatLsn(event.storedUntil)}`;
    case 'timeline-ended':
      return `timeline ${event.timeline} ended at ${formatLsn(event.switchLsn)}; timeline ${event.next} goes on`;
    case 'reconnect':
      return `${event.error.message}; tries again in ${formatDuration(event.delayMs)}`;
    case 'alarm':
      return describeAlarm(event);
    case 'recovered':
      return `over: ${event.alarm}`;
    default:
      return null;
  }
}

function eventDocument(event: WalEvent, { formatLsn, isoTime }: Words): { readonly [key: string]: Json } {
  const { kind } = event;
  switch (event.kind) {
    case 'state':
      return { kind, state: event.state };
    case 'lineage':
      return { kind, system: event.place.system, lineage: event.place.lineage, created: event.created };
    case 'stream':
      return {
        kind,
        timeline: event.timeline,
        start: formatLsn(event.start),
        storedUntil: formatLsn(event.storedUntil),
      };
    case 'progress': {
      const { place, timeline, durableLsn, receivedLsn, serverFlushLsn, knownUntil, synchronous } = event.progress;
      const { durableHereLsn } = event.progress;
      return {
        kind,
        system: place.system,
        lineage: place.lineage,
        timeline,
        durableLsn: formatLsn(durableLsn),
        durableHereLsn: formatLsn(durableHereLsn),
        receivedLsn: formatLsn(receivedLsn),
        serverFlushLsn: formatLsn(serverFlushLsn),
        knownUntil: knownUntil === null ? null : isoTime(knownUntil),
        synchronous,
      };
    }
    case 'flush-reported':
      return { kind, lsn: formatLsn(event.lsn) };
    case 'fragment-stored':
      return { kind, timeline: event.timeline, start: formatLsn(event.range.start), end: formatLsn(event.range.end) };
    case 'segment-stored':
      return { kind, segment: event.segmentName };
    case 'spool':
      return { kind, ...spoolDocument(event.state) };
    case 'timeline-ended':
      return { kind, timeline: event.timeline, switchLsn: formatLsn(event.switchLsn), next: event.next };
    case 'reconnect':
      return { kind, code: event.error.code, message: event.error.message, delaySeconds: event.delayMs / 1000 };
    case 'alarm':
      return { kind, alarm: event.alarm, code: event.error.code, message: event.error.message };
    case 'recovered':
      return { kind, alarm: event.alarm };
  }
}

/** What waits on this machine for a primary that is away; times as `--json` has them. */
function spoolDocument(state: SpoolState): { readonly [key: string]: Json } {
  const { awaySince, error, objects, bytes, budgetBytes, freeBytes, growthPerSecond, fullInSeconds } = state;
  return {
    awaySince: awaySince === null ? null : new Date(awaySince).toISOString(),
    code: error?.code ?? null,
    reason: error?.message ?? null,
    ...{ objects, bytes, budgetBytes, freeBytes, growthPerSecond, fullInSeconds },
  };
}
