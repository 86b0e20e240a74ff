import type { Socket } from 'node:net';
import type { ConnectionTarget } from './target.ts';

/** Idle time after which the kernel asks whether the other machine is still there, unless told otherwise. */
const IDLE_MS_DEFAULT = 30_000;

/** With the two that Node.js took in after 24.7; before, they are left to the system. */
type SetKeepalive = (isOn: boolean, idleMs: number, intervalMs?: number, count?: number) => void;

/** Has the kernel ask now and then whether the other side is still there. Nothing of it matters to a Unix socket. */
export function applyKeepalive(socket: Socket, target: ConnectionTarget): void {
  if (target.isLocal) return;
  const { isOn = true, idleMs = IDLE_MS_DEFAULT, intervalMs, count } = target.parts.keepalive ?? {};
  const set: SetKeepalive = socket.setKeepAlive.bind(socket);
  set(isOn, idleMs, intervalMs, count);
}
