// What every journey gets: a server of its worker's own, and a page on which nothing may go wrong silently.
//
// A console error, an uncaught error, a panic of the wasm or a violation of the content security policy fails
// the journey even when all its own checks passed. A journey that provokes one says so with
// `test.use({ expectedErrors: [/.../] })`.
import { AxeBuilder } from "@axe-core/playwright";
import { type Page, expect, test as base } from "@playwright/test";
import { Program } from "./program.ts";

type Options = {
  /** Messages this journey provokes on purpose. */
  expectedErrors: RegExp[];
};

type Watch = {
  /** What went wrong on the page so far. */
  problems: string[];
};

type Workers = {
  /** The program this worker's journeys run against. */
  server: Program;
};

export const test = base.extend<Options & Watch, Workers>({
  expectedErrors: [[], { option: true }],

  server: [
    async ({}, use) => {
      const server = await Program.start();
      await use(server);
      expect(await server.stop(), `exit code; it printed:\n${server.output()}`).toBe(0);
    },
    { scope: "worker", timeout: 60_000 },
  ],

  baseURL: async ({ server }, use) => use(server.url),

  problems: async ({}, use) => use([]),

  page: async ({ page, problems, expectedErrors }, use) => {
    watch(page, problems);
    await page.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => {
        console.error(`content security policy: ${event.effectiveDirective} blocked ${event.blockedURI}`);
      });
    });
    await use(page);
    const unexpected = problems.filter((text) => !expectedErrors.some((known) => known.test(text)));
    expect(unexpected, "errors on the page").toEqual([]);
  },
});

export { expect };

function watch(page: Page, problems: string[]): void {
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(`console: ${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => problems.push(`uncaught: ${error.stack ?? error.message}`));
  page.on("crash", () => problems.push("the page crashed"));
}

/** Opens a page and waits until it is alive: keys and clicks before that would be lost. */
export async function open(page: Page, address: string): Promise<void> {
  const wasm = page.waitForResponse((response) => new URL(response.url()).pathname.endsWith(".wasm"));
  await page.goto(address);
  expect((await wasm).status(), "the wasm of the page").toBe(200);
  await expect(page.locator('.app[data-connection="live"]')).toBeAttached();
}

/** Fails on any serious or critical accessibility violation, naming the rule and the elements. */
export async function expectAccessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const grave = violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`);
  expect(grave, "serious accessibility violations").toEqual([]);
}

/**
 * Fails when the browser had to repair the server's markup (a table without tbody, a div in a p, a tag left
 * open). Hydration walks the repaired tree with the unrepaired plan and then binds to the wrong elements,
 * mostly without any error to be seen.
 */
export async function expectSoundMarkup(page: Page, address: string): Promise<void> {
  const html = await (await page.request.get(address)).text();
  const parsed = await page.evaluate((source) => {
    const tree = new DOMParser().parseFromString(source, "text/html");
    return [...tree.querySelectorAll("*")].map((element) => element.localName.toLowerCase());
  }, html);
  expect(parsed, `the elements of ${address} as parsed, compared with its source`).toEqual(openingTags(html));
}

/** The names of all opening tags, in order, without what a parser reads as text or sets aside. */
function openingTags(html: string): string[] {
  const visible = html
    .replace(/<!--.*?-->/gs, "")
    .replace(/(<(script|style|template|title|textarea)\b[^>]*>).*?(<\/\2>)/gis, "$1$3");
  const tags = visible.matchAll(/<([a-z][^\s/>]*)(?:"[^"]*"|'[^']*'|[^>"'])*>/gi);
  return [...tags].map(([, name]) => (name ?? "").toLowerCase());
}
