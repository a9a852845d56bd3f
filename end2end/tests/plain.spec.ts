// Without JavaScript: every page is readable, and the forms work.
import { expect, test } from "../fixtures.ts";
import { browse, live } from "../shop.ts";

test.use({ javaScriptEnabled: false });

test("an order can be placed and read without JavaScript", async ({ page }) => {
  await page.goto("/orders/new");
  await page.getByLabel("Customer").selectOption("c-1001");
  await page.getByLabel("Product 1").selectOption("p-moka");
  await page.getByLabel("Quantity 1").fill("2");
  await page.getByLabel("Product 2").selectOption("p-beans");
  await page.getByLabel("Card").check();
  await page.locator("form[action='/orders/new']").getByRole("button", { name: "Place order" }).click();
  await expect(page).toHaveURL(/\/orders\/ord-/);
  await expect(page.locator("body")).toContainText("OrderPlaced");
  await expect(page.locator(".order-facts")).toContainText("by card");
  // The whole basket comes again, and not its first line alone.
  await page.getByRole("link", { name: "Place again" }).click();
  await expect(page.getByLabel("Customer")).toHaveValue("c-1001");
  await expect(page.getByLabel("Product 1")).toHaveValue("p-moka");
  await expect(page.getByLabel("Quantity 1")).toHaveValue("2");
  await expect(page.getByLabel("Product 2")).toHaveValue("p-beans");
  await expect(page.getByLabel("Product 3")).toHaveValue("");
  await expect(page.getByLabel("Card")).toBeChecked();
});

test("a form with a bad value comes back with the reason", async ({ page }) => {
  await page.goto("/orders/new");
  await page.getByLabel("Quantity 1").evaluate((input) => input.removeAttribute("max"));
  await page.getByLabel("Quantity 1").fill("101");
  await page.locator("form[action='/orders/new']").evaluate((form: HTMLFormElement) => (form.noValidate = true));
  await page.locator("form[action='/orders/new']").getByRole("button", { name: "Place order" }).click();
  await expect(page.getByRole("alert")).toContainText("whole number from 1 to 100");
});

test("the load is set without JavaScript, from the page one looks at", async ({ page }) => {
  await page.goto("/traces?service=catalog&range=15");
  await page.locator(".load-plain summary").click();
  const form = page.locator(".load-plain form");
  await form.getByLabel("Requests per second").fill("3.5");
  await form.getByLabel("Shape").selectOption("Spike");
  await form.getByLabel("Share of orders, percent").fill("40");
  await form.getByRole("button", { name: "Set load" }).click();
  await expect(page).toHaveURL(/\/traces\?service=catalog&range=15$/);
  await expect(page.locator(".top .load .value")).toHaveText("3.5 req/s");
  await expect(page.locator(".top .load .value")).toHaveAttribute("title", /spikes, 40% orders/);
  // The buttons beside the value are forms too.
  await page.getByRole("button", { name: "More load" }).click();
  await expect(page.locator(".top .load .value")).toHaveText("13.5 req/s");
  // What the browser lets through and the server does not comes back with the reason.
  await page.locator(".load-plain summary").click();
  await form.evaluate((element: HTMLFormElement) => (element.noValidate = true));
  await form.getByLabel("Requests per second").fill("100000");
  await form.getByRole("button", { name: "Set load" }).click();
  await expect(page.getByRole("alert")).toContainText(/200/);
});

test("the time range is set without JavaScript and keeps the rest of the address", async ({ page }) => {
  await page.goto("/traces?service=catalog");
  await page.getByLabel("Time range").selectOption("15");
  await page.locator("form.range").getByRole("button", { name: "Set" }).click();
  await expect(page).toHaveURL(/service=catalog/);
  await expect(page).toHaveURL(/range=15/);
});

test("what only a script can do is not offered without one", async ({ page }) => {
  await live(page);
  for (const path of ["/", "/traffic/payments", "/resilience", "/orders"]) {
    await page.goto(path);
    const dead = page.locator('.button[type="button"], .map-head .segmented, .feed .segmented, .split-panel .segmented');
    for (const control of await dead.all()) await expect(control, path).toBeHidden();
    await expect(page.locator(".range .icon, .chart-of .icon").filter({ visible: true })).toHaveCount(0);
  }
  await page.goto("/traffic/payments");
  await expect(page.locator(".split-panel input[type=range]").filter({ visible: true })).toHaveCount(0);
  await page.goto("/?feed=yours");
  await expect(page.locator(".feed-list li:not(.yours)")).toHaveCount(0);
  await page.goto(`/traces/${await browse(page)}`);
  await expect(page.locator(".wf-row").first()).toBeVisible();
  await expect(page.locator(".totals button, .totals input, .minimap input, button.twist").filter({ visible: true })).toHaveCount(0);
  await expect(page.locator(".totals")).toContainText("Critical path");
});

test("the service map is a table without JavaScript", async ({ page }) => {
  // The page stands still, and tells of the calls of whole seconds.
  await expect(async () => {
    await browse(page);
    await page.goto("/");
    const called = page.getByRole("row", { name: /gateway .*catalog/ }).first();
    expect(await called.textContent()).toMatch(/\d\/s/);
  }).toPass();
  await expect(page.locator(".map-table")).toBeVisible();
  await expect(page.locator(".stage").first()).toBeHidden();
});

for (const path of ["/", "/orders", "/traces", "/traffic", "/traffic/payments", "/resilience"]) {
  test(`${path} is readable without JavaScript`, async ({ page }) => {
    await live(page);
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

test("the controls of a route are read only without JavaScript, and say what to do instead", async ({ page }) => {
  for (const host of ["payments", "catalog"]) {
    await page.goto(`/traffic/${host}`);
    const fields = page.locator(".traffic-controls").locator("input, select, textarea");
    expect(await fields.count()).toBeGreaterThan(2);
    for (const field of await fields.all()) {
      if (!(await field.isVisible())) continue;
      const name = await field.getAttribute("aria-label");
      expect(await field.isEditable(), `${host}: ${name} can be typed into`).toBe(false);
      const border = await field.evaluate((it) => getComputedStyle(it).borderTopColor);
      const box = (await field.getAttribute("role")) === "switch";
      if (!box) expect(border, `${host}: ${name} looks like a field`).toBe("rgba(0, 0, 0, 0)");
    }
    const link = page.locator(".traffic-controls").getByRole("link", { name: "edit the YAML" });
    await expect(link).toBeVisible();
    await link.click();
    await expect(page.getByRole("textbox", { name: "YAML" })).toBeEditable();
  }
});

test("what was placed from this browser is marked without JavaScript, and nothing else is", async ({ page, request }) => {
  // Another browser: it has cookies of its own.
  const form = { user_id: "c-1001", product_id: "p-moka", quantity: "1" };
  const theirs = await request.post("/orders/new", { form });
  expect(theirs.url()).toMatch(/\/orders\/ord-/);
  await page.goto("/orders/new");
  await page.getByLabel("Customer").selectOption("c-1001");
  await page.getByLabel("Product 1").selectOption("p-moka");
  // What the form proposes may hold the same.
  await page.getByLabel("Product 2").selectOption("");
  await page.locator("form[action='/orders/new']").getByRole("button", { name: "Place order" }).click();
  await expect(page).toHaveURL(/\/orders\/ord-/);
  const id = new URL(page.url()).pathname.split("/").pop() ?? "";
  await page.goto("/?feed=yours");
  await expect(page.locator(".feed-list li")).toHaveCount(1);
  await expect(page.locator(".feed-list li.yours")).toContainText(id);
});

test("a page that stands still says as of when, and the map is there as a drawing and as numbers", async ({ page }) => {
  await page.goto("/");
  const said = page.locator(".live-state noscript > strong");
  await expect(said).toHaveText("As of");
  await expect(said).toBeVisible();
  const svg = page.getByRole("link", { name: "Map as SVG" });
  await expect(svg).toHaveAttribute("href", "/map.svg");
  await expect(page.getByRole("link", { name: "Map as JSON" })).toHaveAttribute("href", "/map.json");
  const edges = async (): Promise<{ to: string; p99_ms: unknown }[]> => {
    await browse(page);
    return (await (await page.request.get("/map.json")).json()).edges;
  };
  await expect.poll(edges).toContainEqual(expect.objectContaining({ to: "catalog", p99_ms: expect.any(Number) }));
  const drawing = await page.request.get("/map.svg?theme=dark");
  expect(drawing.headers()["content-type"]).toBe("image/svg+xml");
  await page.goto("/map.svg");
  await expect(page.locator("svg [data-node=payments] .box").first()).toBeVisible();
});
