/** Which cores do what: the server under load has one to itself, the load generator another. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** The cores that this process may use at its start; none where they cannot be chosen (no Linux, no `taskset`). */
const cores = allowedCores();

export const coreCount = cores.length || availableParallelism();

/** Whether servers and load generator each keep to a core. Otherwise they push each other about, and figures wander. */
export const pinned = cores.length > 1;

/** The command that runs another on the servers' core, or on all of them. */
export function on(where: 'one core' | 'all cores'): string[] {
  return pinned ? ['taskset', '--cpu-list', where === 'one core' ? String(cores[0]) : cores.join(',')] : [];
}

/** Moves this process, the load generator, off the servers' core. */
export function leaveServersCore(): void {
  if (!pinned) return;
  const others = cores.slice(1).join(',');
  execFileSync('taskset', ['--all-tasks', '--pid', '--cpu-list', others, String(process.pid)], { stdio: 'ignore' });
}

function allowedCores(): number[] {
  try {
    execFileSync('taskset', ['--version'], { stdio: 'ignore' });
    const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
    return list.split(',').flatMap((range) => {
      const [first = 0, last = first] = range.split('-').map(Number);
      return Array.from({ length: last - first + 1 }, (_, index) => first + index);
    });
  } catch {
    return [];
  }
}
