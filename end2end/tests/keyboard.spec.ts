// The whole way by the keyboard alone: nobody touches a pointer here, and the focus is never lost.
import { type Page, expect, open, test } from "../fixtures.ts";

/** Stops of a page at most: more, and what is looked for cannot be reached. */
const STOPS_MAX = 120;

/** What has the focus: its name, where it leads, and whether it is nothing but the document. */
async function focused(page: Page): Promise<{ text: string; lost: boolean }> {
  return page.evaluate(() => {
    const it = document.activeElement;
    const said = [it?.getAttribute("aria-label"), it?.textContent, it?.getAttribute("href"), it?.getAttribute("value")];
    return { text: said.map((text) => text?.trim() ?? "").join(" | "), lost: !it || it === document.body };
  });
}

/** Presses Tab (or Shift and Tab) until something has the focus, which must be in sight with its ring. */
async function tabTo(page: Page, wanted: RegExp, key: "Tab" | "Shift+Tab" = "Tab"): Promise<void> {
  for (let stop = 0; stop < STOPS_MAX; stop += 1) {
    await page.keyboard.press(key);
    if (!wanted.test((await focused(page)).text)) continue;
    await expect(page.locator(":focus")).toBeInViewport();
    return;
  }
  throw new Error(`no ${key} leads to ${wanted}`);
}

/** The focus is on something, of which the next Tab goes on. */
async function expectKept(page: Page, after: string): Promise<void> {
  await expect.poll(async () => (await focused(page)).lost, { message: `the focus is lost after ${after}` }).toBe(false);
}

test("an order, a fault and a weight are brought on their way and back by the keyboard alone", async ({ page }) => {
  test.slow();
  await open(page, "/");
  await page.keyboard.press("Tab");
  await expect(page.locator(".skip")).toBeFocused();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await expect(page.locator("main :focus")).toBeVisible();

  await page.keyboard.press("p");
  const dialog = page.getByRole("dialog", { name: "Place order" });
  await expect(dialog.getByRole("button", { name: "Place order" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(dialog).toBeHidden();
  const toast = page.locator(".toast").first();
  await expect(toast).toContainText("Order confirmed");
  // The message does not take the focus; M goes there, Esc takes it away and goes back.
  await expect(page.locator("main :focus")).toBeVisible();
  await page.keyboard.press("m");
  await expect(toast.getByRole("button", { name: "Dismiss" })).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(page.locator(".toast")).toHaveCount(0);
  await expect(page.locator("main :focus")).toBeVisible();

  await page.keyboard.press("Control+k");
  await expect(page.getByRole("combobox", { name: /^Search/ })).toBeFocused();
  await page.keyboard.type("ord-");
  await expect(page.locator(".palette-row[aria-selected='true']")).toContainText("ord-");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/orders\/ord-/);
  await expectKept(page, "the page was opened");
  await tabTo(page, /Cancel order/);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("button", { name: "Yes, cancel it" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.locator(".order-head")).toContainText("Cancelled");
  await expect(page.getByRole("button", { name: /ancel/ })).toHaveCount(0);
  await expectKept(page, "the order was cancelled and its button went");

  await tabTo(page, /^ \| Trace.* \| \/traces\/[0-9a-f]{32} \|/s);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/traces\/[0-9a-f]{32}/);
  await expect(page.locator(".wf-row").first()).toBeVisible();
  await page.keyboard.press("j");
  await expect(page.locator(".span-drawer")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.locator(".span-drawer")).toHaveCount(0);
  await expectKept(page, "the span was closed");

  await page.keyboard.press("f");
  await expect(page.locator(".inject input:focus")).toBeVisible();
  await page.keyboard.press("ArrowDown");
  await expect(page.getByRole("button", { name: "Inject abort" })).toBeVisible();
  await tabTo(page, /Inject abort/);
  await page.keyboard.press("Enter");
  await expect(page.locator(".fault-banner")).toContainText("Abort");
  await page.keyboard.press("Shift+F");
  await expect(page.getByRole("dialog").getByRole("button", { name: "Remove all" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.locator(".banner")).toContainText("Faults are held off");
  await expectKept(page, "the faults were removed");
  await tabTo(page, /Release/);
  await page.keyboard.press("Enter");
  await expect(page.locator(".banner")).toHaveCount(0);
  await expectKept(page, "the banner went with its button");

  await page.keyboard.press("g");
  await page.keyboard.press("t");
  await expect(page).toHaveURL(/\/traffic$/);
  await tabTo(page, / \| \/traffic\/payments \|/);
  await page.keyboard.press("Enter");
  await expect(page.locator(".split-bar")).toContainText("v1 100%");
  await tabTo(page, /Share of the first/);
  await page.keyboard.press("ArrowLeft");
  await expect(page.locator(".split-bar")).toContainText("v1 99%");
  await expect(page.locator(".checks")).toContainText("r2 can be applied");
  await page.keyboard.press("Control+Enter");
  await expect(page.locator(".revision.applied")).toContainText("r2");
  await expectKept(page, "the draft was applied");
  await tabTo(page, /Roll back to r1/, "Shift+Tab");
  await page.keyboard.press("Enter");
  await expect(page.locator(".revision.applied")).toContainText("r3");
  await expect(page.locator(".split-bar")).toContainText("v1 100%");
  await expectKept(page, "it was rolled back");
});

test("what a message says is said once, at once only where something failed, and without its buttons", async ({ page }) => {
  await open(page, "/");
  const [polite, urgent] = [page.locator(".sr[aria-live=polite]:not([data-announcer])"), page.locator(".sr[aria-live=assertive]")];
  await page.keyboard.press("p");
  await expect(page.getByRole("dialog").getByRole("button", { name: "Place order" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(polite).toHaveText(/^Order placed\. ord-\w+$/);
  await expect(urgent).toHaveText("");
  // Its end is said by the region of changes; the words of the message change in sight only.
  await expect(page.locator(".toast").first()).toContainText("Order confirmed");
  await expect(polite).toHaveText(/^Order placed\. ord-\w+$/);
  await expect(page.locator(".toasts")).not.toHaveAttribute("role");
});
