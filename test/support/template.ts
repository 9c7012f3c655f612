/**
 * Fills the empty database at `url`, once per run of the tests. Every `freshDatabase` is a copy of it, so leave no
 * connection to it open.
 */
export async function prepareTemplate(_url: string): Promise<void> {}
