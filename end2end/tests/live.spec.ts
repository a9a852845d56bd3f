// Live and the frame: what the map, its charts, the feed, the palette and an update of the program do.
import { expect, expectAccessible, open, reload, still, test } from "../fixtures.ts";
import { browse, order, tellBreaker } from "../shop.ts";

// As a newcomer finds it.
test.use({ load: 2 });

/** The file with the bodies of the dialogs. */
const DIALOGS = /\/pkg\/.*split_dialogs\.wasm/;

test("the charts are of the service that is chosen, from the stream on", async ({ page }) => {
  await browse(page);
  await open(page, "/");
  const charts = page.locator(".charts");
  await expect(charts).toContainText("5xx at gateway");
  const stream = page.waitForRequest(/\/ui\/live\?minutes=5&of=catalog/);
  await page.getByLabel("Charts of").selectOption("catalog");
  await stream;
  await expect(page).toHaveURL(/of=catalog/);
  await expect(charts).toContainText("5xx at catalog");
  await expect(charts.locator(".chart-skeleton")).toHaveCount(0);
  await browse(page);
  await expect(charts.locator(".chart").first()).toContainText(/\d\/s/);
  await expectAccessible(page);
  // A link shows the same to somebody else.
  await reload(page);
  await expect(page.getByLabel("Charts of")).toHaveValue("catalog");
});

test.describe("a quiet shop", () => {
  test.use({ load: 0 });

  test("a paused chart says that it stands, and a service nobody calls that there is nothing", async ({ page }) => {
    await open(page, "/?of=stripe");
    await expect(page.locator(".chart-empty").first()).toHaveText("No requests in this time");
    await page.locator("body").press(" ");
    await expect(page.locator(".chart").first()).toContainText("paused");
    await page.locator("body").press(" ");
    await expect(page.locator(".chart").first()).not.toContainText("paused");
  });

  test("the lines of a service's log in its drawer lead to the span that wrote them", async ({ page }) => {
    await order(page);
    await open(page, "/?node=payments");
    const line = page.locator(".node-logs a").first();
    await expect(line).toHaveAttribute("href", /\/traces\/[0-9a-f]{32}\?span=[0-9a-f]{16}/);
    await line.click();
    await expect(page).toHaveURL(/\/traces\/[0-9a-f]{32}/);
  });
});

test("between a wide screen and a small one the orders are a tab beside the map", async ({ page }) => {
  await page.setViewportSize({ width: 1100, height: 800 });
  await open(page, "/");
  await expect(page.locator(".feed")).toBeHidden();
  await page.locator(".live-tabs .segment", { hasText: "Orders" }).click();
  await expect(page.locator(".feed")).toBeVisible();
  await expect(page.locator(".map-panel")).toBeHidden();
  await expect(page.locator(".charts")).toBeVisible();
  await expectAccessible(page);
  await page.locator(".live-tabs .segment", { hasText: "Map" }).click();
  await expect(page.locator(".map-panel")).toBeVisible();
});

test("on a phone the orders are a sheet that is pulled up over the map", async ({ page }) => {
  await order(page);
  await page.setViewportSize({ width: 390, height: 844 });
  await open(page, "/");
  const sheet = page.locator(".feed");
  await expect(sheet).toContainText(/\d+ confirmed, \d+ cancelled/);
  const height = async () => (await sheet.boundingBox())?.height ?? 0;
  await expect.poll(height, { message: "a third of the window at most" }).toBeLessThan(844 / 3);
  await page.getByRole("button", { name: "Show all orders" }).click();
  await expect.poll(height, { message: "most of the window" }).toBeGreaterThan((844 * 2) / 3);
  await expect(sheet.locator(".segment", { hasText: "Failed" })).toBeVisible();
  await expectAccessible(page);
  await page.getByRole("button", { name: "Show fewer orders" }).click();
  await expect.poll(height, { message: "a third of the window again" }).toBeLessThan(844 / 3);
});

test("where motion is not wanted an arrowhead says which way an edge goes", async ({ page }) => {
  await browse(page);
  await page.emulateMedia({ reducedMotion: "reduce" });
  await open(page, "/");
  await expect(page.locator(".map-lines .edge-arrow:visible").first()).toBeVisible();
  await page.emulateMedia({ reducedMotion: "no-preference" });
  await expect(page.locator(".map-lines .edge-arrow:visible")).toHaveCount(0);
});

test("arrow keys move along the edges of the map, and Enter opens what they reach", async ({ page }) => {
  await open(page, "/");
  const focused = page.locator(".map :focus");
  await page.locator('.map [data-node="gateway"]').first().focus();
  await page.keyboard.press("ArrowRight");
  await expect(focused).toHaveAttribute("data-from", "gateway");
  const to = (await focused.getAttribute("data-to")) ?? "";
  await page.keyboard.press("ArrowRight");
  await expect(focused).toHaveAttribute("data-node", to);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(new RegExp(`node=${to}`));
  await expect(page.getByRole("complementary", { name: to })).toContainText("Instances up");
});

test("a refill of the load generator is no line of the map until somebody asks for it", async ({ page }) => {
  await open(page, "/");
  const load = page.locator('.map [data-node="load"]').first();
  await expect(load).toBeVisible();
  // The generator looks after shelves and wallets every few seconds.
  await expect(load).toHaveAccessibleName(/refills .*bank-customer/);
  await expect(page.locator('.map [data-from="load"][data-to="bank-customer"]')).toHaveCount(0);
});

test("the palette finds customers, products, an order by its short id and a trace by eight digits", async ({ page }) => {
  const { id: order_id, trace: id } = await order(page);
  await open(page, "/shortcuts");
  await page.keyboard.press("Control+k");
  const field = page.getByRole("combobox", { name: /^Search/ });
  const results = page.locator("#palette-list");
  await field.fill(order_id.replace("ord-", "").toLowerCase());
  await expect(results.getByRole("option", { name: new RegExp(order_id) })).toBeVisible();
  await field.fill(id.slice(0, 8));
  const found = results.getByRole("option", { name: new RegExp(id) });
  await expect(found).toHaveCount(2);
  await expect(found.last()).toContainText("show it on the map");
  await field.fill("moka");
  await expect(results).toContainText("Products");
  await field.fill("petit");
  await expect(results.getByRole("option", { name: /Flora Petit/ })).toContainText("c-1042");
  await expectAccessible(page);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/orders\/new\?customer=c-1042/);
  await expect(page.getByLabel("Customer")).toHaveValue("c-1042");
});

test("presenter mode outlasts a reload of its tab and ends with Escape", async ({ page }) => {
  await open(page, "/");
  const root = page.locator(":root");
  await page.locator("body").press("Shift+D");
  await expect(root).toHaveAttribute("data-presenter", "true");
  await open(page, "/orders");
  await expect(root).toHaveAttribute("data-presenter", "true");
  await page.locator("body").press("Escape");
  await expect(root).not.toHaveAttribute("data-presenter");
  await open(page, "/");
  await expect(root).not.toHaveAttribute("data-presenter");
});

for (const width of [390, 720, 1440]) {
  test(`the figures of the charts say over how long they are in a window ${width} wide`, async ({ page }) => {
    await page.setViewportSize({ width, height: 900 });
    await open(page, "/");
    for (const [title, window] of [["Requests", "over 10 s"], ["Errors", "over 60 s"], ["Duration", "over 60 s"]]) {
      const head = page.locator(".chart header", { has: page.getByRole("heading", { name: title, exact: true }) });
      await expect(head.locator(".window")).toHaveText(window ?? "");
      const cut = () => head.locator(".window").evaluate((it) => it.scrollWidth - it.clientWidth);
      await expect.poll(cut, { message: `pixels of the window of ${title} that are cut` }).toBeLessThanOrEqual(0);
    }
  });
}

test("a layer of the map is in the address", async ({ page }) => {
  await open(page, "/?layer=events");
  await expect(page.locator('.stage[data-layer="events"]').first()).toBeVisible();
  await page.locator(".map-head .segment", { hasText: "2PC" }).click();
  await expect(page).toHaveURL(/layer=2pc/);
});

test("a dialog that is opened before its file is there shows its shape, then its body with the focus", async ({ page }) => {
  let arrive = () => {};
  const arrived = new Promise<void>((resolve) => (arrive = resolve));
  await page.route(DIALOGS, async (route) => {
    await arrived;
    await route.continue();
  });
  await open(page, "/");
  await page.keyboard.press("Control+k");
  await expect(page.locator("dialog[open] .skeleton-form")).toBeVisible();
  arrive();
  await expect(page.getByRole("combobox", { name: /^Search/ })).toBeFocused();
  await expect(page.locator("dialog[open] .skeleton-form")).toHaveCount(0);
});

test.describe("after an update", () => {
  test.use({ expectedErrors: [/404|HTTP status code is not ok|Failed to load resource|TypeError/] });

  test("a page whose file is gone says so in its place, and one press brings the new version", async ({ page }) => {
    await open(page, "/");
    await page.route(/\/pkg\/.*\/(split|chunk)_.*\.wasm/, (route) => route.fulfill({ status: 404, body: "" }));
    await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Orders" }).click();
    await expect(page.locator("main")).toContainText("This page could not be loaded");
    await expect(page.locator(".banner.updated")).toContainText("Vitrine was updated");
    await expectAccessible(page);
    // The rest of the page goes on.
    await expect(page.locator(".app")).toHaveAttribute("data-connection", "live");
    await page.unroute(/\/pkg\/.*\/(split|chunk)_.*\.wasm/);
    await page.getByRole("link", { name: "Load again" }).click();
    await expect(page.locator("main h1")).toContainText("Orders");
    await expect(page.locator(".banner.updated")).toHaveCount(0);
  });

  test("a dialog whose file is gone says so, and asks for it again the next time", async ({ page }) => {
    await page.route(DIALOGS, (route) => route.fulfill({ status: 404, body: "" }));
    await open(page, "/");
    await page.keyboard.press("Control+k");
    await expect(page.locator("dialog[open]").getByRole("alert")).toContainText("This could not be loaded");
    await page.keyboard.press("Escape");
    await page.unroute(DIALOGS);
    await page.keyboard.press("Control+k");
    await expect(page.getByRole("combobox", { name: /^Search/ })).toBeFocused();
  });

  test("a server with other files is said without loading anything anew, and then links load the document", async ({ page }) => {
    await open(page, "/");
    await page.evaluate(() => document.body.setAttribute("data-kept", "yes"));
    // The next time the line is opened, another version answers.
    await page.route(/\/ui\/live/, async (route) => {
      const stream = await fetch(route.request().url());
      const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader();
      let frame = "";
      while (!frame.includes("\n\n")) frame += (await reader.read()).value ?? "";
      await reader.cancel();
      const body = frame.slice(0, frame.indexOf("\n\n") + 2).replace(/"build":"[^"]*"/, '"build":"another"');
      await route.fulfill({ status: 200, contentType: "text/event-stream", body });
    });
    await page.getByLabel("Charts of").selectOption("orders");
    await expect(page.locator(".banner.updated")).toContainText("Vitrine was updated");
    await expect(page.locator("body")).toHaveAttribute("data-kept", "yes");
    await page.unrouteAll({ behavior: "wait" });
    const document = page.waitForRequest((request) => request.isNavigationRequest());
    await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Orders" }).click();
    await document;
    await expect(page.locator("main h1")).toContainText("Orders");
    await expect(page.locator(".banner.updated")).toHaveCount(0);
  });
});

test("badges of the map lead to the breakers and endpoints they count", async ({ page }) => {
  await open(page, "/resilience?state=open#breakers");
  await expect(page.locator(".filtered")).toContainText("No breaker is open now.");
  // What was called has a breaker.
  expect((await page.request.get("/api/v1/users/c-1001")).status()).toBe(200);
  await tellBreaker(page, "gateway~users", { force_open: 3_600 });
  await expect(page.locator(".filtered")).toContainText("Only breakers that are open.");
  await expect(page.locator(".breaker-card")).toHaveCount(1);
  await page.locator(".filtered a").click();
  await expect(page.locator(".filtered")).toHaveCount(0);
});

test("a stretch that was dragged on Live is the one of Traces, and of Live again", async ({ page }) => {
  await open(page, "/");
  const drawing = page.locator(".chart .drawing").first();
  await expect(drawing.locator(".ink-lead").first()).toBeAttached();
  await still(page);
  const box = (await drawing.boundingBox())!;
  await page.mouse.move(box.x + box.width * 0.4, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.7, box.y + 40, { steps: 4 });
  await page.mouse.up();
  await expect(page).toHaveURL(/zoom=\d+-\d+/);
  const zoomed = page.url();
  const [, from, until] = /zoom=(\d+)-(\d+)/.exec(zoomed)!;
  const nav = page.getByRole("navigation", { name: "Pages" });
  await nav.getByRole("link", { name: "Orders" }).click();
  await expect(page).toHaveURL(/\/orders/);
  await nav.getByRole("link", { name: "Traces" }).click();
  await expect(page).toHaveURL(new RegExp(`/traces\\?from=${from}000&until=${until}000`));
  await nav.getByRole("link", { name: "Live" }).click();
  await expect(page).toHaveURL(zoomed);
  // Who chooses a range wants to see all of it, also where the stretch came from.
  await page.getByLabel("Time range").first().selectOption("15");
  await expect(page).not.toHaveURL(/zoom=/);
  await expect(nav.getByRole("link", { name: "Traces" })).toHaveAttribute("href", "/traces?range=15");
});
