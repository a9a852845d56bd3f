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

for (const path of ["/", "/orders", "/traces", "/traffic", "/traffic/payments"]) {
  test(`${path} is readable without JavaScript`, async ({ page }) => {
    await page.goto(path);
    await expect(page.getByRole("navigation").first()).toBeVisible();
    await expect(page.locator("main")).not.toBeEmpty();
  });
}

test.describe("a refused text", () => {
  test.use({ expectedErrors: [/status of 422/] });

  test("a text that is refused without JavaScript comes back as it was typed, with lines and columns", async ({ page }) => {
    await page.goto("/traffic/payments?view=yaml");
    const text = page.getByRole("textbox", { name: "YAML" });
    const typed = (await text.inputValue()).replace(/weight: 100/, "wieght: 100");
    await text.fill(typed);
    await page.locator("form#yaml").getByRole("button", { name: "Apply" }).click();
    await expect(page.locator(".apply")).toContainText("Nothing was changed");
    await expect(page.locator(".apply")).toContainText(/L\d+:\d+/);
    await expect(page.getByRole("textbox", { name: "YAML" })).toHaveValue(typed);
  });
});

test("which rule a request would hit is answered without JavaScript", async ({ page }) => {
  await page.goto("/traffic/payments");
  await page.locator(".tester").getByLabel("Path").fill("/messages");
  await page.locator(".tester").getByRole("button", { name: "Try" }).click();
  await expect(page.locator(".tester")).toContainText("versions");
});
