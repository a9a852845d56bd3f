// What a page's parts look like where they have little room: nothing cut, nothing on top of another.
import { type Locator, expect, expectAccessible, open, still, test } from "../fixtures.ts";
import { inject, tellBreaker } from "../shop.ts";

/** Whether all of a text is seen. */
async function isWhole(text: Locator): Promise<boolean> {
  return text.evaluate((it) => it.scrollWidth <= it.clientWidth + 1 && it.scrollHeight <= it.clientHeight + 2);
}

/** The parts of the first that stand out of it at the left or right. */
async function standingOut(box: Locator): Promise<string[]> {
  return box.evaluate((box) => {
    const around = box.getBoundingClientRect();
    return [...box.querySelectorAll("*")]
      .filter((it) => it.checkVisibility() && !it.closest("svg, .table-scroll, .yaml-lines"))
      .filter((it) => {
        const { left, right } = it.getBoundingClientRect();
        return right > around.right + 1 || left < around.left - 1;
      })
      .map((it) => `${it.localName}.${it.getAttribute("class")}`);
  });
}

test("the card of a breaker has one line for a long name and one for twenty calls, whose list says what each was", async ({ page }) => {
  const call = async () => expect((await page.request.get("/api/v1/products/p-moka")).status()).toBe(200);
  for (let i = 0; i < 20; i += 1) await call();
  await tellBreaker(page, "gateway~recommendations~v1", { force_open: 3_600 });
  for (const [width, most] of [[1440, 40], [390, 60]] as const) {
    await page.setViewportSize({ width, height: 900 });
    await open(page, "/resilience?breaker=gateway~recommendations~v1");
    const card = page.locator('.breaker-card[aria-label^="Breaker of gateway for recommendations"]').first();
    const cells = card.locator(".cells > .cell");
    await expect(cells).toHaveCount(20);
    const tops = await cells.evaluateAll((all) => [...new Set(all.map((it) => Math.round(it.getBoundingClientRect().top)))]);
    expect(tops, `lines of cells at ${width}`).toHaveLength(1);
    expect(await standingOut(card), `at ${width}`).toEqual([]);
    expect((await card.locator("header").boundingBox())!.height, `head at ${width}`).toBeLessThanOrEqual(most);
    await card.locator("summary", { hasText: "Calls" }).click();
    await expect(card.locator(".calls li")).toHaveCount(20);
    await expect(card.locator(".calls li").first()).toContainText(/good200 after \d/);
    await expect(card.locator(".calls li").first().getByRole("link")).toHaveAttribute("href", /\/traces\/[0-9a-f]{32}/);
  }
  await expectAccessible(page);
});

test.describe("with load", () => {
  test.use({ load: 2 });

  test("what the heading of a chart says is whole where it is as wide as drawn", async ({ page }) => {
    await page.setViewportSize({ width: 1440, height: 900 });
    await open(page, "/");
    const headings = page.locator(".chart header");
    await expect(headings.nth(2)).toContainText("exemplar");
    await expect(page.locator(".chart .stat").nth(2)).toContainText(/\d/);
    await still(page);
    for (const hint of await headings.locator(".hint").all()) {
      await expect.poll(() => isWhole(hint), { message: (await hint.textContent()) ?? "" }).toBe(true);
    }
  });
});

test("a fault on a phone says in its row when it ends, and is ended there", async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  const to = { from: "gateway", to: "recommendations" };
  const id = await inject(page, { kind: "delay", ...to, percent: 1, delay_ms: 50, ttl_s: 300 });
  await open(page, "/resilience");
  const row = page.getByRole("row", { name: new RegExp(`^${id}\\b`) });
  await expect(row).toContainText("gateway → recommendations");
  await expect(row.getByRole("cell").nth(5)).toContainText(/\d:\d\d/);
  expect(await standingOut(page.locator(".faults"))).toEqual([]);
  // In sight without scrolling the table aside.
  const cross = (await row.getByRole("button", { name: `Remove ${id}` }).boundingBox())!;
  expect(cross.x + cross.width).toBeLessThanOrEqual(390);
  await row.getByRole("button", { name: `Remove ${id}` }).click();
  await expect(row.getByRole("button")).toHaveCount(0);
});

/** As long as labels of Kubernetes may be. */
const LONG = "a-subset-with-as-long-a-name-as-somebody-ever-gave-to-one-01234";
const RULE = "a-route-whose-name-nobody-had-in-mind-when-the-list-of-the-rules-was-drawn-for-the-first-time";
const NAMED = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: catalog
spec:
  host: product-service
  subsets:
  - name: v1
    labels:
      version: v1
  - name: ${LONG}
    labels:
      version: v2
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: catalog
spec:
  hosts:
  - product-service
  http:
  - name: ${RULE}
    match:
    - headers:
        x-a-header-with-a-name-as-long-as-they-come:
          exact: a value that is long as well
    route:
    - destination:
        host: product-service
        subset: ${LONG}
  - name: default
    route:
    - destination:
        host: product-service
        subset: v1
      weight: 60
    - destination:
        host: product-service
        subset: ${LONG}
      weight: 40
`;

test("names as long as they may be stay inside their panels and boxes", async ({ page }) => {
  const applied = await page.request.post("/control/istio", { data: NAMED, headers: { "content-type": "application/yaml" } });
  expect(applied.status(), await applied.text()).toBe(200);
  for (const width of [1440, 390]) {
    await page.setViewportSize({ width, height: 900 });
    await open(page, "/traffic/catalog");
    await expect(page.locator(".split-bar")).toContainText("v1 60%");
    for (const panel of ["#control-match", ".split-panel", ".balancing"]) {
      expect(await standingOut(page.locator(panel).first()), `${panel} at ${width}`).toEqual([]);
    }
    await open(page, "/");
    const version = page.getByRole("link", { name: new RegExp(`catalog ${LONG}`) });
    if (width === 390) continue;
    const outside = await version.evaluate((it) => {
      const box = it.querySelector(".box")!.getBoundingClientRect();
      return [...it.querySelectorAll("text")].filter((text) => text.getBoundingClientRect().right > box.right + 1).length;
    });
    expect(outside, "texts that stand out of the box of the version").toBe(0);
  }
});
