// The two stories every newcomer sees first: an order that is paid, and one that is not.
import { type Page, expect, expectAccessible, expectSoundMarkup, open, reload, test } from "../fixtures.ts";
import { begin, browse, order } from "../shop.ts";

/** A line that was lost is tried again after fifteen seconds at most. */
const LINE_BACK_MS = 60_000;

/** Opens the place-order dialog with its key and chooses who buys. */
async function openForm(page: Page, customer: RegExp): Promise<void> {
  await page.locator("body").press("p");
  const dialog = page.getByRole("dialog", { name: "Place order" });
  const choice = dialog.getByLabel("Customer");
  await expect(choice).toBeVisible();
  const option = choice.locator("option", { hasText: customer });
  await choice.selectOption({ value: (await option.getAttribute("value")) ?? "" });
}

/** Sends the form and follows the toast to the order's page. */
async function placeAndFollow(page: Page): Promise<void> {
  await page.getByRole("dialog").getByRole("button", { name: "Place order" }).click();
  await page.locator(".toast-link").first().click();
  await expect(page).toHaveURL(/\/orders\/ord-/);
}

test("an order placed at the page ends confirmed and its page tells the story", async ({ page }) => {
  await open(page, "/");
  await openForm(page, /Ada Brandt/);
  await placeAndFollow(page);
  await expect(page.locator(".order-head")).toContainText("Confirmed");
  const events = page.locator(".order-events");
  for (const name of ["OrderPlaced", "StockReserved", "PaymentRequested", "PaymentAuthorized", "OrderConfirmed"]) {
    await expect(events).toContainText(name);
  }
  await expect(page.getByText("log commit").first()).toBeVisible();
  await expect(page.locator(".order-saga")).toContainText("Authorize payment");
  await expectAccessible(page);
  await expectSoundMarkup(page, page.url());
});

test("the poor customer's order ends cancelled with its compensations to be seen", async ({ page }) => {
  await open(page, "/");
  await openForm(page, /Flora Petit/);
  await placeAndFollow(page);
  await expect(page.locator(".order-head")).toContainText("Cancelled");
  await expect(page.locator(".order-sentence")).toContainText("bank-customer voted no (insufficient funds)");
  await expect(page.locator(".order-events")).toContainText("CompensationStarted");
  await expect(page.locator(".order-events")).toContainText("StockReleased");
  await expect(page.locator(".order-saga")).toContainText("Release inventory");
  await expect(page.getByText("log abort").first()).toBeVisible();
  await expectAccessible(page);
});

test("a card is declined over its limit, and the page says so and gives the goods back", async ({ page }) => {
  await open(page, "/");
  await openForm(page, /Ada Brandt/);
  const dialog = page.getByRole("dialog");
  // Ada has the money; the card pays 600 at most, and the chair is 649.
  await dialog.getByLabel("Product 1", { exact: true }).selectOption("p-chair");
  await dialog.getByRole("radio", { name: "Card" }).check();
  await expectAccessible(page);
  await placeAndFollow(page);
  await expect(page.locator(".order-head")).toContainText("Cancelled");
  await expect(page.locator(".order-sentence")).toContainText("card declined: over its limit");
  await expect(page.locator(".order-facts")).toContainText("by card");
  await expect(page.locator(".order-events")).toContainText("StockReleased");
});

test("the load has a rate, a shape and a mix, and 0 switches it off", async ({ page }) => {
  await open(page, "/");
  await page.locator(".load .value").click();
  const dialog = page.getByRole("dialog", { name: "Load" });
  await dialog.getByLabel("Requests per second").fill("3");
  await dialog.getByRole("radio", { name: "Spike" }).check();
  await dialog.getByLabel("Share of orders, percent").fill("40");
  await expect(dialog).toContainText("40% orders, 60% browsing");
  await expect(dialog).toContainText("10 s of each minute");
  await expectAccessible(page);
  await dialog.getByRole("button", { name: "Set load" }).click();
  await expect(page.locator(".load .value")).toHaveText("3 req/s");
  // What was set is there for the next who looks, and a step keeps shape and mix.
  await reload(page);
  await expect(page.locator(".load .value")).toHaveAttribute("title", /spikes, 40% orders/);
  await page.getByRole("button", { name: "Less load" }).click();
  await expect(page.locator(".load .value")).toHaveText("Load off");
  await expect(page.locator(".load .value")).toHaveAttribute("title", /spikes, 40% orders/);
});

test("an order of mine appears in the feed of the live page as it happens", async ({ page }) => {
  await open(page, "/");
  await openForm(page, /Bruno Costa/);
  await page.getByRole("dialog").getByRole("button", { name: "Place order" }).click();
  const row = page.locator(".feed li", { hasText: "Yours" }).first();
  await expect(row).toContainText("Confirmed");
});

test("a confirmed order can be cancelled from its page and the money goes back", async ({ page }) => {
  await open(page, "/");
  await openForm(page, /Ada Brandt/);
  await placeAndFollow(page);
  await expect(page.locator(".order-head")).toContainText("Confirmed");
  await page.getByRole("button", { name: "Cancel order" }).click();
  await page.getByRole("button", { name: "Yes, cancel it" }).click();
  await expect(page.locator(".order-head")).toContainText("Cancelled");
  await expect(page.locator(".order-events")).toContainText("PaymentRefunded");
});

test.describe("when the answer to an order is lost", () => {
  test.use({ expectedErrors: [/ERR_FAILED/] });

  test("the next try finds the order, also from a changed form, and the form can be placed then", async ({ page }) => {
    await open(page, "/");
    await openForm(page, /Ada Brandt/);
    const dialog = page.getByRole("dialog", { name: "Place order" });
    const place = dialog.getByRole("button", { name: "Place order" });
    let lost = "";
    await page.route("**/ui/place-order", async (route) => {
      lost = (await (await route.fetch()).json()).order_id;
      await route.abort();
    });
    await place.click();
    await expect(dialog.getByRole("alert")).toContainText("Whether it was placed is not known");
    await page.unrouteAll({ behavior: "wait" });
    await dialog.getByLabel("Quantity 1").fill("3");
    await dialog.getByLabel("Quantity 1").press("Tab");
    await place.click();
    await expect(dialog.getByRole("alert")).toContainText(`Your earlier order was placed as ${lost}`);
    await expect(dialog.getByRole("link", { name: lost })).toHaveAttribute("href", `/orders/${lost}`);
    await expectAccessible(page);
    await place.click();
    await expect(dialog).toBeHidden();
  });

  test("a form that was closed and opens again says so still, and places nothing twice", async ({ page }) => {
    await open(page, "/");
    await openForm(page, /Ada Brandt/);
    const dialog = page.getByRole("dialog", { name: "Place order" });
    const place = dialog.getByRole("button", { name: "Place order" });
    const keys: (string | undefined)[] = [];
    await page.route("**/ui/place-order", async (route) => {
      keys.push(route.request().postData() ?? undefined);
      await route.fetch();
      await route.abort();
    });
    await place.click();
    await expect(dialog.getByRole("alert")).toContainText("Whether it was placed is not known");
    await page.keyboard.press("Escape");
    await expect(dialog).toBeHidden();
    await page.unrouteAll({ behavior: "wait" });
    await page.locator("body").press("p");
    await expect(dialog.getByRole("alert")).toContainText("Whether it was placed is not known");
    await expectAccessible(page);
    const again = page.waitForRequest("**/ui/place-order");
    await place.click();
    expect((await again).postData()).toBe(keys[0]);
    await expect(dialog).toBeHidden();
    const list = await page.request.get("/api/v1/orders");
    expect(((await list.json()) as { orders: unknown[] }).orders).toHaveLength(1);
    await page.locator("body").press("p");
    await expect(place).toBeVisible();
    await expect(dialog.getByRole("alert")).toHaveCount(0);
  });
});

test("an unknown order is a page that says so, with status 404", async ({ page, baseURL }) => {
  const answer = await page.request.get(`${baseURL}/orders/ord-NOBODY00`);
  expect(answer.status()).toBe(404);
  expect(await answer.text()).toContain("No order ord-NOBODY00");
});

test("an order is one's own in the browser that placed it, and in no other", async ({ page, browser, baseURL }) => {
  await open(page, "/");
  await openForm(page, /Bruno Costa/);
  await page.getByRole("dialog").getByRole("button", { name: "Place order" }).click();
  const row = page.locator(".feed li.yours").first();
  await expect(row).toContainText("Yours");
  const id = (await row.locator(".mono").textContent()) ?? "nothing";
  // Also after a reload, and in another tab of this browser.
  const tab = await page.context().newPage();
  for (const own of [page, tab]) {
    await open(own, "/?feed=yours");
    await expect(own.locator(".feed-list li", { hasText: id })).toHaveClass(/yours/);
    await open(own, "/orders");
    await expect(own.locator(".orders-table tr", { hasText: id }).locator(".tag")).toHaveText("Yours");
  }
  const stranger = await browser.newContext({ baseURL });
  const other = await stranger.newPage();
  await open(other, "/");
  await expect(other.locator(".feed-list li", { hasText: id })).toBeVisible();
  await expect(other.locator(".feed-list li.yours")).toHaveCount(0);
  await open(other, "/?feed=yours");
  await expect(other.locator(".feed-list li")).toHaveCount(0);
  await expect(other.locator(".feed")).toContainText("No order of yours");
  await stranger.close();
});

test("on a phone an order takes two lines in the list, whatever became of it", async ({ page }) => {
  for (const user of ["c-1042", "c-1001"]) await order(page, user, "p-knife");
  await page.setViewportSize({ width: 390, height: 844 });
  await open(page, "/orders");
  const declined = page.getByRole("row", { name: /cancelled, payment declined/ }).first();
  await expect(declined).toBeVisible();
  for (const row of await page.locator(".orders-table tbody tr").all()) {
    const height = (await row.boundingBox())?.height ?? 99;
    expect(height, await row.innerText()).toBeLessThanOrEqual(60);
  }
  const status = declined.locator(".phase");
  await expect(status).toHaveText("cancelled, payment declined");
  expect((await status.boundingBox())?.height, "one line").toBeLessThanOrEqual(20);
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(wider, "pixels that stand out on the right").toBeLessThanOrEqual(0);
  await expect(page.getByRole("columnheader", { name: "Total" })).toBeVisible();
  await expectAccessible(page);
});

test.describe("a server that is started again", () => {
  test.use({ expectedErrors: [/ERR_|Failed to load resource|net::/] });

  test("no page goes on showing the run before under a live line", async ({ page, line, start }) => {
    const { id } = await order(page);
    // What listens is the line, so that nobody else takes the port in between.
    const tabs = [page, await page.context().newPage(), await page.context().newPage()] as const;
    const addresses = ["/orders", `/orders/${id}`, "/traces"];
    for (const [at, tab] of tabs.entries()) await open(tab, `${line.url}${addresses[at]}`);
    await expect(tabs[0].locator("main")).toContainText(id);
    await expect(tabs[2].locator(".traces-list")).toContainText("POST /api/v1/orders");
    line.cut();
    line.lead((await start(["--load", "0"])).url);
    line.mend();
    for (const tab of tabs) {
      await tab.bringToFront();
      await expect(tab.locator('.app[data-connection="live"]')).toBeAttached({ timeout: LINE_BACK_MS });
    }
    await expect(tabs[0].locator("main")).not.toContainText(id);
    await expect(tabs[1].locator("main")).toContainText(`No order ${id}`);
    await expect(tabs[2].locator("main")).not.toContainText("POST /api/v1/orders");
  });
});

test("the list of orders fits between a phone and a desktop, its filters and its last column too", async ({ page }) => {
  await open(page, "/");
  await openForm(page, /Flora Petit/);
  await placeAndFollow(page);
  await expect(page.locator(".order-head")).toContainText("Cancelled");
  for (const width of [768, 770, 800, 900, 945, 1024]) {
    await page.setViewportSize({ width, height: 900 });
    await open(page, "/orders?when=any");
    await expect(page.getByRole("columnheader", { name: "Took" }), `at ${width}`).toBeInViewport({ ratio: 1 });
    const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(over, `at ${width}`).toBeLessThanOrEqual(0);
  }
});

test.describe("while the line is lost", () => {
  test.use({ expectedErrors: [/ERR_|Failed to load resource|net::/] });

  test("a list that could not be told says so, and is there when the line is back without a press", async ({ page, line }) => {
    await order(page);
    await open(page, `${line.url}/orders`);
    const confirmed = page.locator(".orders-table tbody tr", { hasText: "confirmed" });
    await expect(confirmed.first()).toBeVisible();
    line.cut();
    await expect(page.locator(".app")).toHaveAttribute("data-connection", "lost");
    await page.getByRole("link", { name: "Confirmed" }).click();
    const alert = page.locator(".orders-list").getByRole("alert");
    await expect(alert).toContainText("does not answer");
    line.mend();
    await expect(page.locator('.app[data-connection="live"]')).toBeAttached({ timeout: LINE_BACK_MS });
    await expect(alert).toHaveCount(0);
    await expect(confirmed.first()).toBeVisible();
  });

  test("a search of traces that failed says so, and is there when the line is back without a press", async ({ page, line }) => {
    await browse(page);
    await open(page, `${line.url}/traces`);
    await expect(page.locator(".traces-list")).toBeVisible();
    line.cut();
    await expect(page.locator(".app")).toHaveAttribute("data-connection", "lost");
    await page.locator(".traces-search select[name=status]").selectOption("ok");
    await expect(page.locator("main")).toContainText("The search failed");
    line.mend();
    await expect(page.locator('.app[data-connection="live"]')).toBeAttached({ timeout: LINE_BACK_MS });
    await expect(page.locator(".traces-list")).toBeVisible();
  });
});

test("a list of nothing fills by itself with the first order", async ({ page }) => {
  await open(page, "/orders");
  await expect(page.locator(".orders-list")).toContainText("No orders in this time");
  const id = await begin(page);
  await expect(page.locator(".orders-table tbody tr")).toHaveCount(1);
  await expect(page.locator(".orders-table")).toContainText(id);
  await expect(page.locator(".orders-new")).toHaveCount(0);
});

test("a list of nothing shows what was placed between its being read and its being shown", async ({ page }) => {
  await open(page, "/traces");
  // The list is read, then an order runs to its end, then the answer arrives.
  let order_id = "";
  await page.route("**/ui/orders*", async (route) => {
    const read = await route.fetch();
    if (order_id === "") {
      expect(((await read.json()) as { orders: unknown[] }).orders).toHaveLength(0);
      order_id = (await order(page)).id;
      const placed = Date.now();
      // Its clock has gone on since: what is shown now is later than the order.
      await page.waitForFunction((placed) => Date.now() > placed + 1_000, placed);
    }
    await route.fulfill({ response: read });
  });
  await page.getByRole("link", { name: "Orders", exact: true }).first().click();
  await expect(page.locator(".orders-table tbody tr")).toHaveCount(1);
  await expect(page.locator(".orders-table")).toContainText(order_id);
});
