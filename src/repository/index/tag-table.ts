/** A table is never fuller than this: behind it the runs that a lookup walks grow fast. */
const FULL_AT = 0.85;
const GROWTH = 1.25;
const SLOTS_FIRST = 64;
/** Additions that wait in a table, so that its memory is visited for many at once: each visit of one alone waits for the memory. */
const WAITING_MAX = 128;

/**
 * From a 32-bit tag to the numbers of all records that were added under it: an open-addressed table at 8 bytes for each slot.
 *
 * A slot is tag · record number + 1, so that zero is an empty slot. The place of a tag follows from the tag alone, which is why growing needs
 * nothing but the table itself. Nothing is ever removed.
 */
export class TagTable {
  #slots: Uint32Array;
  #capacity: number;
  #count = 0;
  /** Tag and record number + 1, as in a slot. Made with the first addition. */
  #waiting: Uint32Array | null = null;
  #waitingCount = 0;

  /**
   * `phase` in [0, 1) shifts the sizes at which it grows, so that many tables do not all grow at once. `expected`: so many records are likely
   * to come; growing leaves garbage behind that costs more memory than the table.
   */
  constructor(phase: number, expected: number) {
    this.#capacity = Math.ceil(Math.max(SLOTS_FIRST * GROWTH ** phase, expected / FULL_AT));
    this.#slots = new Uint32Array(this.#capacity * 2);
  }

  get memoryBytes(): number {
    return this.#slots.byteLength + (this.#waiting?.byteLength ?? 0);
  }

  add(tag: number, record: number): void {
    this.#waiting ??= new Uint32Array(WAITING_MAX * 2);
    const at = this.#waitingCount * 2;
    this.#waiting[at] = tag;
    this.#waiting[at + 1] = record + 1;
    this.#waitingCount += 1;
    if (this.#waitingCount === WAITING_MAX) this.#settle();
  }

  /** Puts what waits into its place and gives back the room for waiting: for when no more is to come for a while. */
  rest(): void {
    if (this.#waitingCount > 0) this.#settle();
    this.#waiting = null;
  }

  /** The records under a tag, in the order in which they were added or in another. */
  *find(tag: number): Generator<number, void> {
    if (this.#waitingCount > 0) this.#settle();
    for (let slot = this.#home(tag); ; slot = slot + 1 === this.#capacity ? 0 : slot + 1) {
      const record = this.#slots[slot * 2 + 1]!;
      if (record === 0) return;
      if (this.#slots[slot * 2] === tag) yield record - 1;
    }
  }

  /** Spreads tags evenly over any capacity, also one that is no power of two. */
  #home(tag: number): number {
    return Math.floor((tag / 2 ** 32) * this.#capacity);
  }

  #settle(): void {
    const waiting = this.#waiting!;
    const count = this.#waitingCount;
    while (this.#count + count > this.#capacity * FULL_AT) this.#grow();
    for (let at = 0; at < count * 2; at += 2) this.#place(waiting[at]!, waiting[at + 1]!);
    this.#count += count;
    this.#waitingCount = 0;
  }

  #place(tag: number, value: number): void {
    const slots = this.#slots;
    let slot = this.#home(tag);
    while (slots[slot * 2 + 1] !== 0) slot = slot + 1 === this.#capacity ? 0 : slot + 1;
    slots[slot * 2] = tag;
    slots[slot * 2 + 1] = value;
  }

  #grow(): void {
    const old = this.#slots;
    this.#capacity = Math.ceil(this.#capacity * GROWTH);
    this.#slots = new Uint32Array(this.#capacity * 2);
    for (let at = 0; at < old.length; at += 2) {
      if (old[at + 1] !== 0) this.#place(old[at]!, old[at + 1]!);
    }
  }
}
