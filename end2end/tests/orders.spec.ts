// The two stories every newcomer sees first: an order that is paid, and one that is not.
import { type Page, expect, expectAccessible, expectSoundMarkup, open, test } from "../fixtures.ts";

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
  await page.reload();
  await expect(page.locator(".load .value")).toHaveAttribute("title", /spikes, 40% orders/);
  await page.getByRole("button", { name: "Less load" }).click();
  await expect(page.locator(".load .value")).toHaveText("Load off");
  await expect(page.locator(".load .value")).toHaveAttribute("title", /spikes, 40% orders/);
  // The next journey of this server finds it as it was.
  await page.request.post("/load", { form: { per_second: "2", shape: "steady", orders_percent: "28" } });
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
  page.on("dialog", (dialog) => void dialog.accept());
  await page.getByRole("button", { name: "Cancel order" }).click();
  const really = page.getByRole("button", { name: /Cancel order|Really cancel|Yes/ });
  if (await really.first().isVisible()) await really.first().click();
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
    await page.unroute("**/ui/place-order");
    await dialog.getByLabel("Quantity 1").fill("3");
    await dialog.getByLabel("Quantity 1").press("Tab");
    await place.click();
    await expect(dialog.getByRole("alert")).toContainText(`Your earlier order was placed as ${lost}`);
    await expect(dialog.getByRole("link", { name: lost })).toHaveAttribute("href", `/orders/${lost}`);
    await expectAccessible(page);
    await place.click();
    await expect(dialog).toBeHidden();
  });
});

test("an unknown order is a page that says so, with status 404", async ({ page, baseURL }) => {
  const answer = await page.request.get(`${baseURL}/orders/ord-NOBODY00`);
  expect(answer.status()).toBe(404);
  expect(await answer.text()).toContain("No order ord-NOBODY00");
});
