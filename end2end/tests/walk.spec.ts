// A trace on the map: the way in, the walk through its spans by keys, and the way out.
import { type Page, expect, expectAccessible, expectSoundMarkup, open, reload, test } from "../fixtures.ts";
import { order } from "../shop.ts";

/** The file that draws a trace on the map. */
const WALK = /\/pkg\/.*split_walk\.wasm/;

/** Places an order and answers with the id of its trace, which has both banks and grows no more. */
async function orderTrace(page: Page): Promise<string> {
  const { trace, status } = await order(page);
  expect(status).toBe("confirmed");
  return trace;
}

const current = (page: Page) => page.locator(".walk-now h3");
const now = (page: Page) => page.locator('.walk-hops [aria-current="step"]');

test("a trace is opened on the map from its page, stepped through span by span, and left with Escape", async ({ page }) => {
  const id = await orderTrace(page);
  await open(page, `/traces/${id}`);
  const file = page.waitForResponse(WALK);
  await page.getByRole("link", { name: "On the map" }).click();
  expect((await file).status()).toBe(200);
  await expect(page).toHaveURL(new RegExp(`/\\?trace=${id}`));
  const bar = page.locator(".walk-bar");
  await expect(bar).toContainText("POST /api/v1/orders");
  await expect(bar).toContainText(id.slice(0, 8));
  await expect(page.locator(".walk-side")).toContainText("span 1 of");
  await expect(now(page)).toContainText("browser → gateway");
  // On to the first call of another service: the span and the hop are others, and so is the line.
  const first = await current(page).innerText();
  const hop = page.locator(".walk-hops li", { hasText: "gateway → orders" }).first();
  await page.locator("body").press("ArrowRight");
  await expect(page.locator(".walk-side")).toContainText("span 2 of");
  await expect(current(page)).not.toHaveText(first);
  await expect(hop).toHaveClass(/now/);
  await expect(page.locator(".stage:not(.stage-phone) .walk-line.now")).toHaveCount(1);
  await expect(page).toHaveURL(/span=[0-9a-f]{16}/);
  await expect(page.locator('.walk-bar [role="status"]')).toContainText("gateway to orders");
  await page.locator("body").press("ArrowLeft");
  await expect(page.locator(".walk-side")).toContainText("span 1 of");
  await expectAccessible(page);
  // A hop of the list is where it leads, and the span of it has a page.
  await page.locator(".walk-hops a", { hasText: "payments → bank-merchant" }).first().click();
  await expect(now(page)).toContainText("payments → bank-merchant");
  const span = new URL(page.url()).searchParams.get("span") ?? "";
  await expect(page.locator(".walk-now a", { hasText: "Open span" })).toHaveAttribute("href", `/traces/${id}?span=${span}`);
  // A link shows the same to somebody else.
  await reload(page);
  await expect(now(page)).toContainText("payments → bank-merchant");
  await page.locator("body").press("Escape");
  await expect(bar).toHaveCount(0);
  await expect(page.locator(".feed")).toBeVisible();
  expect(new URL(page.url()).search).toBe("");
});

test("a trace plays to its end at a pace that is said, and live data goes on", async ({ page }) => {
  const id = await orderTrace(page);
  await open(page, `/?trace=${id}`);
  await expect(page.locator(".walk-scale")).toContainText("1 s here =");
  // Nothing is added to it any more.
  await expect(page.locator(".walk-running")).toBeHidden();
  await page.locator("body").press(" ");
  await expect(page.getByRole("button", { name: "Pause", exact: true })).toBeVisible();
  await page.locator("body").press(" ");
  const play = page.getByRole("button", { name: "Play", exact: true });
  await expect(play).toBeVisible();
  // Back to the beginning by the cursor; the call from outside is on its way then.
  const cursor = page.getByLabel("Time in the trace");
  await cursor.fill("0");
  await expect(page.locator(".stage:not(.stage-phone) .walk-dot")).not.toHaveCount(0);
  // The arrow keys are the speed's while it has the focus; Space plays, as it chooses nothing there.
  const scale = page.locator(".walk-scale");
  await page.locator(".walk-controls .segment", { hasText: /^0\.5×$/ }).click();
  await expect(scale).toHaveText("1 s here = 500 ms");
  await page.keyboard.press("ArrowRight");
  await expect(page.getByRole("radio", { name: "1×", exact: true })).toBeChecked();
  await expect(scale).toHaveText("1 s here = 1.00 s");
  await expect(page.locator(".walk-side")).toContainText("span 1 of");
  await page.keyboard.press(" ");
  const atEnd = () => cursor.evaluate((it: HTMLInputElement) => Number(it.value) > 0 && it.value === it.max);
  await expect.poll(atEnd, { message: "the cursor is at the end of the trace" }).toBe(true);
  await expect(play).toBeVisible();
  await expect(page.locator(".app")).not.toHaveAttribute("data-paused");
  await expect(cursor).toHaveAttribute("aria-valuetext", /^\+.* in /);
  // From the end it begins again, at a pace that leaves time to see it.
  await page.locator(".walk-controls .segment", { hasText: "Fit to 10 s" }).click();
  await play.click();
  await expect.poll(atEnd, { message: "the cursor has left the end" }).toBe(false);
});

test("the trace on the map is the one of the address, also when an earlier one is answered later", async ({ page }) => {
  const [first, second] = [await orderTrace(page), await orderTrace(page)];
  let answer = () => {};
  const held = new Promise<void>((resolve) => (answer = resolve));
  await page.route(/\/ui\/trace-walk/, async (route) => {
    if (`${route.request().url()} ${route.request().postData() ?? ""}`.includes(first)) await held;
    await route.continue();
  });
  await open(page, `/traces/${first}`);
  const asked = page.waitForRequest(/\/ui\/trace-walk/);
  await page.getByRole("link", { name: "On the map" }).click();
  await asked;
  await page.locator("body").press("/");
  await page.getByRole("combobox", { name: /^Search/ }).fill(second);
  await page.getByRole("option", { name: /show it on the map/ }).click();
  await expect(page).toHaveURL(new RegExp(`/\\?trace=${second}`));
  answer();
  await expect(page.locator(".walk-bar code").first()).toHaveText(second.slice(0, 8));
  await expect(page.locator(".walk-hops a").first()).toHaveAttribute("href", new RegExp(second));
});

test("Live without a trace does not load what draws one", async ({ page }) => {
  const asked: string[] = [];
  page.on("request", (request) => asked.push(request.url()));
  const dialogs = page.waitForResponse(/split_dialogs\.wasm/);
  await open(page, "/");
  await dialogs;
  expect(asked.filter((url) => WALK.test(url))).toEqual([]);
});

test("with reduced motion a trace is stepped through and nothing moves", async ({ page }) => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  const id = await orderTrace(page);
  await open(page, `/?trace=${id}`);
  await expect(page.locator(".walk-play")).toBeHidden();
  // There is nothing to play, so Space is live data's as everywhere.
  await page.locator("body").press(" ");
  await expect(page.locator(".app")).toHaveAttribute("data-paused");
  await page.locator("body").press(" ");
  await expect(page.locator(".app")).not.toHaveAttribute("data-paused");
  await page.getByRole("button", { name: "Step forward" }).click();
  await expect(page.locator(".walk-side")).toContainText("span 2 of");
  await expect(page.locator(".walk-dot:visible")).toHaveCount(0);
  const moving = page.locator(".stage:not(.stage-phone) .walk-ring.own").first();
  await expect(moving).toHaveCSS("animation-name", "none");
  await expectAccessible(page);
});

for (const { width, height } of [
  { width: 390, height: 844 },
  { width: 820, height: 900 },
  { width: 1100, height: 800 },
]) {
  test(`a trace on the map fits a window ${width} wide`, async ({ page }) => {
    await page.setViewportSize({ width, height });
    const id = await orderTrace(page);
    await open(page, `/?trace=${id}`);
    await expect(page.locator(".walk-label:visible").first()).toBeVisible();
    await expect(page.locator(".walk-hops")).toBeVisible();
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(wider, "pixels beyond the window").toBeLessThanOrEqual(0);
    await expectAccessible(page);
  });
}

test.describe("of what is not kept", () => {
  test.use({ expectedErrors: [/404/] });

  test("a trace says so over the map, which stays", async ({ page }) => {
    const id = "0123456789abcdef0123456789abcdef";
    const answer = await page.request.get(`/?trace=${id}`);
    expect(answer.status()).toBe(404);
    await open(page, `/?trace=${id}`);
    const none = page.getByRole("alert").filter({ hasText: "is not shown" });
    await expect(none).toContainText(id.slice(0, 8));
    const gateway = page.locator(".stage:not(.stage-phone)").getByText("gateway", { exact: true });
    await expect(gateway.first()).toBeVisible();
    await expectAccessible(page);
    await none.getByRole("link", { name: "Leave" }).click();
    await expect(none).toHaveCount(0);
    await expect(gateway.first()).toBeVisible();
    expect(new URL(page.url()).search).toBe("");
  });
});

test("the palette shows a trace on the map, and the page with it is sound before any script", async ({ page }) => {
  const id = await orderTrace(page);
  await open(page, "/");
  await page.locator("body").press("/");
  await page.getByRole("combobox", { name: /^Search/ }).fill(id);
  await page.getByRole("option", { name: /show it on the map/ }).click();
  await expect(page).toHaveURL(new RegExp(`/\\?trace=${id}`));
  await expect(page.locator(".walk-bar")).toContainText("POST /api/v1/orders");
  await expectSoundMarkup(page, `/?trace=${id}`);
});

test.describe("without JavaScript", () => {
  test.use({ javaScriptEnabled: false });
  test("the path is on the map and its hops are a list of links", async ({ page }) => {
    const id = await orderTrace(page);
    await page.goto(`/?trace=${id}`);
    await expect(page.locator(".stage:not(.stage-phone) .walk-line").first()).toBeVisible();
    await expect(page.locator(".walk-controls")).toBeHidden();
    await page.locator(".walk-hops a", { hasText: "payments → bank-customer" }).first().click();
    await expect(now(page)).toContainText("payments → bank-customer");
    await expect(page.locator(".stage:not(.stage-phone) .walk-line.now")).toHaveCount(1);
  });
});
