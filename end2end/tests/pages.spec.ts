// Every page at every width and theme: no errors, nothing unreadable, nothing cut off.
import { expect, expectAccessible, expectSoundMarkup, open, test } from "../fixtures.ts";
import { Program } from "../program.ts";

const PAGES = ["/", "/orders", "/traces", "/resilience"];
const WIDTHS = [
  { width: 1440, height: 900 },
  { width: 390, height: 844 },
];

for (const path of PAGES) {
  for (const viewport of WIDTHS) {
    test(`${path} at ${viewport.width} pixels is accessible in both themes and fits`, async ({ page }) => {
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
    await open(page, path);
    await expectSoundMarkup(page, path);
  });
}

test("the first page before any order is accessible in both themes", async ({ page }) => {
  const quiet = await Program.start(["--load", "0"]);
  try {
    for (const colorScheme of ["dark", "light"] as const) {
      await page.emulateMedia({ colorScheme });
      await open(page, `${quiet.url}/`);
      await expect(page.locator(".feed")).toContainText("No orders yet");
      await expectAccessible(page);
    }
    await page.goto("about:blank");
  } finally {
    await quiet.stop();
  }
});

test("the map shows the calls of the load as they happen", async ({ page }) => {
  await open(page, "/");
  await expect(page.getByRole("button", { name: /gateway to catalog/ }).first()).toBeVisible({ timeout: 15_000 });
  await expect(page.locator(".live-state")).toContainText("Live");
});

test("the map is also a table", async ({ page }) => {
  await open(page, "/");
  await page.locator("body").press("t");
  await expect(page.getByRole("table").first()).toContainText("gateway");
});

test("a trace is found by its service and opened as a waterfall with span details", async ({ page }) => {
  await page.request.get("/api/v1/products/p-moka");
  await open(page, "/traces?service=catalog");
  await page.getByRole("link", { name: /GET \/api\/v1\/products/ }).first().click();
  await expect(page).toHaveURL(/\/traces\/[0-9a-f]{32}/);
  await page.locator("body").press("j");
  await expect(page.locator("main")).toContainText("http.request.method");
  await expectAccessible(page);
});

test("the load is set from the page and the stream says so", async ({ page, baseURL }) => {
  await open(page, "/");
  await page.locator("body").press("+");
  await expect(page.locator("header.top")).toContainText("12 req/s");
  await page.locator("body").press("-");
  await expect(page.locator("header.top")).toContainText("2 req/s");
  const snapshot = await page.request.get(`${baseURL}/metrics`);
  expect(await snapshot.text()).toContain("# EOF");
});

test("an address that leads nowhere is a page with status 404", async ({ page, baseURL }) => {
  const answer = await page.request.get(`${baseURL}/nowhere`);
  expect(answer.status()).toBe(404);
});
