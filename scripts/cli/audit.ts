import { setTimeout as delay } from 'node:timers/promises';
import { type Command, InvalidArgumentError } from 'commander';
import { type AuditDocument, listAudit } from '../../src/admin/audit.ts';
import type { AdminContext } from '../../src/admin/context.ts';
import { once } from './arguments.ts';
import { withDatabase } from './context.ts';
import { print, printable } from './output.ts';

/** How many events are read at a time. */
const pageSize = 1_000;

/** Milliseconds between two looks at what is new. */
const pause = 500;

export function addAuditCommands(program: Command): void {
  const audit = program.command('audit').description('who did what, to whom, from where');

  audit
    .command('list')
    .description('list the latest events')
    .option('--limit <count>', 'how many', once(countArgument))
    .option('--json', 'print JSON')
    .action(async ({ limit, json }: { limit?: string; json?: true }) => {
      await withDatabase(async (context) => {
        const events = await listAudit(context, { limit: Number(limit ?? 50) });
        print(json, events, () => events.map(inWords).join('\n') || 'nothing has happened yet');
      });
    });

  audit
    .command('tail')
    .description('print events as they happen, until interrupted')
    .option('--json', 'print one JSON object a line')
    .action(async ({ json }: { json?: true }) => {
      await withDatabase(async (context) => {
        let [{ id: after } = { id: 0 }] = await listAudit(context, { limit: 1 });
        for (;;) {
          for (const event of await listAudit(context, { after, limit: pageSize })) {
            write(event, json);
            after = event.id;
          }
          await delay(pause);
        }
      });
    });

  audit
    .command('export')
    .description('print all events there are, one JSON object a line')
    .option('--after <id>', 'only those after this one', once(countArgument))
    .action(async ({ after }: { after?: string }) => {
      await withDatabase((context) => exportAll(context, Number(after ?? 0)));
    });
}

async function exportAll(context: AdminContext, from: number): Promise<void> {
  for (let after = from; ; ) {
    const events = await listAudit(context, { after, limit: pageSize });
    for (const event of events) write(event, true);
    const last = events.at(-1);
    if (last === undefined) return;
    after = last.id;
  }
}

function write(event: AuditDocument, json: true | undefined): void {
  process.stdout.write(`${json ? JSON.stringify(event) : inWords(event)}\n`);
}

function inWords({ at, actor, act, target, address, refused, reason }: AuditDocument): string {
  const parts = [
    at.replace('.000Z', 'Z'),
    printable(actor),
    refused ? `${printable(act)} REFUSED` : printable(act),
    target === null ? '' : printable(target),
    address === null ? '' : `from ${printable(address)}`,
    reason === null ? '' : `(${printable(reason)})`,
  ];
  return parts.filter(Boolean).join('  ');
}

function countArgument(text: string): string {
  if (/^(0|[1-9]\d{0,14})$/.test(text)) return text;
  throw new InvalidArgumentError('It must be a whole number.');
}
