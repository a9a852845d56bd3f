// The page of one order: readable at every width, its parts lead to each other, and a part that fails says so.
import { type Page, expect, expectAccessible, expectSoundMarkup, open, test } from "../fixtures.ts";
import { Program } from "../program.ts";

const WIDTHS = [
  { width: 1440, height: 900 },
  { width: 390, height: 844 },
];
const PAYMENTS = ["v1-1", "v1-2", "v1-3", "v1-4", "v2-1", "v2-2", "v2-3"].map((name) => `payments-${name}`);

// The crowd of the load ships and cancels orders of others too; a journey's order is its own.
test.beforeEach(async ({ page }) => {
  await page.request.post("/load", { form: { per_second: "0" } });
});
test.afterEach(async ({ page }) => {
  await page.request.post("/load", { form: { per_second: "2" } });
});

/** Places an order through the API and gives the address of its page; with `wait` when it came to its end. */
async function place(page: Page, url: string, user: string, wait = true): Promise<string> {
  const answer = await page.request.post(`${url}/api/v1/orders`, {
    data: { user_id: user, items: [{ product_id: "p-moka", quantity: 2 }] },
    headers: wait ? { prefer: "wait=20" } : {},
  });
  expect([200, 202]).toContain(answer.status());
  return `${url}/orders/${(await answer.json()).order_id}`;
}

async function inject(page: Page, url: string, fault: Record<string, unknown>): Promise<string> {
  const answer = await page.request.post(`${url}/control/faults`, { data: { ttl_s: 300, ...fault } });
  expect(answer.status(), await answer.text()).toBe(201);
  return (await answer.json()).id;
}

const ENDS = [
  { end: "confirmed", user: "c-1001", badge: "Confirmed" },
  { end: "cancelled and compensated", user: "c-1042", badge: "Cancelled, compensated" },
];

for (const { end, user, badge } of ENDS) {
  for (const viewport of WIDTHS) {
    test(`an order that ended ${end} is accessible at ${viewport.width} pixels in both themes and fits`, async ({
      page,
      baseURL,
    }) => {
      const address = await place(page, baseURL ?? "", user);
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

test("cards and tags of the saga select their event, and the address keeps it", async ({ page, baseURL }) => {
  await open(page, await place(page, baseURL ?? "", "c-1042"));
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

test("messages of the two-phase commit are reached by the keyboard and open their span", async ({ page, baseURL }) => {
  await open(page, await place(page, baseURL ?? "", "c-1001"));
  const links = page.locator(".swim-list a");
  // The spans of the last messages arrive a moment after the order's end.
  await expect(links.filter({ hasText: "acknowledges" }).first()).toBeAttached();
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

test("the scrubber is dragged through the versions", async ({ page, baseURL }) => {
  await open(page, await place(page, baseURL ?? "", "c-1042"));
  const stops = page.locator(".scrubber a");
  const title = page.locator(".order-state h3");
  await expect(title).toHaveText("State at v4");
  await stops.first().scrollIntoViewIfNeeded();
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
  const own = await Program.start(["--load", "0"]);
  try {
    const address = await place(page, own.url, "c-1001");
    await open(page, address);
    await expect(page.locator(".order-commit")).toContainText("log commit");
    for (const instance of PAYMENTS) await inject(page, own.url, { kind: "kill_instance", instance });
    // What is shown stays when the page asks again, and says that it is old.
    await page.request.post(`${address.replace("/orders/", "/api/v1/orders/")}/ship`);
    await expect(page.locator(".order-head")).toContainText("Shipped");
    await expect(page.locator(".order-commit .part-old")).toContainText("503 Service Unavailable");
    await expect(page.locator(".order-commit")).toContainText("log commit");
    // Who opens it now is told what is missing; the rest is there.
    await open(page, address);
    const failed = page.locator(".order-commit .part-failed");
    await expect(failed).toContainText("Payments cannot be asked.");
    await expect(page.locator(".order-events")).toContainText("OrderShipped");
    for (const viewport of WIDTHS) {
      await page.setViewportSize(viewport);
      await expectAccessible(page);
    }
    await page.request.delete(`${own.url}/control/faults`);
    await failed.getByRole("link", { name: "Retry" }).click();
    await expect(page.locator(".order-commit")).toContainText("log commit");
    await expect(failed).toHaveCount(0);
    await page.goto("about:blank");
  } finally {
    await own.stop();
  }
});

test("a bank that crashes with its promise is in doubt, and the time counts up until its log is replayed", async ({
  page,
}) => {
  const own = await Program.start(["--load", "0"]);
  try {
    const delay = { kind: "delay", from: "payments", to: "bank-customer", percent: 100, delay_ms: 2_500, limit: 1 };
    await inject(page, own.url, delay);
    const address = await place(page, own.url, "c-1001", false);
    const voted = "bank-merchant to coordinator: votes yes";
    await expect.poll(async () => (await page.request.get(address)).text()).toContain(voted);
    const crash = await inject(page, own.url, { kind: "kill_instance", instance: "bank-merchant-v1-1" });
    await open(page, address);
    const commit = page.locator(".order-commit");
    const doubt = commit.locator(".in-doubt");
    await expect(doubt).toBeVisible({ timeout: 15_000 });
    const before = await doubt.textContent();
    await expect(doubt).not.toHaveText(before ?? "");
    await expect(commit).toContainText(`crash, ${crash}`);
    await expect(commit).toContainText(/F-\d+: delayed 2\.5\d s/);
    await expectAccessible(page);
    await page.request.delete(`${own.url}/control/faults/${crash}`);
    await expect(commit).toContainText("in doubt, log replayed");
    await expect(commit).toContainText("lock released");
    await expect(doubt).toHaveCount(0);
    await page.goto("about:blank");
  } finally {
    await own.stop();
  }
});

test.describe("when the order cannot be asked for", () => {
  test.use({ expectedErrors: [/ERR_FAILED/] });

  test("the page says that it is old and keeps what it shows, until it is told again", async ({ page, baseURL }) => {
    const address = await place(page, baseURL ?? "", "c-1001");
    await open(page, address);
    await expect(page.locator(".order-head")).toContainText("Confirmed");
    await page.route("**/ui/order*", (route) => route.abort());
    await page.request.post(`${address.replace("/orders/", "/api/v1/orders/")}/ship`);
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
  // Nobody else's command meets it: no order is under way.
  await page.request.post("/load", { form: { per_second: "0" } });
  await expect(async () => {
    const { orders } = await (await page.request.get("/api/v1/orders?status=processing")).json();
    expect(orders).toHaveLength(0);
  }).toPass();
  const fault = { kind: "abort", from: "bus", to: "payments", status: 503, percent: 100, ttl_s: 60, limit: 2 };
  const injected = await page.request.post("/control/faults", { data: fault });
  expect(injected.status(), await injected.text()).toBeLessThan(300);
  const placed = await page.request.post("/api/v1/orders", {
    data: { user_id: "c-1001", items: [{ product_id: "p-moka", quantity: 1 }] },
    headers: { prefer: "wait=20" },
  });
  const { order_id, status } = await placed.json();
  expect(status).toBe("confirmed");
  await open(page, `/orders/${order_id}`);
  const card = page.locator(".saga .card", { hasText: "Authorize payment" });
  await expect(card).toContainText(/\d+ tries/);
  const tries = Number(/(\d+) tries/.exec((await card.textContent()) ?? "")?.[1]);
  expect(tries).toBeGreaterThanOrEqual(2);
  await expect(page.locator(".saga .card", { hasText: "Reserve inventory" })).not.toContainText("tries");
  await page.request.post("/load", { form: { per_second: "2" } });
  await page.request.delete("/control/faults");
  await page.request.post("/control/faults/release");
});
