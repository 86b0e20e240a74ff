import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TimelineSwitch } from '../../../postgres/index.ts';
import { type LineageInventory, makeTimelineInventory } from '../inventory.ts';
import type { LineageParent } from '../lineage.ts';
import { planResume, type ResumeFacts } from './resume-plan.ts';

/** Positions below are in whole segments of 1 MiB and parts of them. */
const MIB = 1024 * 1024;
const at = (segments: number): bigint => BigInt(Math.round(segments * MIB));

interface Stored {
  /** Timeline to what is stored of it: [start, end] in segments. */
  wal?: Record<number, [number, number][]>;
  histories?: Record<number, [timeline: number, switchAt: number][]>;
  parent?: LineageParent | null;
  startAt?: number;
}

function lineageOf({ wal = {}, histories = {}, parent = null, startAt = 0 }: Stored): LineageInventory {
  const place = { system: '7', lineage: 'aa'.repeat(32) };
  const timelines = Object.entries(wal).map(([timeline, ranges]) => {
    const fragments = ranges.map(([start, end], i) => ({
      ...{
        timeline: Number(timeline),
        start: at(start),
        end: at(end),
        receiver: '0'.repeat(16),
        objectName: `${timeline}-${i}`,
      },
    }));
    return [Number(timeline), makeTimelineInventory(Number(timeline), MIB, new Map(), fragments)] as const;
  });
  return {
    ...place,
    header: {
      ...{
        ...place,
        cluster: 'main',
        createdAt: '',
        segmentBytes: MIB,
        startTimeline: 1,
        startLsn: at(startAt),
        parent,
      },
    },
    storedAt: 0,
    grewAt: 0,
    timelines: new Map(timelines),
    histories: new Map(
      Object.entries(histories).map(([timeline, switches]) => [Number(timeline), switches.map(switchOf)]),
    ),
  };
}

function switchOf([timeline, switchAt]: [number, number]): TimelineSwitch {
  return { timeline, switchLsn: at(switchAt), reason: '' };
}

interface Facts {
  stored?: Stored;
  timeline?: number;
  flush: number;
  kept: number;
  switches?: [number, number][];
  standby?: boolean;
  wanted?: number;
  gone?: boolean;
  harmless?: number[];
}

function plan(facts: Facts) {
  const given: ResumeFacts = {
    lineage: lineageOf(facts.stored ?? {}),
    server: {
      timeline: facts.timeline ?? 1,
      flushLsn: at(facts.flush),
      isPrimary: facts.standby !== true,
      switches: (facts.switches ?? []).map(switchOf),
    },
    keptFrom: at(facts.kept),
    wantedFrom: facts.wanted === undefined ? null : at(facts.wanted),
    isStartGone: facts.gone === true,
    harmlessTails: new Set(facts.harmless),
  };
  return planResume(given);
}

const stream = (
  timeline: number,
  start: number,
  storedUntil: number,
  fallback: null | [number, number, number] = null,
) => ({
  ...{ kind: 'stream', timeline, start: at(start), storedUntil: at(storedUntil) },
  fallback:
    fallback === null ? null : { start: at(fallback[0]), gap: { start: at(fallback[1]), end: at(fallback[2]) } },
});
const diverged = (reason: string, forkTimeline: number, fork: number | null) => ({
  ...{ kind: 'diverged', reason, forkTimeline, forkLsn: fork === null ? null : at(fork) },
});

const cases: { title: string; facts: Facts; expected: object }[] = [
  {
    title: 'begins at the start of the segment from which the server keeps WAL when nothing is stored',
    facts: { flush: 5.5, kept: 5.25 },
    expected: stream(1, 5, 5),
  },
  {
    title: 'begins where WAL is needed from, and says what is missing if the server has it no more',
    facts: { flush: 9, kept: 8.5, wanted: 6.5 },
    expected: stream(1, 6, 6, [8, 6, 8]),
  },
  {
    title: 'begins a forked lineage at the fork',
    facts: {
      stored: { parent: { lineage: 'b', forkTimeline: 1, forkLsn: at(4.5), reason: 'bytes-differ' }, startAt: 4 },
      ...{ flush: 9, kept: 3.5 },
    },
    expected: stream(1, 4, 4),
  },
  {
    title: 'goes on at the start of the segment that holds the end of what is stored, and compares up to there',
    facts: { stored: { wal: { 1: [[2, 5.5]] } }, flush: 6, kept: 4 },
    expected: stream(1, 5, 5.5),
  },
  {
    title: 'compares the last segment again when what is stored ends with it, and the server keeps it',
    facts: { stored: { wal: { 1: [[2, 6]] } }, flush: 7, kept: 5.9 },
    expected: stream(1, 5, 6),
  },
  {
    title: 'compares the last segment also when the slot keeps only what follows it, if the server has it still',
    facts: { stored: { wal: { 1: [[2, 6]] } }, flush: 7, kept: 6 },
    expected: stream(1, 5, 6, [6, 6, 6]),
  },
  {
    title: 'goes on without a gap when the server has that segment no more',
    facts: { stored: { wal: { 1: [[2, 6]] } }, flush: 7, kept: 6, gone: true },
    expected: stream(1, 6, 6),
  },
  {
    title: 'asks for WAL that the server need not keep before it accepts a gap',
    facts: { stored: { wal: { 1: [[2, 5.5]] } }, flush: 12, kept: 9.5 },
    expected: stream(1, 5, 5.5, [9, 5.5, 9]),
  },
  {
    title: 'accepts the gap when the server said that it has that WAL no more',
    facts: { stored: { wal: { 1: [[2, 5.5]] } }, flush: 12, kept: 9.5, gone: true },
    expected: stream(1, 9, 9),
  },
  {
    title: 'goes on from the run that the slot knows, not from a later one that a backup brought',
    facts: { stored: { wal: { 1: [[2, 5.5], [8, 9.5]] } }, flush: 12, kept: 5.25 }, // biome-ignore format: ranges read better in a row
    expected: stream(1, 5, 5.5),
  },
  {
    title: 'finds by itself that the server went back behind what is stored',
    facts: { stored: { wal: { 1: [[2, 5.5]] } }, flush: 5.25, kept: 3 },
    expected: diverged('server-went-back', 1, null),
  },
  {
    title: 'finds that the server went back behind a run that a backup brought',
    facts: { stored: { wal: { 1: [[2, 5.5], [8, 9.5]] } }, flush: 7, kept: 5.25 }, // biome-ignore format: ranges read better in a row
    expected: diverged('server-went-back', 1, null),
  },
  {
    title: 'asks a standby that lags for what it has',
    facts: { stored: { wal: { 1: [[2, 5.5]] } }, flush: 4.25, kept: 3, standby: true },
    expected: stream(1, 4, 5.5),
  },
  {
    title: 'goes on with the old timeline when its switch lies in a later segment',
    facts: { stored: { wal: { 1: [[2, 5.5]] } }, timeline: 2, switches: [[1, 7.5]], flush: 9, kept: 5 },
    expected: stream(1, 5, 5.5),
  },
  {
    title: 'begins the new timeline at the start of the segment that holds the switch',
    facts: { stored: { wal: { 1: [[2, 5.5]] } }, timeline: 2, switches: [[1, 5.5]], flush: 9, kept: 5 },
    expected: stream(2, 5, 5.5),
  },
  {
    title: 'begins the new timeline although the old one was not received to its end, when both share the segment',
    facts: { stored: { wal: { 1: [[2, 5.5]] } }, timeline: 2, switches: [[1, 5.75]], flush: 9, kept: 5 },
    expected: stream(2, 5, 5.5),
  },
  {
    title: 'goes on with the new timeline where its own WAL ends',
    facts: {
      stored: { wal: { 1: [[2, 5.5]], 2: [[5, 6.25]] }, histories: { 2: [[1, 5.5]] } },
      ...{ timeline: 2, switches: [[1, 5.5]], flush: 9, kept: 6 },
    },
    expected: stream(2, 6, 6.25),
  },
  {
    title: 'sees a fork when the server was promoted before the end of what is stored',
    facts: { stored: { wal: { 1: [[2, 5.5]] } }, timeline: 2, switches: [[1, 5.25]], flush: 9, kept: 5 },
    expected: diverged('timeline-forked-earlier', 1, 5.25),
  },
  {
    title: 'sees none when only a part of a record lies beyond the promotion',
    facts: { stored: { wal: { 1: [[2, 5.5]] } }, timeline: 2, switches: [[1, 5.25]], flush: 9, kept: 5, harmless: [1] },
    expected: stream(2, 5, 5.25),
  },
  {
    title: 'sees a fork when the server is a primary on a timeline that was left',
    facts: {
      stored: { wal: { 1: [[2, 5.5]], 2: [[5, 6.25]] }, histories: { 2: [[1, 5.5]] } },
      ...{ timeline: 1, flush: 6, kept: 5 },
    },
    expected: diverged('older-timeline', 1, 5.5),
  },
  {
    title: 'waits for a standby on an older timeline that has not come to the switch',
    facts: {
      stored: { wal: { 1: [[2, 5.5]], 2: [[5, 6.25]] }, histories: { 2: [[1, 5.5]] } },
      ...{ timeline: 1, flush: 5.25, kept: 5, standby: true },
    },
    expected: { kind: 'server-behind', timeline: 1, until: at(5.5) },
  },
  {
    title: 'sees a fork when two servers gave the same number to different timelines',
    facts: {
      stored: { wal: { 1: [[2, 5.5]], 2: [[5, 6.25]] }, histories: { 2: [[1, 5.5]] } },
      ...{ timeline: 2, switches: [[1, 5.25]], flush: 9, kept: 5 },
    },
    expected: diverged('timeline-forked-earlier', 1, 5.25),
  },
  {
    title: 'sees a fork when the server went to another timeline from the same switch',
    facts: {
      stored: { wal: { 1: [[2, 5.5]], 2: [[5, 6.25]] }, histories: { 2: [[1, 5.5]] } },
      ...{ timeline: 3, switches: [[1, 5.5]], flush: 9, kept: 5 },
    },
    expected: diverged('timeline-forked-earlier', 1, 5.5),
  },
  {
    title: 'follows several promotions at once',
    facts: {
      stored: { wal: { 1: [[2, 3.5]] } },
      ...{ timeline: 3, switches: [[1, 4.5], [2, 6.5]], flush: 9, kept: 3 }, // biome-ignore format: switches read better in a row
    },
    expected: stream(1, 3, 3.5),
  },
  {
    title: "goes by the server's word on a timeline whose stored history is damaged",
    facts: {
      stored: { wal: { 1: [[2, 5.5]], 2: [[5, 6.25]] } },
      ...{ timeline: 2, switches: [[1, 5.5]], flush: 9, kept: 6 },
    },
    expected: stream(2, 6, 6.25),
  },
];

describe('where a receiver goes on', () => {
  for (const { title, facts, expected } of cases) it(title, () => assert.deepEqual(plan(facts), expected));
});
