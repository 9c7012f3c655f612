/** Knows neither tokens nor tables: how what many ask for at once is done together. */
import { isDatabaseAway } from '../store/database-errors.ts';

/**
 * Does work of one kind together: what one turn of the event loop brings and, while that is under way, what comes
 * meanwhile, so many at a time at the most. An outcome that is an `Error` is the item's own. Where the work fails for all,
 * each is tried alone, once, so that a bad one never fails its neighbours; where the database is away nobody waits
 * for it any longer.
 */
export function createLine<Item, Result>(
  size: number,
  work: (items: readonly Item[]) => Promise<readonly (Result | Error)[]>,
): (item: Item) => Promise<Result> {
  interface Waiting {
    readonly item: Item;
    readonly resolve: (result: Result) => void;
    readonly reject: (error: unknown) => void;
  }
  const line: Waiting[] = [];
  let underWay = false;

  async function doAll(): Promise<void> {
    while (line.length > 0) await doTogether(line.splice(0, size));
    underWay = false;
  }

  async function doTogether(those: readonly Waiting[]): Promise<void> {
    try {
      const outcomes = await work(those.map(({ item }) => item));
      for (const [at, { resolve, reject }] of those.entries()) {
        const outcome = outcomes[at] as Result | Error;
        if (outcome instanceof Error) reject(outcome);
        else resolve(outcome);
      }
    } catch (error) {
      if (isDatabaseAway(error)) for (const { reject } of [...those, ...line.splice(0)]) reject(error);
      else if (those.length === 1) those[0]?.reject(error);
      else for (const one of those) await doTogether([one]);
    }
  }

  return (item) =>
    new Promise((resolve, reject) => {
      line.push({ item, resolve, reject });
      if (underWay) return;
      underWay = true;
      setImmediate(doAll);
    });
}
