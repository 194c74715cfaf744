/** The two documents that come over plain HTTP: what can be chosen, and the business date. */
import { parseCatalog, parseStatus, type Catalog, type Status } from "../protocol/catalog.ts";

export const STATUS_EVERY_MS = 5_000;
/** New accounts and instruments announce themselves nowhere else. */
export const CATALOG_EVERY_MS = 60_000;
const CATALOG_RETRY_MS = 1_000;

export interface HttpListener {
  onCatalog(catalog: Catalog): void;
  onStatus(status: Status): void;
  onError(message: string): void;
}

async function fetchJson(path: string): Promise<unknown> {
  const response = await fetch(path, { headers: { accept: "application/json" } });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
  return response.json();
}

/** Polls until stopped. The catalog again whenever the status says the day or readiness changed. */
export function poll(listener: HttpListener): () => void {
  let stopped = false;
  let known = "";
  let catalogAtMs = -Infinity;
  let timer: ReturnType<typeof setTimeout>;

  const turn = async () => {
    let next = STATUS_EVERY_MS;
    try {
      if (catalogAtMs === -Infinity) {
        listener.onCatalog(parseCatalog(await fetchJson("/api/catalog")));
        catalogAtMs = Date.now();
      }
      const status = parseStatus(await fetchJson("/api/status"));
      if (stopped) return;
      listener.onStatus(status);
      const now = `${status.businessDate} ${status.ready}`;
      if ((known !== "" && now !== known) || Date.now() - catalogAtMs > CATALOG_EVERY_MS) {
        listener.onCatalog(parseCatalog(await fetchJson("/api/catalog")));
        catalogAtMs = Date.now();
      }
      known = now;
    } catch (error) {
      listener.onError(error instanceof Error ? error.message : String(error));
      if (catalogAtMs === -Infinity) next = CATALOG_RETRY_MS;
    }
    if (!stopped) timer = setTimeout(turn, next);
  };
  void turn();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
