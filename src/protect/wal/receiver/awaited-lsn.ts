/**
 * The position up to which somebody waits for WAL to be durable: what has come is then stored at once up to there, and not at the next interval. It may
 * rise any number of times, and never ends the receiver.
 */
export class AwaitedLsn {
  #lsn = 0n;
  #onRaised: () => void = () => {};

  get lsn(): bigint {
    return this.#lsn;
  }

  /** A lower one than before changes nothing. */
  raise(lsn: bigint): void {
    if (lsn <= this.#lsn) return;
    this.#lsn = lsn;
    this.#onRaised();
  }

  /** There is one listener: the receiver that was given the position. */
  onRaised(listener: () => void): void {
    this.#onRaised = listener;
  }
}
