import { createRequire } from "node:module";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Catalog } from "../src/protocol/catalog.ts";
import { expectedText } from "./oracle.ts";
import { Proxy } from "./proxy.ts";
import { launch, live, openLive, rowsOf, totalOf, until } from "./screen.ts";
import { target, type Target } from "./target.ts";

let browser: Browser;
let server: Target;
const pages: Page[] = [];

beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), target()]);
});
afterEach(async () => {
  await Promise.all(pages.splice(0).map((page) => page.close()));
});
afterAll(async () => {
  await browser?.close();
  await server?.close();
});

async function open(
  query = "",
  base = server.url,
  options: BrowserContextOptions = {},
): Promise<{ page: Page; errors: string[] }> {
  const opened = await openLive(browser, `${base}/${query}`, options);
  pages.push(opened.page);
  return opened;
}

test("the page goes LIVE with a total, rows, the business date and the facts of the line", async () => {
  const { page, errors } = await open();
  const rows = await rowsOf(page);
  expect(rows[0]!.key).toBe("total");
  expect(rows.length).toBeGreaterThan(1);
  expect(await page.textContent('[data-testid="business-date"]')).toMatch(/^\d{4}-\d\d-\d\d$/);
  await until("an epoch", async () => /\d/.test((await page.textContent('[data-testid="epoch"]'))!));
  for (const fact of ["latency", "age", "lag"])
    await until(fact, async () => /\d m?s/.test((await page.textContent(`[data-testid="${fact}"]`))!));
  expect(errors).toEqual([]);
});

describe("change", () => {
  test("the first snapshot flashes nothing", async () => {
    const page = await browser.newPage();
    pages.push(page);
    // Seen from inside the page, in the same task that shows the first row.
    await page.addInitScript(() => {
      new MutationObserver((_, observer) => {
        if (document.querySelector(".row.total [data-col][data-raw]") === null) return;
        observer.disconnect();
        (window as unknown as { flashed: number }).flashed = document.querySelectorAll(".hl").length;
      }).observe(document, { childList: true, subtree: true });
    });
    await page.goto(server.url);
    await live(page);
    expect(await page.evaluate(() => (window as unknown as { flashed: number }).flashed)).toBe(0);
  });

  test("a changed cell turns green, says which way, and is plain again after 2 s", async () => {
    const proxy = new Proxy(new URL(server.url));
    const { page } = await open("", await proxy.listen());
    await page.waitForSelector(".hl", { timeout: 30_000 });
    const cell = await page.evaluate(() => {
      const marked = document.querySelector(".hl")!;
      return {
        classes: marked.className,
        green: getComputedStyle(marked).backgroundColor,
        arrow: getComputedStyle(marked, "::before").content,
      };
    });
    expect(cell.classes).toMatch(/\b(up|down|changed)\b/);
    expect(cell.arrow).toMatch(/[▲▼●]/);
    const [red, green, blue] = cell.green.match(/\d+/g)!.map(Number);
    expect(green).toBeGreaterThan(Math.max(red!, blue!));
    proxy.freeze();
    await page.waitForTimeout(1_000);
    await until("no green cell", async () => (await page.$$(".hl")).length === 0, 2_000);
    await proxy.vanish();
  });
});

describe("grouping", () => {
  test("two fields make a tree that opens and closes, by mouse and by keyboard", async () => {
    const view = server.catalog.views.find(({ name }) => name === "account_overview")!;
    const [first, second] = ["sector", "currency"].filter((field) => view.groupBy.includes(field));
    const { page } = await open(`?group=${first},${second}`);
    const closed = await rowsOf(page);
    expect(closed.slice(1).every(({ level, expanded }) => level === 1 && expanded === "false")).toBe(true);

    await page.click(".body .row:not([hidden]) .twisty");
    await until("children", async () => (await rowsOf(page)).some(({ level }) => level === 2));
    const open_ = await rowsOf(page);
    const parent = open_.findIndex(({ expanded }) => expanded === "true");
    const child = open_[parent + 1]!;
    expect(child.level).toBe(2);
    expect((JSON.parse(child.key) as unknown[]).slice(0, 1)).toEqual(JSON.parse(open_[parent]!.key));

    await page.keyboard.press("ArrowLeft");
    await until("no children", async () => (await rowsOf(page)).every(({ level }) => level === 1));
    await page.keyboard.press("ArrowRight");
    await until("children again", async () => (await rowsOf(page)).some(({ level }) => level === 2));
  });

  test("levels change places from the keyboard, and the URL says so", async () => {
    const { page } = await open("?group=sector,currency");
    await page.click('.control:has-text("Group by")');
    await page.focus(".level");
    // Down to the second level, past its drag handle, to "outwards".
    for (const key of ["ArrowDown", "ArrowRight", "ArrowRight", "Enter"]) await page.keyboard.press(key);
    await until("the order in the URL", async () => page.url().includes("group=currency,sector"));
    await page.click('.chip:has-text("Asset class")');
    await until("a third level", async () => page.url().includes("group=currency,sector,asset_class"));
    await live(page);
  });

  test("no field leaves the total alone", async () => {
    const { page } = await open("?group=");
    expect((await rowsOf(page)).map(({ key }) => key)).toEqual(["total"]);
  });
});

describe("selection", () => {
  test("one account of many narrows the result and stands in the URL", async () => {
    const [account] = server.catalog.accounts;
    if (server.catalog.accounts.length < 2) return;
    const { page } = await open();
    const all = await totalOf(page, "holdings");
    await page.click('.control:has-text("Accounts")');
    await page.click("text=Clear");
    await page.fill(".pick-many input", account!.id);
    await page.click(`[role=option][data-key="${account!.id}"]`);
    await until("fewer holdings", async () => {
      const now = await totalOf(page, "holdings");
      return now !== undefined && BigInt(now || "0") > 0n && BigInt(now) < BigInt(all!);
    });
    expect(page.url()).toContain(`accounts=${account!.id}`);
    await live(page);
  });

  test("one portfolio of many narrows a carve-out, and the unsleeved one has a name", async () => {
    const { page } = await open("?view=pid_carve_out&group=portfolio_id");
    const all = await totalOf(page, "holdings");
    const unsleeved = '.row[data-key=\'[""]\']:not([hidden])';
    expect(await page.textContent(`${unsleeved} .label`)).toBe("(unsleeved)");
    await page.click('.control:has-text("Portfolios")');
    await page.click("text=Clear");
    await page.click('[role=option]:has-text("(unsleeved)")');
    await until("fewer holdings", async () => {
      const now = await totalOf(page, "holdings");
      return now !== undefined && BigInt(now || "0") > 0n && BigInt(now) < BigInt(all!);
    });
    expect((await rowsOf(page)).map(({ key }) => key)).toEqual(["total", '[""]']);
    expect(page.url()).toContain("portfolios=%7E");
    await live(page);
  });

  test("an account nobody has declared goes by its id", async () => {
    const page = await browser.newPage();
    pages.push(page);
    const [account] = server.catalog.accounts;
    await page.route("**/api/catalog", async (route) => {
      const response = await route.fetch();
      const catalog = (await response.json()) as Catalog;
      const accounts = catalog.accounts.map((other) =>
        other.id === account!.id ? { ...other, name: null, strategy: null, region: null } : other,
      );
      await route.fulfill({ response, json: { ...catalog, accounts } });
    });
    await page.goto(server.url);
    await live(page);
    await page.click('.control:has-text("Accounts")');
    const option = `[role=option][data-key="${account!.id}"]`;
    expect(await page.textContent(`${option} .pick-name`)).toBe(account!.id);
    await page.click("text=Clear");
    await page.click(option);
    expect(await page.textContent('.control:has-text("Accounts") .control-value')).toBe(account!.id);
  });

  test("nobody selected is nothing, and stays LIVE", async () => {
    const { page } = await open("?accounts=");
    expect((await rowsOf(page)).map(({ key }) => key)).toEqual(["total"]);
  });

  test("an exposure taken away takes its columns", async () => {
    const { page } = await open();
    const before = (await rowsOf(page))[0]!.cells.length;
    await page.click('.toggle:has-text("Expected")');
    await until("fewer columns", async () => ((await rowsOf(page))[0]?.cells.length ?? before) < before);
    expect((await rowsOf(page))[0]!.cells.some(({ column }) => column.endsWith("_expected"))).toBe(false);
  });

  test("a refused view is said, with the server's words", async () => {
    const page = await browser.newPage();
    pages.push(page);
    await page.goto(`${server.url}/?accounts=no-such-account`);
    await page.waitForSelector('[data-testid="reject"]');
    expect(await page.textContent('[data-testid="reject"]')).toContain("UNKNOWN_ACCOUNT");
  });
});

test("sorting by a column puts the largest first", async () => {
  const { page } = await open();
  await page.click('[role=columnheader][data-column="holdings"]');
  await page.waitForSelector('[data-column="holdings"][aria-sort="descending"]');
  const values = (await rowsOf(page))
    .slice(1)
    .map(({ cells }) => BigInt(cells.find(({ column }) => column === "holdings")!.raw));
  expect(values).toEqual([...values].sort((a, b) => (a > b ? -1 : a < b ? 1 : 0)));
});

test("every cell on screen of every view says what its raw value says", async () => {
  for (const { name, kind, measures } of server.catalog.views) {
    const units = new Map(measures.map((measure) => [measure.name, measure.unit]));
    const group = kind === "grouped" ? "&group=sector,currency&expanded=2" : "";
    const { page } = await open(`?view=${name}${group}`);
    let checked = 0;
    for (let round = 0; round < 5; round++) {
      for (const { key, cells } of await rowsOf(page)) {
        // The second level is by currency, and local amounts are in it.
        const own = kind === "grouped" && key !== "total" ? (JSON.parse(key) as string[])[1] : undefined;
        for (const { column, raw, text, quality, title } of cells) {
          const unit = units.get(column);
          const expected =
            unit === undefined ? null : expectedText(raw, unit, unit === "local" ? own : undefined);
          if (expected === null) continue;
          // An empty text and no value share a raw of ""; they differ in the dash.
          if (unit === "text" && raw === "") expect(["", "–"]).toContain(text);
          else expect(text, `${name}: ${column} ${raw}`).toBe(expected);
          if (quality === "MISSING") expect(raw).toBe("");
          if (quality !== "") expect(title).not.toBe("");
          checked += 1;
        }
      }
      await page.waitForTimeout(200);
    }
    expect(checked, name).toBeGreaterThan(0);
  }
});

test("scrolling through thousands of rows and back shows rows at every step", async () => {
  const { page } = await open("?group=account_id,instrument_id&expanded=all");
  const sizeNow = () =>
    page.evaluate(() => Number(document.querySelector(".scroller")!.getAttribute("aria-rowcount")) - 2);
  expect(await sizeNow()).toBeGreaterThan(1_000);
  for (const part of [0.3, 0.9, 1, 0.5, 0]) {
    const least = await page.evaluate(async (to) => {
      const scroller = document.querySelector(".scroller")!;
      scroller.scrollTop = to * scroller.scrollHeight;
      let least = Infinity;
      for (let frame = 0; frame < 10; frame++) {
        await new Promise(requestAnimationFrame);
        least = Math.min(least, document.querySelectorAll(".body .row:not([hidden])").length);
      }
      return least;
    }, part);
    expect(least).toBeGreaterThanOrEqual(20);
  }
  // New rows may come below the last one at any moment: it is gone to again until it is on screen.
  await until("the last row", async () => {
    await page.evaluate(() => (document.querySelector(".scroller")!.scrollTop = 1e9));
    return (await rowsOf(page)).at(-1)!.index === (await sizeNow()) + 2;
  });
});

test("a server that goes away leaves a grey grid that says DISCONNECTED, and comes back LIVE", async () => {
  const proxy = new Proxy(new URL(server.url));
  const { page } = await open("", await proxy.listen());
  const opacity = () =>
    page.evaluate(() => Number(getComputedStyle(document.querySelector(".pane")!).opacity));
  expect(await opacity()).toBe(1);
  await proxy.vanish();
  await page.waitForSelector('[data-testid="connection"][data-state="DISCONNECTED"]');
  expect(await page.textContent('[data-testid="connection"]')).toBe("DISCONNECTED");
  expect(await opacity()).toBeLessThan(1);
  expect((await rowsOf(page)).length).toBeGreaterThan(1);
  await proxy.listen();
  await live(page);
  expect(await opacity()).toBe(1);
  await proxy.vanish();
});

test("a line that stays up and says nothing is not LIVE", async () => {
  const proxy = new Proxy(new URL(server.url));
  const { page } = await open("", await proxy.listen());
  proxy.freeze();
  await page.waitForSelector('[data-testid="connection"][data-state="LAGGING"]', { timeout: 4_000 });
  await page.waitForSelector('[data-testid="connection"][data-state="STALE"]', { timeout: 5_000 });
  await proxy.vanish();
});

test.each([
  ["light", "?group=sector,currency&expanded=2"],
  ["dark", "?group=sector,currency&expanded=2"],
  ["light", "?view=cash_only&expanded=2"],
  ["dark", "?view=cash_only&expanded=2"],
] as const)("%s, %s: no accessibility fault that axe can see", async (colorScheme, query) => {
  // The server lets no script in but its own, and axe is not.
  const { page } = await open(query, server.url, {
    bypassCSP: true,
    colorScheme,
  });
  await page.addScriptTag({ path: createRequire(import.meta.url).resolve("axe-core/axe.min.js") });
  const faults = await page.evaluate(async () => {
    const { axe } = window as unknown as {
      axe: {
        run(): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }>;
      };
    };
    const { violations } = await axe.run();
    return violations.map(
      ({ id, nodes }) =>
        `${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 160)} ${failureSummary}`).join("\n")}`,
    );
  });
  expect(faults).toEqual([]);
});
