/**
 * Does quick work of one kind back to back: what one turn of the event loop brings is collected, and done at its end, so many
 * in a row at the most before the loop gets its turn. Answers come, and errors, to each item by itself.
 */
export function createBatch<Item, Result>(size: number, work: (item: Item) => Result): (item: Item) => Promise<Result> {
  interface Waiting {
    readonly item: Item;
    readonly resolve: (result: Result) => void;
    readonly reject: (error: unknown) => void;
  }
  const line: Waiting[] = [];

  function flush(): void {
    for (const { item, resolve, reject } of line.splice(0, size)) {
      try {
        resolve(work(item));
      } catch (error) {
        reject(error);
      }
    }
    if (line.length > 0) setImmediate(flush);
  }

  return (item) =>
    new Promise((resolve, reject) => {
      if (line.push({ item, resolve, reject }) === 1) setImmediate(flush);
    });
}
