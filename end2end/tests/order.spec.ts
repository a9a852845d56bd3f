// The page of one order: readable at every width, its parts lead to each other, and a part that fails says so.
import type { Request } from "@playwright/test";
import { expect, expectAccessible, expectSoundMarkup, open, still, test } from "../fixtures.ts";
import { begin, inject, order, tellBreaker } from "../shop.ts";

const WIDTHS = [
  { width: 1440, height: 900 },
  { width: 390, height: 844 },
];
const PAYMENTS = ["v1-1", "v1-2", "v1-3", "v1-4", "v2-1", "v2-2", "v2-3"].map((name) => `payments-${name}`);

const ENDS = [
  { end: "confirmed", user: "c-1001", badge: "Confirmed" },
  { end: "cancelled and compensated", user: "c-1042", badge: "Cancelled, compensated" },
];

for (const { end, user, badge } of ENDS) {
  for (const viewport of WIDTHS) {
    test(`an order that ended ${end} is accessible at ${viewport.width} pixels in both themes and fits`, async ({
      page,
    }) => {
      const address = `/orders/${(await order(page, user, "p-moka", 2)).id}`;
      await page.setViewportSize(viewport);
      for (const colorScheme of ["dark", "light"] as const) {
        await page.emulateMedia({ colorScheme });
        await open(page, address);
        await expect(page.locator(".order-head")).toContainText(badge);
        await expectAccessible(page);
      }
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(wider, "pixels that stand out on the right").toBeLessThanOrEqual(0);
      const row = page.locator(".brief-rows li").last();
      await expect(row.locator(".brief-name")).toBeVisible();
      await expect(row.locator(".brief-bar text")).toHaveText(/\d+(\.\d+)? (µs|ms|s)|\d{3}/);
      await expectSoundMarkup(page, address);
    });
  }
}

test("cards and tags of the saga select their event, and the address keeps it", async ({ page }) => {
  await open(page, `/orders/${(await order(page, "c-1042", "p-moka", 2)).id}`);
  const saga = page.locator(".order-saga");
  await saga.getByRole("link", { name: "1 Reserve inventory", exact: true }).click();
  await expect(page).toHaveURL(/\?v=2$/);
  await expect(page.locator(".order-events li.selected")).toContainText("StockReserved");
  await expect(saga.locator(".card-link[aria-current]")).toHaveText("1 Reserve inventory");
  await expect(page.locator(".brief-rows li.marked")).toContainText("inventory.reserve");
  await saga.getByRole("link", { name: /^Event v3/ }).click();
  await expect(page).toHaveURL(/\?v=3$/);
  await expect(saga.locator(".version[aria-current]")).toHaveText("v3");
  await expect(page.locator(".order-state h3")).toHaveText("State at v3");
});

test("messages of the two-phase commit are reached by the keyboard and open their span", async ({ page }) => {
  await open(page, `/orders/${(await order(page)).id}`);
  await expect(page.locator(".swim-list a", { hasText: "acknowledges" })).toHaveCount(2);
  await page.locator(".swim-scroll").focus();
  await page.keyboard.press("Tab");
  const focused = page.locator(".swim-list a:focus");
  await expect(focused).toHaveText(/coordinator logs begin/);
  await page.keyboard.press("Tab");
  await expect(focused).toHaveText(/coordinator to bank-customer: prepare/);
  const box = await focused.boundingBox();
  expect(box?.height, "the link that has the focus is seen").toBeGreaterThan(15);
  await expect(page.locator(".swim-arrow.shown")).toHaveCount(1);
  await expect(page.locator(".brief-rows li.marked")).toContainText(/prepare/);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/traces\/[0-9a-f]{32}\?span=[0-9a-f]{16}/);
  await expect(page.getByLabel("Selected span")).toContainText("prepare");
});

test("the scrubber is dragged through the versions", async ({ page }) => {
  await open(page, `/orders/${(await order(page, "c-1042", "p-moka", 2)).id}`);
  const stops = page.locator(".scrubber a");
  const title = page.locator(".order-state h3");
  await expect(title).toHaveText("State at v4");
  await stops.first().scrollIntoViewIfNeeded();
  await still(page);
  const [from, to] = [await stops.nth(3).boundingBox(), await stops.nth(0).boundingBox()];
  if (!from || !to) throw new Error("the scrubber is not there");
  await page.mouse.move(from.x + 12, from.y + 12);
  await page.mouse.down();
  await page.mouse.move(to.x + 60, to.y + 14, { steps: 4 });
  await page.mouse.move(to.x + 12, to.y + 40, { steps: 4 });
  await expect(title).toHaveText("State at v1");
  await page.mouse.up();
  await expect(title).toHaveText("State at v1");
  await expect(page).toHaveURL(/\?v=1$/);
});

test("while payments is down its panel says so, and Retry tells it again in place", async ({ page }) => {
  const { id } = await order(page);
  await open(page, `/orders/${id}`);
  await expect(page.locator(".order-commit")).toContainText("log commit");
  for (const instance of PAYMENTS) await inject(page, { kind: "kill_instance", instance });
  // What is shown stays when the page asks again, and says that it is old.
  expect((await page.request.post(`/api/v1/orders/${id}/ship`)).ok()).toBe(true);
  await expect(page.locator(".order-head")).toContainText("Shipped");
  await expect(page.locator(".order-commit .part-old")).toContainText("503 Service Unavailable");
  await expect(page.locator(".order-commit")).toContainText("log commit");
  // Who opens it now is told what is missing; the rest is there.
  await open(page, `/orders/${id}`);
  const failed = page.locator(".order-commit .part-failed");
  await expect(failed).toContainText("Payments cannot be asked.");
  await expect(page.locator(".order-events")).toContainText("OrderShipped");
  for (const viewport of WIDTHS) {
    await page.setViewportSize(viewport);
    await expectAccessible(page);
  }
  // The page asks again every two seconds, but not while live data is paused. What it asked before is answered.
  let asking = 0;
  const of = (request: Request) => (/\/ui\/order/.test(request.url()) ? 1 : 0);
  page.on("request", (request) => (asking += of(request)));
  page.on("requestfinished", (request) => (asking -= of(request)));
  await page.locator("body").press(" ");
  await expect(page.locator(".app")).toHaveAttribute("data-paused");
  await expect.poll(() => asking).toBeLessThanOrEqual(0);
  expect((await page.request.delete("/control/faults")).ok()).toBe(true);
  await failed.getByRole("link", { name: "Retry" }).click();
  await expect(page.locator(".order-commit")).toContainText("log commit");
  await expect(failed).toHaveCount(0);
});

test("a bank that crashes with its promise is in doubt, and the time counts up until its log is replayed", async ({
  page,
}) => {
  const delay = { kind: "delay", from: "payments", to: "bank-customer", delay_ms: 300, limit: 1 };
  await inject(page, delay);
  // What was decided does not come to the other bank before it is killed, however long that takes: it is not
  // told, and what it asks for is not heard.
  const finish = { on: "uri", name: "", op: "regex", value: "/transactions/[^/]+/finish" };
  const deaf = { kind: "abort", from: "payments", to: "bank-merchant", status: 503, terms: [finish] };
  const lost = await inject(page, deaf);
  const unheard = await inject(page, { kind: "abort", from: "bank-merchant", to: "payments", status: 503 });
  const address = `/orders/${await begin(page)}`;
  await expect.poll(async () => (await page.request.get(address)).text()).toContain("log commit");
  const crash = await inject(page, { kind: "kill_instance", instance: "bank-merchant-v1-1" });
  expect((await page.request.delete(`/control/faults/${unheard}`)).ok()).toBe(true);
  await open(page, address);
  const commit = page.locator(".order-commit");
  const doubt = commit.locator(".in-doubt");
  await expect(doubt).toBeVisible();
  const before = await doubt.textContent();
  await expect(doubt).not.toHaveText(before ?? "");
  await expect(commit).toContainText(`crash, ${crash}`);
  await expect(commit).toContainText(/F-\d+: delayed \d/);
  await expectAccessible(page);
  for (const id of [lost, crash]) expect((await page.request.delete(`/control/faults/${id}`)).ok()).toBe(true);
  // What was refused in the meantime may have opened it.
  await tellBreaker(page, "payments~bank-merchant", "reset");
  await expect(commit).toContainText("in doubt, log replayed");
  await expect(commit).toContainText("lock released");
  await expect(doubt).toHaveCount(0);
});

test.describe("when the order cannot be asked for", () => {
  test.use({ expectedErrors: [/ERR_FAILED/] });

  test("the page says that it is old and keeps what it shows, until it is told again", async ({ page }) => {
    const { id } = await order(page);
    await open(page, `/orders/${id}`);
    await expect(page.locator(".order-head")).toContainText("Confirmed");
    await page.route("**/ui/order*", (route) => route.abort());
    expect((await page.request.post(`/api/v1/orders/${id}/ship`)).ok()).toBe(true);
    const behind = page.locator(".part-behind");
    await expect(behind).toContainText("Shown as it was told before.");
    await expect(page.locator(".order-events")).toContainText("OrderConfirmed");
    await page.unroute("**/ui/order*");
    await behind.getByRole("link", { name: "Retry" }).click();
    await expect(behind).toHaveCount(0);
    await expect(page.locator(".order-head")).toContainText("Shipped");
  });
});

test("a step whose command was sent more than once says how often", async ({ page }) => {
  await inject(page, { kind: "abort", from: "bus", to: "payments", status: 503, limit: 2 });
  const { id, status } = await order(page);
  expect(status).toBe("confirmed");
  await open(page, `/orders/${id}`);
  const card = page.locator(".saga .card", { hasText: "Authorize payment" });
  await expect(card).toContainText("3 tries");
  await expect(page.locator(".saga .card", { hasText: "Reserve inventory" })).not.toContainText("tries");
});
