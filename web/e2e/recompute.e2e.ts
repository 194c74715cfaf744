/**
 * The real server over a market that stops after 200 ticks: what patches have
 * made of the screen by then is held, cell by cell, against what the server
 * computes from nothing at that epoch.
 *
 * The binary is the one at TICKVIEW_BINARY, which `.ci/browser-tests` sets; a
 * mock has no recomputation, so without a binary there is nothing to test.
 */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ROW_HEIGHT_PX } from "../src/grid/scroll.ts";
import type { Catalog } from "../src/protocol/catalog.ts";
import type { Column, Row, Spec, Total } from "../src/protocol/messages.ts";
import { expectedText } from "./oracle.ts";
import { launch, live, rowsOf, until, type ShownRow } from "./screen.ts";
import { serve, type RealServer } from "./server.ts";

const binary = process.env["TICKVIEW_BINARY"];
const TICKS = 200;
const SCREEN_PX = 900;
// Prices and orders enough to change every tick, instruments enough for some to be late, halted or missing.
const MARKET =
  "--source market --accounts 40 --holdings 60 --orders 100 --instruments 600 --prices-per-second 3000 --orders-per-second 200";
const VIEWS = [
  { name: "all accounts by sector, as the page opens", query: "", currency: "USD" },
  {
    name: "three levels, all open",
    query: "?group=sector,country_of_risk,instrument_id&expanded=all",
    currency: "USD",
  },
  { name: "by account, in yen", query: "?group=account_id&currency=JPY", currency: "JPY" },
  {
    name: "two levels sorted by what keeps changing",
    query: "?group=asset_class,sector&expanded=2&sort=-mv_current",
    currency: "USD",
  },
  { name: "cash by account and currency", query: "?view=cash_only&expanded=2", currency: "USD" },
] as const;

interface Recomputed {
  readonly epoch: number;
  readonly schema: readonly Column[];
  readonly rows: readonly Row[];
  readonly total: Total;
}
interface Watched {
  readonly page: Page;
  /** The specification the page asked for, as it went over the wire. */
  spec(): Spec;
}

let browser: Browser;
let server: RealServer;
const watched: Watched[] = [];
const baseCurrencies = new Map<string, string>();

async function watch(query: string): Promise<Watched> {
  const page = await browser.newPage({ viewport: { width: 1600, height: SCREEN_PX } });
  let spec: Spec | null = null;
  page.on("websocket", (socket) =>
    socket.on("framesent", ({ payload }) => {
      const frame = JSON.parse(String(payload)) as { type: string; spec: Spec };
      if (frame.type === "open" || frame.type === "change") spec = frame.spec;
    }),
  );
  await page.goto(`${server.url}/${query}`);
  await live(page);
  // From here on, when a cell last changed and whether the page ever looked anything but live.
  await page.evaluate(() => {
    const seen = { changedAtMs: 0, states: [] as (string | undefined)[] };
    (window as unknown as { seen: typeof seen }).seen = seen;
    new MutationObserver(() => (seen.changedAtMs = performance.now())).observe(
      document.querySelector(".pane")!,
      { subtree: true, attributeFilter: ["data-raw", "data-quality"] },
    );
    const connection = document.querySelector<HTMLElement>('[data-testid="connection"]')!;
    new MutationObserver(() => seen.states.push(connection.dataset["state"])).observe(connection, {
      attributeFilter: ["data-state"],
    });
  });
  return { page, spec: () => spec! };
}

async function recompute(spec: Spec): Promise<Recomputed> {
  const response = await fetch(`${server.url}/api/recompute`, { method: "POST", body: JSON.stringify(spec) });
  expect(response.status).toBe(200);
  return (await response.json()) as Recomputed;
}

async function epochNow(): Promise<number> {
  return ((await (await fetch(`${server.url}/api/status`)).json()) as { epoch: number }).epoch;
}

/** What a row of the answer looks like on screen. Amounts of cash are those of its account and currency. */
function shownAs(
  { schema }: Recomputed,
  { values, quality, key: [account, local] = [] }: (Row | Total) & { readonly key?: Row["key"] },
  currency: string,
): Pick<ShownRow, "cells"> {
  const own: Readonly<Record<string, string | null | undefined>> = {
    local,
    base: baseCurrencies.get(account ?? ""),
  };
  const cells = schema.map(({ name, unit }, at) => {
    const raw = values[at] ?? "";
    const text = expectedText(raw, unit, own[unit] ?? currency)!;
    return { column: name, raw, quality: quality[at] ?? "", text };
  });
  return { cells: cells.map((cell) => ({ ...cell, title: expect.any(String) as string })) };
}

function check(shown: readonly ShownRow[], answer: Recomputed, currency: string): void {
  for (const row of shown) {
    const at = row.index - 3;
    const expected =
      at < 0
        ? { key: "total", ...shownAs(answer, answer.total, currency) }
        : {
            key: JSON.stringify(answer.rows[at]!.key),
            level: answer.rows[at]!.depth,
            label: answer.rows[at]!.label ?? answer.rows[at]!.key.at(-1) ?? "(none)",
            ...shownAs(answer, answer.rows[at]!, currency),
          };
    expect(row).toMatchObject(expected);
  }
}

describe.skipIf(binary === undefined)("a market that stops after 200 ticks", () => {
  beforeAll(async () => {
    [browser, server] = await Promise.all([
      launch(),
      serve(binary!, [...MARKET.split(" "), "--stop-after-ticks", String(TICKS)]),
    ]);
    watched.push(...(await Promise.all(VIEWS.map(({ query }) => watch(query)))));
    const { accounts } = (await (await fetch(`${server.url}/api/catalog`)).json()) as Catalog;
    for (const { id, baseCurrency } of accounts)
      if (baseCurrency !== null) baseCurrencies.set(id, baseCurrency);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("cells are green while it runs, and plain 2 s after their last change", async () => {
    expect(await epochNow(), "the pages were open before the end").toBeLessThan(TICKS / 2);
    const plainAfterMs = await Promise.all(
      watched.map(async ({ page }) => {
        await page.waitForSelector(".row:not([hidden]) .hl");
        return page.evaluate(
          () =>
            new Promise<number>((resolve) => {
              const { seen } = window as unknown as { seen: { changedAtMs: number } };
              const look = setInterval(() => {
                if (document.querySelector(".hl") !== null) return;
                clearInterval(look);
                resolve(performance.now() - seen.changedAtMs);
              }, 10);
            }),
        );
      }),
    );
    for (const ms of plainAfterMs) {
      expect(ms).toBeGreaterThanOrEqual(1_900);
      expect(ms).toBeLessThan(2_500);
    }
    expect(await epochNow()).toBe(TICKS);
  });

  test.each(VIEWS.map((view, at) => ({ ...view, at })))("$name", async ({ at, currency }) => {
    const { page, spec } = watched[at]!;
    const answer = await recompute(spec());
    expect(answer.epoch).toBe(TICKS);
    expect(await page.textContent('[data-testid="epoch"]')).toBe(String(TICKS));
    const size = answer.rows.length;
    expect(await page.getAttribute(".scroller", "aria-rowcount")).toBe(String(size + 2));

    const seen = new Set<number>();
    for (let topPx = 0; topPx < size * ROW_HEIGHT_PX + SCREEN_PX; topPx += SCREEN_PX / 2) {
      const reachedPx = await page.evaluate((to) => {
        const scroller = document.querySelector(".scroller")!;
        scroller.scrollTop = to;
        return scroller.scrollTop;
      }, topPx);
      const first = Math.floor(reachedPx / ROW_HEIGHT_PX) + 3;
      await until(`row ${first} on top`, async () => {
        const rows = await rowsOf(page);
        check(rows, answer, currency);
        for (const { index } of rows) seen.add(index);
        return rows[1]!.index === first;
      });
    }
    expect(seen.size, "rows and total were all on screen").toBe(size + 1);
  });

  test("what was compared has values, and every kind of mark", async () => {
    const answer = await recompute(watched[1]!.spec());
    const marks = new Set(answer.rows.flatMap(({ quality }) => Object.values(quality)));
    for (const mark of ["STALE", "MISSING"]) expect(marks).toContain(mark);
    expect([...marks].some((mark) => mark.startsWith("PARTIAL:"))).toBe(true);
    const values = answer.rows.flatMap(({ values }) => values);
    expect(values.filter((value) => value !== null && /[1-9]/.test(value)).length).toBeGreaterThan(1_000);
  });

  test("every overdrawn amount on screen has its sign, and nothing else has", async () => {
    const { page } = watched.at(-1)!;
    await page.evaluate(() => (document.querySelector(".scroller")!.scrollTop = 0));
    const cells = await page.evaluate(() =>
      [...document.querySelectorAll<HTMLElement>(".row[data-key]:not([hidden]) [data-col]")].map((cell) => ({
        column: cell.dataset["col"]!,
        raw: cell.dataset["raw"]!,
        sign: cell.querySelector(".overdrawn")?.getAttribute("aria-label") ?? "",
        title: cell.title,
      })),
    );
    for (const { column, raw, sign, title } of cells) {
      const overdrawn = column.startsWith("expected") && raw.startsWith("-");
      expect([column, raw, sign]).toEqual([column, raw, overdrawn ? "Overdrawn" : ""]);
      expect(title.startsWith("Overdrawn")).toBe(overdrawn);
    }
    expect(cells.filter(({ sign }) => sign !== "").length).toBeGreaterThan(0);
  });

  test("data that stands still on purpose stays LIVE, past the silence that would be a death", async () => {
    await watched[0]!.page.waitForTimeout(16_000);
    for (const { page } of watched) {
      expect(await page.getAttribute('[data-testid="connection"]', "data-state")).toBe("LIVE");
      expect(
        await page.evaluate(() => (window as unknown as { seen: { states: string[] } }).seen.states),
      ).toEqual([]);
      expect(await page.textContent('[data-testid="lag"]')).toBe("0 ms");
    }
  });
});
