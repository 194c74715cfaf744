/** The server under test: the one at TICKVIEW_URL, else a mock of our own. */
import { fileURLToPath } from "node:url";
import type { Catalog } from "../src/protocol/catalog.ts";
import { MockServer } from "../src/mock/server.ts";

export interface Target {
  readonly url: string;
  readonly catalog: Catalog;
  close(): Promise<void>;
}

export async function target(): Promise<Target> {
  const given = process.env["TICKVIEW_URL"];
  const mock =
    given === undefined
      ? new MockServer({ assets: fileURLToPath(new URL("../dist", import.meta.url)) })
      : null;
  const url = given?.replace(/\/$/, "") ?? `http://127.0.0.1:${await mock!.listen(0)}`;
  const response = await fetch(`${url}/api/catalog`);
  const catalog = (await response.json()) as Catalog;
  return { url, catalog, close: async () => mock?.close() };
}
