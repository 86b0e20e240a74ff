import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  INITIAL_STATE,
  isFinal,
  type ReceiverEvent,
  type ReceiverState,
  TRANSITIONS,
  transition,
} from './state-machine.ts';

const states = Object.keys(TRANSITIONS) as ReceiverState[];
const living = states.filter((state) => !isFinal(state));

/** The events that a state can meet. */
function possible(state: ReceiverState): ReceiverEvent[] {
  return (Object.keys(TRANSITIONS[state]) as ReceiverEvent[]).filter((event) => TRANSITIONS[state][event] !== null);
}

/** Every state to which events lead from `from`. */
function reachable(from: ReceiverState): Set<ReceiverState> {
  const found = new Set([from]);
  for (const state of found) for (const event of possible(state)) found.add(TRANSITIONS[state][event]!);
  return found;
}

describe('the states of a WAL receiver', () => {
  it('end as stopped or failed, and in nothing else', () => {
    assert.deepEqual(states.filter(isFinal).sort(), ['failed', 'stopped']);
  });

  it('are all reached from the first one', () => {
    assert.deepEqual([...reachable(INITIAL_STATE)].sort(), [...states].sort());
  });

  it('can be stopped from everywhere: two events later the receiver has ended', () => {
    for (const state of living) {
      const draining = state === 'draining' ? state : transition(state, 'stop-requested');
      assert.equal(transition(draining, 'drained'), 'stopped', state);
    }
  });

  it('lead back to streaming from everywhere but the end', () => {
    for (const state of living) if (state !== 'draining') assert.ok(reachable(state).has('streaming'), state);
  });

  it('never let WAL be streamed that was not compared first', () => {
    for (const state of living) {
      for (const event of possible(state)) {
        if (TRANSITIONS[state][event] === 'streaming') assert.deepEqual([state, event], ['comparing', 'compared']);
        if (TRANSITIONS[state][event] === 'comparing') assert.deepEqual([state, event], ['preparing', 'stream-opened']);
      }
    }
  });

  it('lead from the end of a timeline, and from a fork, through preparing', () => {
    assert.equal(transition(transition('streaming', 'timeline-ended'), 'history-stored'), 'preparing');
    assert.equal(transition(transition('comparing', 'diverged'), 'fork-located'), 'preparing');
  });

  it('break an invariant on a pair that the table rules out, and on no other', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...states),
        fc.constantFrom(...(Object.keys(TRANSITIONS.waiting) as ReceiverEvent[])),
        (state, event) => {
          const next = TRANSITIONS[state][event];
          if (next === null) assert.throws(() => transition(state, event), /broken invariant/);
          else assert.equal(transition(state, event), next);
        },
      ),
    );
  });
});
