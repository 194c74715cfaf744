/** What the browser shows, read back for assertions. */
import { chromium, type Browser, type BrowserContextOptions, type Page } from "playwright-core";

export interface ShownCell {
  readonly column: string;
  readonly raw: string;
  readonly text: string;
  readonly quality: string;
  readonly title: string;
}
export interface ShownRow {
  readonly key: string;
  readonly label: string;
  readonly level: number;
  readonly expanded: string | null;
  readonly index: number;
  readonly cells: readonly ShownCell[];
}

export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
  });
}

/** A page at an address, once it is LIVE. Errors of the page fail the test that asks for them. */
export async function openLive(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<{ page: Page; errors: string[] }> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 720 }, ...options });
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  await page.goto(url);
  await live(page);
  return { page, errors };
}

export async function live(page: Page): Promise<void> {
  await page.waitForSelector('[data-testid="connection"][data-state="LIVE"]:not([data-pending])', {
    timeout: 30_000,
  });
}

/** Rows in the order they stand on screen, the total first. All of one instant. */
export function rowsOf(page: Page): Promise<ShownRow[]> {
  return page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>(".row[data-key]:not([hidden])")]
      .map((row) => ({
        key: row.dataset["key"]!,
        label: row.querySelector(".label")!.textContent!,
        level: Number(row.getAttribute("aria-level")),
        expanded: row.getAttribute("aria-expanded"),
        index: Number(row.getAttribute("aria-rowindex")),
        cells: [...row.querySelectorAll<HTMLElement>("[data-col]")].map((cell) => ({
          column: cell.dataset["col"]!,
          raw: cell.dataset["raw"]!,
          text: cell.textContent!,
          quality: cell.dataset["quality"]!,
          title: cell.title,
        })),
      }))
      .sort((a, b) => a.index - b.index),
  );
}

export async function totalOf(page: Page, column: string): Promise<string | undefined> {
  const [total] = await rowsOf(page);
  return total?.cells.find((cell) => cell.column === column)?.raw;
}

/** Waits until the condition holds, looking ten times a second. */
export async function until(what: string, holds: () => Promise<boolean>, timeoutMs = 15_000): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
