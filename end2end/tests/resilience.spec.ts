// Faults and breakers as somebody meets them: inject, watch a breaker open and orders compensate, heal.
import { type Page, expect, expectAccessible, open, still, test } from "../fixtures.ts";
import { begin, browse, inject, order, tellBreaker } from "../shop.ts";

/** Half of the tries fail, so five in a row take a while. */
const UNTIL_OPEN_MS = 90_000;
/** The saga waits ten seconds for a payment before it turns back. */
const UNTIL_CANCELLED_MS = 60_000;

/** Opens the panel with its key and chooses a kind. */
async function choose(page: Page, kind: string): Promise<void> {
  await page.locator("body").press("f");
  await page.locator(".kind", { has: page.getByText(kind, { exact: true }) }).click();
}

/** The id of the breaker of an edge, as soon as there was a call over it. */
async function breakerId(page: Page, from: string, to: string): Promise<string> {
  let id: string | undefined;
  await expect.poll(async () => {
    const all: { line: { id: string } }[] = await (await page.request.get("/control/breakers")).json();
    id = all.map(({ line }) => line.id).find((id) => `${id}~`.startsWith(`${from}~${to}~`));
    return id;
  }).toBeTruthy();
  return id ?? "";
}

/** The card of the breaker of an edge. */
function card(page: Page, from: string, to: string) {
  return page.locator(`.breaker-card[aria-label^="Breaker of ${from} for ${to}"]`);
}

test("half of the deliveries to payments fail: the breaker opens, an order is taken back, and all heals", async ({ page }) => {
  await open(page, "/resilience");
  await page.locator("body").press("+");
  await expect(page.locator("header.top .load .value")).toHaveText("10 req/s");
  // Open until it is reset: what is looked at meanwhile is not over with the seed's minute.
  const bus = await breakerId(page, "bus", "payments");
  await tellBreaker(page, bus, { thresholds: { failures_in_a_row: 5, wait_ms: 3_600_000 } });
  await choose(page, "Abort");
  await page.getByLabel("Caller").selectOption("bus");
  await page.getByLabel("Destination").selectOption("payments");
  await page.getByLabel("Share, percent").fill("50");
  await page.getByLabel("Share, percent").press("Tab");
  await expect(page.locator(".expect")).toContainText("The breaker opens at 5 failures in a row");
  await page.getByRole("button", { name: "Inject abort" }).click();
  await expect(page.locator(".fault-banner")).toContainText("Abort 503 on 50%");
  const id = (await page.locator(".fault-banner .banner-chip b").first().textContent()) ?? "";

  const breaker = card(page, "bus", "payments").first();
  await expect(breaker.locator(".badge").first()).toHaveText("Open", { timeout: UNTIL_OPEN_MS });
  await expect(breaker).toContainText("5 failed in a row, opens at 5");
  await expect(breaker.locator(".cell-failed.in-run")).toHaveCount(5);
  await expect(breaker.locator(".card-foot")).toContainText(id);
  await expect(breaker).toContainText("messages wait in their senders' outboxes");
  await breaker.locator("summary", { hasText: "History" }).click();
  await expect(breaker.locator(".history li").first()).toContainText("5 failed in a row");
  await expect(breaker.locator(".history li").first().locator("a[href^='/traces/']")).toBeVisible();

  // While it is open no payment is heard of: the saga turns back.
  await open(page, `/orders/${await begin(page)}`);
  await expect(page.locator(".order-events")).toContainText("CompensationStarted", { timeout: UNTIL_CANCELLED_MS });
  await expect(page.locator(".fault-banner")).toContainText(id);

  // From here on it tries again every second, and one failure opens it: without the switch it would not stay closed.
  await tellBreaker(page, bus, { thresholds: { failures_in_a_row: 1, wait_ms: 1_000 } });
  await tellBreaker(page, bus, "reset");
  await open(page, "/resilience?breaker=bus~payments");
  await expect(breaker.locator(".badge").first()).toHaveText("Open");
  await page.locator("body").press("Shift+F");
  await page.getByRole("dialog").getByRole("button", { name: "Remove all" }).click();
  await expect(page.locator(".banner")).toContainText("Faults are held off");
  await expect(breaker.locator(".badge").first()).toHaveText("Closed");
  const opened = async () => {
    const all: { line: { id: string }; opened: number }[] = await (await page.request.get("/control/breakers")).json();
    return all.find(({ line }) => line.id === bus)?.opened;
  };
  const before = await opened();
  expect(before).toBeGreaterThan(0);
  for (let orders = 0; orders < 5; orders += 1) expect((await order(page)).status).toBe("confirmed");
  expect(await opened()).toBe(before);
  await page.locator(".banner").getByRole("button", { name: "Release" }).click();
  await expect(page.locator(".banner")).toHaveCount(0);
});

test("a breaker that is forced open counts down, refuses, and is let go by itself", async ({ page }) => {
  expect((await page.request.get("/api/v1/users/c-1001")).status()).toBe(200);
  await open(page, "/resilience?breaker=gateway~users");
  const breaker = card(page, "gateway", "users").first();
  await expect(breaker.locator(".badge").first()).toHaveText("Closed");
  await tellBreaker(page, "gateway~users", { force_open: 3_600 });
  await expect(breaker.locator(".badge", { hasText: "Forced" })).toBeVisible();
  await expect(breaker).toContainText(/let go in (1:00:00|59:\d\d)/);
  // The customer's page goes on without the part that was refused.
  expect(await (await page.request.get("/api/v1/users/c-1001")).json()).toHaveProperty("errors.users");
  await tellBreaker(page, "gateway~users", { force_open: 1 });
  await expect(breaker.locator(".badge", { hasText: "Forced" })).toHaveCount(0);
  await expect(breaker.locator(".badge").first()).toHaveText("Closed");
  expect(await (await page.request.get("/api/v1/users/c-1001")).json()).not.toHaveProperty("errors.users");
  // By the button too, and let go by hand.
  await breaker.getByRole("button", { name: "Force open" }).click();
  await expect(breaker.locator(".badge", { hasText: "Forced" })).toBeVisible();
  await breaker.getByRole("button", { name: "Let go" }).click();
  await expect(breaker.locator(".badge", { hasText: "Forced" })).toHaveCount(0);
  await breaker.locator("summary", { hasText: "History" }).click();
  await expect(breaker.locator(".history li").first()).toContainText("no longer held, by page");
});

test("thresholds are set, are in the history, and a wrong value stays in the form", async ({ page }) => {
  await browse(page);
  await open(page, "/resilience?thresholds=gateway~catalog#thresholds");
  const form = page.locator("form[action='/resilience/thresholds']");
  const failures = form.getByLabel("Failures in a row").last();
  await failures.fill("0");
  await failures.press("Tab");
  await expect(form.getByRole("alert")).toContainText("1 to 100 failures in a row");
  await expect(failures).toHaveValue("0");
  await expect(form.getByRole("button", { name: "Set thresholds" })).toBeDisabled();
  await failures.fill("7");
  await failures.press("Tab");
  await form.getByRole("button", { name: "Set thresholds" }).click();
  await expect(page.locator(".toast").first()).toContainText("Breaker changed");
  await expect(page.locator(".closed")).toContainText("0 of 7");
  await failures.fill("5");
  await failures.press("Tab");
  await form.getByRole("button", { name: "Set thresholds" }).click();
  await expect(page.locator(".closed")).not.toContainText("0 of 7");
});

test("thresholds are tried on the calls of the last minute before they are set", async ({ page }) => {
  const asked = () => page.request.get("/api/v1/users/c-1001");
  await asked();
  await open(page, "/resilience?thresholds=gateway~users#thresholds");
  const said = page.locator(".what-if");
  await expect(said).toContainText("With 5 failures in a row and 60 s");
  const failures = page.locator("form[action='/resilience/thresholds']").getByLabel("Failures in a row").last();
  // Three calls that fail in a row: with five in force nothing opens, with one it would have. They count for
  // a minute, so what looks at them does so at once.
  await inject(page, { kind: "abort", from: "gateway", to: "users", status: 503, limit: 3 });
  for (let i = 0; i < 3; i += 1) await asked();
  await failures.fill("1");
  await failures.press("Tab");
  await expect(said).toContainText("With 1 failure and 60 s it would have opened");
  await expect(said.getByRole("link").first()).toHaveAttribute("href", /^\/traces\/[0-9a-f]{32}$/);
  await expect(said).toContainText("With those in force");
  await inject(page, { kind: "abort", from: "gateway", to: "users", status: 503, limit: 3 });
  for (let i = 0; i < 3; i += 1) await asked();
  const tried = await page.request.get("/control/breakers/gateway~users/what-if?failures_in_a_row=1&wait_ms=1000");
  expect(tried.status(), await tried.text()).toBe(200);
  const seen = await tried.json();
  expect(seen.tried.opened).toBeGreaterThan(0);
  expect(seen.tried.first.trace_id).toMatch(/^[0-9a-f]{32}$/);
  const wrong = await page.request.get("/control/breakers/gateway~users/what-if?failures_in_a_row=0&wait_ms=1000");
  expect(wrong.status()).toBe(400);
});

test("an instance is killed from the panel, is down in the table, and comes back when the fault is removed", async ({ page }) => {
  await open(page, "/resilience");
  await choose(page, "Kill instance");
  await page.getByLabel("Instance", { exact: true }).selectOption("catalog-v1-2");
  await expect(page.locator(".expect")).toContainText("other instance");
  await page.locator(".inject-foot").getByRole("button", { name: "Kill instance" }).click();
  const row = page.locator(".endpoints tbody tr", { hasText: "catalog-v1-2" });
  await expect(row).toContainText("Down");
  await expect(row).toContainText("back in");
  for (const address of ["/", "/orders", "/traces", "/traffic"]) {
    await page.goto(address);
    await expect(page.locator(".fault-banner"), address).toContainText("Kill instance");
  }
  await open(page, "/resilience");
  await page.locator(".faults .remove-cross").first().click();
  await expect(page.locator(".fault-banner")).toHaveCount(0);
  await expect(page.locator(".endpoints .instance.down")).toHaveCount(0);
  await page.locator(".toast").getByRole("button", { name: "Undo" }).click();
  await expect(page.locator(".fault-banner")).toContainText("Kill instance");
});

test("rows are walked through with J and K", async ({ page }) => {
  await browse(page);
  await open(page, "/resilience");
  await expect(page.locator("[data-row]").nth(1)).toBeVisible();
  await page.locator("body").press("j");
  await expect(page.locator("[data-row]").nth(0)).toBeFocused();
  await page.keyboard.press("j");
  await expect(page.locator("[data-row]").nth(1)).toBeFocused();
  await page.keyboard.press("k");
  await expect(page.locator("[data-row]").nth(0)).toBeFocused();
});

test("with faults and an open breaker the page is accessible in both themes and on a phone", async ({ page }) => {
  await browse(page);
  const id = await breakerId(page, "gateway", "recommendations");
  await tellBreaker(page, id, { thresholds: { failures_in_a_row: 5, wait_ms: 3_600_000 } });
  await inject(page, { kind: "abort", to: "recommendations", status: 503 });
  for (let calls = 0; calls < 5; calls += 1) await browse(page);
  for (const viewport of [{ width: 1440, height: 900 }, { width: 390, height: 844 }]) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ["dark", "light"] as const) {
      await page.emulateMedia({ colorScheme });
      await open(page, "/resilience");
      await expect(card(page, "gateway", "recommendations").first().locator(".badge").first()).toHaveText("Open");
      await expect(page.locator(".fault-banner")).toBeVisible();
      await expectAccessible(page);
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      expect(wider, "pixels that stand out on the right").toBeLessThanOrEqual(0);
    }
  }
});

test.describe("without JavaScript", () => {
  test.use({ javaScriptEnabled: false });

  test("a fault is injected by the plain form, asked about once, and removed", async ({ page }) => {
    await page.goto("/resilience");
    await page.locator(".kind", { hasText: "Abort" }).getByRole("link", { name: "Fields" }).click();
    await expect(page).toHaveURL(/kind=abort/);
    await page.getByLabel("Destination").selectOption("recommendations");
    await page.getByLabel("Share, percent").fill("80");
    await page.getByLabel("Status").fill("500");
    await page.getByRole("button", { name: "Inject abort" }).click();
    await expect(page.getByRole("alert").first()).toContainText("This touches 80% of all. Go on?");
    await expect(page.getByLabel("Share, percent")).toHaveValue("80");
    await page.getByLabel("Also if it hits more than half of all calls").check();
    await page.getByRole("button", { name: "Inject abort" }).click();
    await expect(page.locator(".fault-banner")).toContainText("Abort 500 on 80%");
    await page.locator(".faults .remove-cross").first().click();
    await expect(page.locator(".fault-banner")).toHaveCount(0);
  });
});

test("what a fault does not take is refused where it is typed, and nothing is injected", async ({ page }) => {
  await open(page, "/resilience?kind=delay&to=users");
  const panel = page.locator("#inject");
  const delay = panel.getByRole("textbox", { name: "Delay, seconds" });
  await delay.fill("-4");
  const reason = panel.locator(".inject-row", { hasText: "A delay is 0.001 to 86400 seconds." });
  await expect(reason).toBeVisible();
  const share = panel.getByRole("textbox", { name: "Share, percent" });
  await share.fill("250");
  const wrong = panel.getByText("A share is 0.0001 to 100%.");
  await expect(wrong).toBeVisible();
  // The sentence is whole, and over nothing else.
  await still(page);
  const [box, inside] = [await wrong.boundingBox(), await panel.boundingBox()];
  expect(box && inside && box.x >= inside.x && box.x + box.width <= inside.x + inside.width).toBe(true);
  const button = panel.getByRole("button", { name: "Inject delay" });
  await button.click();
  await expect(panel.locator(".inject-foot").getByRole("alert")).toBeVisible();
  const { active } = await (await page.request.get("/control/faults")).json();
  expect(active).toEqual([]);
  await share.fill("10");
  await delay.fill("0.5");
  await button.click();
  await expect(page.locator(".toast")).toContainText("injected");
  const after = await (await page.request.get("/control/faults")).json();
  expect(after.active.map((fault: { what: string }) => fault.what)).toEqual(["Delay 0.5 s on 10%"]);
});

test("while the kill switch holds, the button that injects is whole and says why it does nothing", async ({ page }) => {
  await page.request.delete("/control/faults");
  await open(page, "/resilience");
  const button = page.locator("#inject").getByRole("button", { name: "Inject delay" });
  await expect(button).toBeDisabled();
  await expect(page.locator(".inject-foot")).toContainText("The kill switch holds new faults off");
  const cut = await button.evaluate((it) => it.scrollWidth > it.clientWidth);
  expect(cut, "its words are cut").toBe(false);
});

test("a bank crashes at the point of the two-phase commit that was chosen, is in doubt, and recovers", async ({ page }) => {
  await open(page, "/resilience");
  await choose(page, "Crash in two-phase commit");
  const point = page.getByLabel("Point of the two-phase commit");
  await expect(point.locator("option")).toHaveText([
    /^before prepare/, /^after prepare/, /^after vote/, /^on decision/, /^after decision/,
  ]);
  await page.getByLabel("Instance", { exact: true }).selectOption("bank-merchant-v1-1");
  await point.selectOption("after_vote");
  await expect(page.locator(".expect")).toContainText("crashes bank-merchant after vote");
  await page.locator(".inject-foot").getByRole("button", { name: "Crash the bank" }).click();
  await page.locator(".inject-foot").getByRole("button", { name: "Yes, go on" }).click();
  await expect(page.locator(".fault-banner")).toContainText("Crash after vote");
  await expect(page.locator(".endpoints .instance.down")).toHaveCount(0);

  const id = await begin(page);
  await open(page, `/orders/${id}`);
  const commit = page.locator(".order-commit").first();
  await expect(commit).toContainText(/crash/);
  expect((await page.request.delete("/control/faults")).ok()).toBe(true);
  // It finds the transaction prepared in its log, asks, and learns the decision.
  await expect(commit).toContainText("outcome?");
  await expect(page.locator(".order-head")).toContainText("Confirmed");
  const told = await (await page.request.get(`/api/v1/orders/${id}`)).json();
  expect(told.status).toBe("confirmed");
});

test("the heads of all cards are alike, and of a long name the version and the time are whole", async ({ page }) => {
  // What was called has a breaker.
  await browse(page);
  await order(page);
  const ids = [
    await breakerId(page, "gateway", "recommendations"), await breakerId(page, "orders", "users"),
    await breakerId(page, "payments", "bank-customer"),
  ];
  for (const id of ids) await tellBreaker(page, id, { force_open: 3_600 });
  await open(page, "/resilience");
  const heads = page.locator(".breaker-card .panel-head");
  await expect(heads).toHaveCount(ids.length);
  for (const [width, most] of [[1440, 48], [1280, 48], [390, 70]] as const) {
    await page.setViewportSize({ width, height: 900 });
    await still(page);
    const heights = new Set<number>();
    for (const head of await heads.all()) {
      heights.add((await head.boundingBox())?.height ?? 0);
      const cut = await head.evaluate((it) =>
        [...it.querySelectorAll(".subset, .badge, time")]
          .filter((part) => part.getBoundingClientRect().right > it.getBoundingClientRect().right
            || part.scrollWidth > part.clientWidth + 1 && getComputedStyle(part).display !== "inline")
          .map((part) => part.textContent));
      expect(cut, `at ${width}`).toEqual([]);
      await expect(head.locator(".edge-title")).toHaveAttribute("title", /\S+ › \S+/);
    }
    expect(heights.size, `at ${width}: ${[...heights]}`).toBe(1);
    expect(Math.max(...heights)).toBeLessThanOrEqual(most);
  }
});
