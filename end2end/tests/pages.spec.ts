// Every page at every width and theme: no errors, nothing unreadable, nothing cut off.
import { AxeBuilder } from "@axe-core/playwright";
import { type Page, expect, expectAccessible, expectSoundMarkup, open, test } from "../fixtures.ts";
import { browse, live, order } from "../shop.ts";

test.use({ load: 2 });

const PAGES = [
  "/", "/orders", "/orders/new", "/traces", "/traffic", "/traffic/payments", "/resilience", "/more", "/shortcuts",
];
const WIDTHS = [
  { width: 1440, height: 900 },
  { width: 390, height: 844 },
];

for (const path of PAGES) {
  for (const viewport of WIDTHS) {
    test(`${path} at ${viewport.width} pixels is accessible in both themes and fits`, async ({ page }) => {
      await live(page);
      await page.setViewportSize(viewport);
      for (const colorScheme of ["dark", "light"] as const) {
        await page.emulateMedia({ colorScheme });
        await open(page, path);
        await expectAccessible(page);
      }
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(wider, "pixels that stand out on the right").toBeLessThanOrEqual(0);
    });
  }

  test(`the browser has nothing to repair in the markup of ${path}`, async ({ page }) => {
    await live(page);
    await open(page, path);
    await expectSoundMarkup(page, path);
  });
}

/** The rules of axe that are not serious to it, and are to who finds the way by headings. */
async function expectHeadings(page: Page): Promise<void> {
  const rules = ["heading-order", "page-has-heading-one"];
  const { violations } = await new AxeBuilder({ page }).withRules(rules).analyze();
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(", ")}`)).toEqual([]);
}

test("an open trace and the shortcuts are accessible on a phone, and every heading follows the one above", async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  const trace = await browse(page);
  for (const path of [`/traces/${trace}`, "/shortcuts", "/more"]) {
    await open(page, path);
    await expectAccessible(page);
    await expectHeadings(page);
  }
});

test.describe("what is not there", () => {
  test.use({ expectedErrors: [/status of 404/] });

  test("a page that is not there is accessible on a phone and has a heading", async ({ page }) => {
    await page.setViewportSize({ width: 390, height: 844 });
    for (const path of ["/nowhere", "/orders/ord-NOSUCH", `/traces/${"0".repeat(31)}1`]) {
      await open(page, path);
      await expectAccessible(page);
      await expectHeadings(page);
    }
  });
});

test.describe("a quiet shop", () => {
  test.use({ load: 0 });

  test("the first page before any order is accessible in both themes", async ({ page }) => {
    for (const colorScheme of ["dark", "light"] as const) {
      await page.emulateMedia({ colorScheme });
      await open(page, "/");
      await expect(page.locator(".feed")).toContainText("No orders yet");
      await expectAccessible(page);
    }
  });

  test("the table has the edges of the map before anything was called", async ({ page }) => {
    await open(page, "/?view=table");
    await expect(page.getByRole("row", { name: /gateway .*orders/ })).toContainText("none");
    await expect(page.locator(".map-table")).toContainText("No calls in the last minute.");
  });

  test("a trace is found by its service and opened as a waterfall with span details", async ({ page }) => {
    await browse(page);
    await open(page, "/traces?service=catalog");
    await page.getByRole("link", { name: /GET \/api\/v1\/products/ }).first().click();
    await expect(page).toHaveURL(/\/traces\/[0-9a-f]{32}/);
    await expect(page.locator(".wf-row").first()).toBeVisible();
    await page.locator("body").press("j");
    await expect(page.locator("main")).toContainText("http.request.method");
    await expectAccessible(page);
  });
});

test("the map shows the calls of the load as they happen", async ({ page }) => {
  await open(page, "/");
  await expect(page.getByRole("button", { name: /gateway to catalog/ }).first()).toBeVisible();
  await expect(page.locator(".live-state")).toContainText("Live");
});

test("the charts get the minutes before the page was opened along with the stream", async ({ page }) => {
  const stream = page.waitForRequest(/\/ui\/live/);
  await open(page, "/");
  expect(new URL((await stream).url()).search).toBe("?minutes=5");
  // Waited for from before the page is opened: the stream may be asked for before it has loaded.
  const elsewhere = page.waitForRequest(/\/ui\/live/);
  await page.goto("/orders");
  expect(new URL((await elsewhere).url()).search).toBe("");
});

test("the map is also a table", async ({ page }) => {
  await browse(page);
  await open(page, "/");
  await page.locator("body").press("t");
  const called = page.getByRole("row", { name: /gateway .*catalog/ }).first();
  await expect(called).toContainText(/\d\/s/);
});

test("the load is set from the page and the stream says so", async ({ page, baseURL }) => {
  await open(page, "/");
  const value = page.locator("header.top .load .value");
  await page.locator("body").press("+");
  await expect(value).toHaveText("12 req/s");
  await page.locator("body").press("-");
  await expect(value).toHaveText("2 req/s");
  const snapshot = await page.request.get(`${baseURL}/metrics`);
  expect(await snapshot.text()).toContain("# EOF");
});

test("a phone sets the load, the time range and the theme behind More", async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await open(page, "/");
  const bar = page.getByRole("navigation", { name: "Pages" });
  await bar.getByRole("link", { name: "More" }).click();
  const sheet = page.getByRole("dialog", { name: "More" });
  await sheet.getByRole("button", { name: "More load" }).click();
  await expect(sheet.locator(".load .value")).toHaveText("12 req/s");
  await sheet.getByLabel("Time range").selectOption("15");
  await expect(page).toHaveURL(/range=15/);
  await sheet.getByRole("button", { name: "Switch theme" }).click();
  await expect(page.locator("html")).toHaveAttribute("data-theme", "light");
  await expectAccessible(page);
  await sheet.getByRole("button", { name: "Less load" }).click();
  await expect(sheet.locator(".load .value")).toHaveText("2 req/s");
  await sheet.getByRole("link", { name: "Traces" }).click();
  await expect(page).toHaveURL(/\/traces/);
});

test("versions of payments stand on the map with their weights and lead to its route", async ({ page }) => {
  await open(page, "/");
  const version = page.getByRole("link", { name: /^payments v1: configured 100%/ });
  await expect(version).toBeVisible();
  await version.click();
  await expect(page).toHaveURL(/\/traffic\/payments/);
});

test.describe("without the line", () => {
  test.use({ expectedErrors: [/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET/] });

  test("while the line is down nothing that changes the system can be done", async ({ page, server }) => {
    await open(page, "/");
    await expect(page.locator(".live-state")).toContainText("Live");
    await server.stop();
    await expect(page.locator(".app")).toHaveAttribute("data-connection", "lost");
    await expect(page.getByRole("button", { name: "More load" })).toBeDisabled();
    await expect(page.locator(".top .place")).toHaveAttribute("aria-disabled", "true");
    await page.locator("body").press("p");
    await expect(page.locator(".toasts")).toContainText("Disconnected: it could not be sent");
    await expect(page.getByRole("dialog", { name: "Place order" })).toBeHidden();
  });
});

test("an address that leads nowhere is a page with status 404", async ({ page, baseURL }) => {
  const answer = await page.request.get(`${baseURL}/nowhere`);
  expect(answer.status()).toBe(404);
});

test("whatever has the focus of the keyboard shows it", async ({ page }) => {
  const { id, trace } = await order(page, "c-1042", "p-chair");
  for (const path of ["/orders", `/orders/${id}`, "/traces", `/traces/${trace}`, "/resilience", "/traffic/payments"]) {
    await open(page, path);
    // From here on the browser takes the focus for one of the keyboard.
    await page.keyboard.press("Tab");
    const [looked, without] = await page.evaluate(() => {
      const ring = (style: CSSStyleDeclaration) =>
        style.outlineStyle !== "none" && Number.parseFloat(style.outlineWidth) >= 1.5;
      const all = [...document.querySelectorAll<HTMLElement>("a[href], button, input, select, textarea, summary, [tabindex='0']")]
        // Handles and thumbs have their rings where no script can look.
        .filter((it) => !it.closest("svg") && !it.matches("input[type=range]") && it.checkVisibility());
      const bare = all.filter((it) => {
        it.focus();
        if (document.activeElement !== it) return false;
        const own = [getComputedStyle(it), getComputedStyle(it, "::after")];
        // A field and a segment show it around what belongs to them.
        const around = [it.parentElement, it.parentElement?.parentElement].flatMap((up) => (up ? [getComputedStyle(up)] : []));
        return ![...own, ...around].some(ring);
      });
      return [all.length, bare.map((it) => `${it.localName}.${it.className}: ${it.textContent?.trim()}`)] as const;
    });
    expect(looked, path).toBeGreaterThan(20);
    expect(without, path).toEqual([]);
  }
});
