// Without JavaScript: every page is readable, and the forms work.
import { expect, test } from "../fixtures.ts";

test.use({ javaScriptEnabled: false });

test("an order can be placed and read without JavaScript", async ({ page }) => {
  await page.goto("/orders/new");
  await page.getByLabel("Customer").selectOption("c-1001");
  await page.getByLabel("Product").selectOption("p-moka");
  await page.getByLabel("Quantity").fill("2");
  await page.locator("form[action='/orders/new']").getByRole("button", { name: "Place order" }).click();
  await expect(page).toHaveURL(/\/orders\/ord-/);
  await expect(page.locator("body")).toContainText("OrderPlaced");
});

test("a form with a bad value comes back with the reason", async ({ page }) => {
  await page.goto("/orders/new");
  await page.getByLabel("Quantity").evaluate((input) => input.removeAttribute("max"));
  await page.getByLabel("Quantity").fill("101");
  await page.locator("form[action='/orders/new']").evaluate((form: HTMLFormElement) => (form.noValidate = true));
  await page.locator("form[action='/orders/new']").getByRole("button", { name: "Place order" }).click();
  await expect(page.getByRole("alert")).toContainText("whole number from 1 to 100");
});

for (const path of ["/", "/orders", "/traces", "/resilience"]) {
  test(`${path} is readable without JavaScript`, async ({ page }) => {
    await page.goto(path);
    await expect(page.getByRole("navigation").first()).toBeVisible();
    await expect(page.locator("main")).not.toBeEmpty();
  });
}
