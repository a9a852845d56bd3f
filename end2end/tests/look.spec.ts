// What a page must look like whatever happens on it: nothing runs away, nothing covers a label, everything that
// can be pressed is whole.
import { type Page, expect, expectAccessible, open, still, test } from "../fixtures.ts";
import { live, order } from "../shop.ts";

test.use({ load: 2 });

const PAGES = ["/", "/orders", "/traces", "/traffic", "/traffic/payments", "/resilience", "/more", "/shortcuts"];
const SIZES = [
  { width: 1440, height: 900 },
  { width: 1280, height: 720 },
  { width: 390, height: 844 },
];

for (const path of PAGES) {
  test(`the window of ${path} never scrolls, only what is in it`, async ({ page }) => {
    await live(page);
    for (const viewport of SIZES) {
      await page.setViewportSize(viewport);
      await open(page, path);
      await expectStandsStill(page, `${path} at ${viewport.width}`);
    }
  });
}

test("the window stands still on an order's page and where an address names a place of the page", async ({ page }) => {
  const { id } = await order(page);
  await page.setViewportSize({ width: 390, height: 844 });
  for (const path of [`/orders/${id}`, "/resilience#inject", "/traffic/payments#checks"]) {
    await open(page, path);
    await expectStandsStill(page, path);
  }
});

/** Tries to scroll the window to its end, as a finger or a fragment of the address would. */
async function expectStandsStill(page: Page, where: string): Promise<void> {
  const moved = await page.evaluate(() => {
    const root = document.documentElement;
    window.scrollTo(0, 100_000);
    root.scrollTop = 100_000;
    document.querySelector("main *:last-child")?.scrollIntoView();
    return [scrollY, root.scrollTop, document.body.scrollTop, root.scrollHeight - innerHeight];
  });
  expect(moved, where).toEqual([0, 0, 0, 0]);
  const top = await page.locator("header.top").boundingBox();
  expect(top?.y, `the top bar of ${where}`).toBe(0);
}

test("what a phone keeps behind More is whole and can be used", async ({ page }) => {
  for (const viewport of [SIZES[2], SIZES[0]]) {
    await page.setViewportSize(viewport);
    await open(page, "/more");
    await still(page);
    const more = page.locator("main .more-sheet");
    const range = more.locator(".range");
    const box = await range.boundingBox();
    const arrow = await range.locator(".icon").boundingBox();
    if (!box || !arrow) throw new Error("the time range is not there");
    expect(arrow.y, "the arrow stands in its box").toBeGreaterThanOrEqual(box.y);
    expect(arrow.y + arrow.height).toBeLessThanOrEqual(box.y + box.height);
    const load = await more.locator(".load").boundingBox();
    if (!load) throw new Error("the load control is not there");
    for (const part of await more.locator(".load .part").all()) {
      const inner = await part.boundingBox();
      expect(inner?.y ?? 0, "a button stands in its control").toBeGreaterThanOrEqual(load.y);
      expect((inner?.y ?? 0) + (inner?.height ?? 0)).toBeLessThanOrEqual(load.y + load.height);
      expect(inner?.height ?? 0).toBeGreaterThanOrEqual(40);
    }
    await expect(more.getByText("Load", { exact: true }).filter({ visible: true })).toHaveCount(1);
    await expectAccessible(page);
  }
});
