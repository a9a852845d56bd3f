// What every journey gets: a program of its own, and a page on which nothing may go wrong silently.
//
// A start takes a tenth of a second, so no journey finds what another one left: open breakers, faults, ejected
// instances, a weight, orders under way. The program is quiet unless the journey asks for load with
// `test.use({ load: 2 })`: what happens in it is then what the journey does.
//
// A console error, an uncaught error, a panic of the wasm or of the program, or a violation of the content
// security policy fails the journey even when all its own checks passed. A journey that provokes one says so
// with `test.use({ expectedErrors: [/.../] })`.
import { AxeBuilder } from "@axe-core/playwright";
import { type Page, expect, test as base } from "@playwright/test";
import { Line, Program } from "./program.ts";

/** How long a toast stays in the product, which is no time for a busy machine to find its button. */
const TOAST_MS = 6_000;
/** How long it stays in a journey. */
const TOAST_STAYS_MS = 90_000;

type Options = {
  /** Messages this journey provokes on purpose. */
  expectedErrors: RegExp[];
  /** Requests a second of the load generator of the journey's program. */
  load: number;
};

type Journey = {
  /** What went wrong on the page so far. */
  problems: string[];
  /** The program this journey runs against. */
  server: Program;
  /** Starts further programs, which end with the journey. */
  start: (more?: string[]) => Promise<Program>;
  /** A line to the program, which can be cut. */
  line: Line;
};

export const test = base.extend<Options & Journey>({
  expectedErrors: [[], { option: true }],

  load: [0, { option: true }],

  server: [
    async ({ load }, use) => {
      const server = await Program.start(["--load", String(load)]);
      await use(server);
      await end(server);
    },
    { timeout: 60_000 },
  ],

  start: async ({}, use) => {
    const started: Program[] = [];
    await use(async (more = []) => {
      const program = await Program.start(more);
      started.push(program);
      return program;
    });
    for (const program of started) await end(program);
  },

  line: async ({ server }, use) => {
    const line = await Line.to(server.url);
    await use(line);
    await line.remove();
  },

  baseURL: async ({ server }, use) => use(server.url),

  problems: async ({}, use) => use([]),

  // It asks for programs and lines so that it is closed before they end.
  page: async ({ page, problems, expectedErrors, start: _start, line: _line }, use) => {
    watch(page, problems);
    await page.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (event) => {
        console.error(`content security policy: ${event.effectiveDirective} blocked ${event.blockedURI}`);
      });
    });
    await page.addInitScript(([toast, stays]) => {
      const later = window.setTimeout;
      const longer = (run: TimerHandler, ms?: number, ...more: unknown[]) =>
        later(run, ms === toast ? stays : ms, ...more);
      window.setTimeout = longer as typeof window.setTimeout;
    }, [TOAST_MS, TOAST_STAYS_MS]);
    await use(page);
    const unexpected = problems.filter((text) => !expectedErrors.some((known) => known.test(text)));
    expect(unexpected, "errors on the page").toEqual([]);
  },
});

/** Ends a program; one that panicked or does not end well fails its journey. */
async function end(program: Program): Promise<void> {
  expect(await program.stop(), `exit code; it printed:\n${program.output()}`).toBe(0);
  expect(program.output()).not.toMatch(/panicked|\bERROR\b/);
}

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
  await alive(page);
}

/** Loads a page again and waits until it is alive. */
export async function reload(page: Page): Promise<void> {
  await page.reload();
  await alive(page);
}

/** Waits until a page takes keys and clicks and has its letters: others are of another width. */
async function alive(page: Page): Promise<void> {
  await expect(page.locator('.app[data-connection="live"]')).toBeAttached();
  await page.evaluate(async () => void (await document.fonts.ready));
}

/** Waits for what fades in, moves or changes its colour, but for what does so for ever. */
export async function still(page: Page): Promise<void> {
  await page.evaluate(async () => {
    const frame = () => new Promise((drawn) => requestAnimationFrame(drawn));
    // A change of colours starts with the frame after its cause.
    await frame();
    await frame();
    const ends = (it: Animation) =>
      it.playState === "running" && it.effect?.getComputedTiming().endTime !== Infinity;
    await Promise.allSettled(document.getAnimations().filter(ends).map((it) => it.finished));
  });
}

/** Fails on any serious or critical accessibility violation, naming the rule and the elements. */
export async function expectAccessible(page: Page): Promise<void> {
  await still(page);
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
