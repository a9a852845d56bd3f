// Traces as somebody meets them: filter, open, read what the mesh decided about a call that a fault hit, zoom.
import { type Page, expect, expectAccessible, expectSoundMarkup, open, reload, still, test } from "../fixtures.ts";
import { browse, expectSpans, inject, order, traceOf } from "../shop.ts";

/** The list of what looks at products. */
const PRODUCTS = "/traces?operation=GET+/api/v1/products/%7Bid%7D";

/** Opens the page of an order's trace that a fault hit, with the hit span selected. */
async function openFaulted(page: Page): Promise<string> {
  const fault = await inject(page, { kind: "delay", from: "orders", to: "catalog", delay_ms: 400 });
  const { id, trace } = await order(page);
  await open(page, `/traces?tag=order.id%3D${id}`);
  await page.getByRole("link", { name: "POST /api/v1/orders" }).first().click();
  await expect(page).toHaveURL(new RegExp(`/traces/${trace}`));
  const row = page.locator(".wf-row", { has: page.locator(".fault-chip", { hasText: fault }) }).first();
  await row.locator("a[data-row]").click();
  await expect(page.locator(".span-drawer")).toBeVisible();
  return fault;
}

test("a call that a fault held says what the mesh decided, and leads to the fault and to its route", async ({ page }) => {
  const id = await openFaulted(page);
  const decision = page.locator(".mesh-decision");
  await expect(decision).toContainText("Mesh decision");
  await expect(decision).toContainText(/revision r\d+/);
  await expect(decision).toContainText("catalog");
  await expect(decision).toContainText("answered at the first try");
  await expect(decision).toContainText(/held it \d/);
  await expect(decision.getByRole("link", { name: "Traffic" })).toHaveAttribute("href", /^\/traffic\/catalog/);
  await page.locator(".wf-row .fault-chip", { hasText: id }).first().click();
  await expect(page).toHaveURL(new RegExp(`/resilience\\?fault=${id}`));
  await page.goBack();
  await expect(decision).toBeVisible();
  await decision.getByRole("link", { name: "Traffic" }).click();
  await expect(page).toHaveURL(/\/traffic\/catalog\?diff=\d+/);
  await expect(page.locator("main")).toContainText("catalog");
});

test("how a trace is looked at is in the address and is there again after a reload", async ({ page }) => {
  await openFaulted(page);
  await page.locator(".critical-toggle").click();
  await page.getByRole("link", { name: /^Logs \d/ }).click();
  const shownTo = page.getByRole("slider", { name: "Shown to" });
  await shownTo.press("ArrowLeft");
  await expect(page).toHaveURL(/tab=logs.*path=off.*zoom=0-\d+/);
  const zoomed = page.url();
  const until = await shownTo.getAttribute("aria-valuetext") ?? "";
  expect(until).toMatch(/\d/);
  await reload(page);
  await expect(page).toHaveURL(zoomed);
  await expect(page.locator(".critical-toggle")).toHaveAttribute("aria-pressed", "false");
  await expect(shownTo).toHaveAttribute("aria-valuetext", until);
  await expect(page.getByRole("link", { name: /^Logs \d/ })).toHaveAttribute("aria-current", "true");
});

test("a drag over the marks zooms in time, and Escape and Back undo it", async ({ page }) => {
  const id = await inject(page, { kind: "delay", from: "gateway", to: "users", delay_ms: 20 });
  const asked = await page.request.get("/api/v1/users/c-1001");
  await expectSpans(page, traceOf(asked), ["GET /api/v1/users/{id}"]);
  await open(page, "/traces");
  const plot = page.locator(".scatter-plot");
  // Where it began; that it delayed what is drawn may be said besides.
  const named = plot.locator(".fault-marks text:not(.band-note)", { hasText: id });
  await expect(named).toHaveCount(1);
  const drag = async () => {
    await still(page);
    const box = await plot.boundingBox();
    if (!box) throw new Error("no marks");
    await page.mouse.move(box.x + box.width * 0.6, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.8, box.y + 60, { steps: 4 });
    await expect(plot.locator(".stretch")).toBeVisible();
    await page.mouse.move(box.x + box.width - 2, box.y + 60, { steps: 4 });
    await page.mouse.up();
    await expect(page).toHaveURL(/from=\d+&until=\d+/);
    await expect(page.locator(".zoomed")).toBeVisible();
  };
  await drag();
  await page.locator("body").press("Escape");
  await expect(page).not.toHaveURL(/from=/);
  await expect(page.locator(".zoomed")).toBeHidden();
  await drag();
  await page.goBack();
  await expect(page).not.toHaveURL(/from=/);
  await expect(page.locator(".zoomed")).toBeHidden();
});

test("new traces come by themselves, and wait behind a button while somebody reads", async ({ page }) => {
  const first = await browse(page);
  await open(page, PRODUCTS);
  await page.mouse.move(2, 2);
  const newest = page.locator(".traces-list [data-row]").first();
  await expect(newest).toHaveAttribute("href", new RegExp(first));
  const second = await browse(page);
  await expect(newest).toHaveAttribute("href", new RegExp(second));
  await page.locator(".traces-list thead").hover();
  const third = await browse(page);
  const button = page.getByRole("button", { name: "1 new" });
  await expect(button).toBeVisible();
  await expect(newest).toHaveAttribute("href", new RegExp(second));
  await button.click();
  await expect(newest).toHaveAttribute("href", new RegExp(third));
  await page.locator("body").press("j");
  await expect(page.locator(".traces-list [data-row]:focus")).toHaveCount(1);
});

test("without a Jaeger the button says what to set", async ({ page }) => {
  await openFaulted(page);
  await page.getByRole("button", { name: "Open in Jaeger" }).click();
  const how = page.getByRole("dialog", { name: "No Jaeger is configured" });
  await expect(how).toContainText("OTEL_EXPORTER_OTLP_ENDPOINT");
  await expect(how).toContainText("Export of spans is off");
  await expectAccessible(page);
  await page.keyboard.press("Escape");
  await expect(how).toBeHidden();
});

for (const viewport of [{ width: 1440, height: 900 }, { width: 390, height: 844 }]) {
  test(`an open trace with its drawer at ${viewport.width} pixels is accessible in both themes and fits`, async ({ page }) => {
    await page.setViewportSize(viewport);
    await openFaulted(page);
    for (const colorScheme of ["dark", "light"] as const) {
      await page.emulateMedia({ colorScheme });
      await expectAccessible(page);
    }
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(wider, "pixels that stand out on the right").toBeLessThanOrEqual(0);
    await expectSoundMarkup(page, page.url());
    if (viewport.width < 768) {
      const box = await page.locator(".span-drawer").boundingBox();
      expect([box?.x, box?.y, box?.width, box?.height]).toEqual([0, 0, viewport.width, viewport.height]);
      await page.getByRole("link", { name: "Close" }).click();
      await expect(page.locator(".wf-bar svg").first()).toBeVisible();
    }
  });
}

test("the filters show what is applied, also after they were left by a link or by Back", async ({ page }) => {
  await browse(page);
  await open(page, "/traces");
  const form = page.locator(".traces-search");
  const [duration, tag] = [form.locator("select[name=min]"), form.locator("input[name=tag]")];
  await duration.selectOption("2000");
  await expect(page).toHaveURL(/min=2000/);
  await tag.fill("order.id=ord-none");
  await tag.blur();
  await expect(page).toHaveURL(/tag=order\.id/);
  await page.goBack();
  await expect(page).not.toHaveURL(/tag=/);
  await expect(tag).toHaveValue("");
  await expect(duration).toHaveValue("2000");
  await page.goForward();
  await expect(tag).toHaveValue("order.id=ord-none");
  await page.getByRole("link", { name: "Clear all filters" }).click();
  await expect(page).toHaveURL(/\/traces$/);
  await expect(duration).toHaveValue("");
  await expect(tag).toHaveValue("");
});

test("what waits behind the button and how far back the traces reach move nothing", async ({ page }) => {
  await browse(page);
  await open(page, PRODUCTS);
  await expect(page.locator(".traces-list [data-row]")).toHaveCount(1);
  await page.locator(".traces-list thead").hover();
  await still(page);
  const top = async () => (await page.locator(".traces-list").boundingBox())?.y;
  const before = await top();
  await browse(page);
  await expect(page.getByRole("button", { name: "1 new" })).toBeVisible();
  await still(page);
  expect(await top()).toBe(before);
});

test("the traces that a delay lifted above the others are named, and what is pointed at covers no tick", async ({ page }) => {
  const id = await inject(page, { kind: "delay", from: "payments", to: "bank-customer", delay_ms: 1_200, limit: 2 });
  await order(page);
  for (const [width, on] of [[1440, true], [390, false]] as const) {
    await page.setViewportSize({ width, height: 900 });
    await open(page, "/traces?service=gateway&min=1000");
    const note = page.locator(".band-note");
    await expect(note).toContainText(`upper band: 1.2 s injected by ${id}`);
    await expect(note.locator("tspan")).toHaveText(" on payments → bank-customer");
    if (on) await expect(note.locator("tspan")).toBeVisible();
    await still(page);
    const inside = await note.evaluate((it) => {
      const [text, plot] = [it.getBoundingClientRect(), it.closest("svg")!.getBoundingClientRect()];
      return text.left >= plot.left && text.right <= plot.right + 1;
    });
    expect(inside, `the note at ${width}`).toBe(true);
    // Every mark that can be pointed at, at both ends of the plot and at its top and bottom.
    const covered = await page.locator(".scatter-plot").evaluate(async (plot) => {
      const marks = [...plot.querySelectorAll(".marks [data-i]")];
      const box = (it: Element) => it.getBoundingClientRect();
      const ends = [
        marks.reduce((a, b) => (box(a).x < box(b).x ? a : b)), marks.reduce((a, b) => (box(a).x > box(b).x ? a : b)),
        marks.reduce((a, b) => (box(a).y < box(b).y ? a : b)), marks.reduce((a, b) => (box(a).y > box(b).y ? a : b)),
      ];
      const bad: string[] = [];
      for (const mark of ends) {
        mark.dispatchEvent(new PointerEvent("pointermove", { bubbles: true, clientX: box(mark).x, clientY: box(mark).y }));
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        const text = plot.querySelector(".pointed .ring-text");
        if (!text) { bad.push("nothing is said"); continue; }
        const said = box(text);
        if (said.left < box(plot).left - 1 || said.right > box(plot).right + 1) bad.push(`${text.textContent} stands out`);
        const panel = plot.closest(".scatter")!;
        for (const other of panel.querySelectorAll(".tick, .scatter-y text, .fault-marks text:not(.band-note)")) {
          const it = box(other);
          const apart = it.right < said.left || said.right < it.left || it.bottom < said.top + 2 || said.bottom - 2 < it.top;
          if (!apart && it.width > 0) bad.push(`${text.textContent} covers ${other.textContent}`);
        }
      }
      return bad;
    });
    expect(covered, `at ${width}`).toEqual([]);
  }
});

test("every mark that deviates is reached with the keyboard and opens its trace", async ({ page }) => {
  await order(page, "c-1042", "p-knife");
  await open(page, "/traces?service=gateway");
  const plot = page.locator(".scatter-plot");
  await expect(plot.locator(".marks a")).not.toHaveCount(0);
  await plot.focus();
  await page.keyboard.press("End");
  const focused = page.locator(".marks a:focus");
  await expect(focused).toHaveCount(1);
  await expect(page.locator(".pointed .ring-text")).toBeVisible();
  await page.keyboard.press("Home");
  const href = (await focused.getAttribute("href")) ?? "";
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(new RegExp(href.split("?")[0] ?? "nowhere"));
});

test("a name that has no room is cut before what was decided, and is whole while it has the focus", async ({ page }) => {
  const { trace } = await order(page, "c-1042", "p-chair");
  await page.setViewportSize({ width: 780, height: 900 });
  await open(page, `/traces/${trace}`);
  const row = page.locator(".wf-row", { hasText: "vote no" });
  await expect(row.locator("a[data-row]")).toHaveAttribute("title", "POST /transactions/{id}/prepare, vote no");
  const [name, note] = [row.locator(".name-text"), row.locator(".name-note")];
  await row.scrollIntoViewIfNeeded();
  const cut = async () => name.evaluate((it) => it.scrollWidth - it.clientWidth);
  await expect.poll(cut, { message: "the name is cut" }).toBeGreaterThan(0);
  const [box, cell] = [await note.boundingBox(), await row.locator(".wf-name").boundingBox()];
  expect((box?.x ?? 0) + (box?.width ?? 0)).toBeLessThanOrEqual((cell?.x ?? 0) + (cell?.width ?? 0) + 1);
  // By the keyboard: what is focused by a press shows no ring and no more than before.
  await page.keyboard.press("Tab");
  await row.locator("a[data-row]").focus();
  await expect(row.locator("a[data-row]")).toHaveAttribute("data-cut", "");
  await expect.poll(cut).toBeLessThanOrEqual(0);
  await page.keyboard.press("Tab");
  await expect.poll(cut).toBeGreaterThan(0);
});

for (const [width, folder] of [[1440, "/traces/"], [390, "/traces/"], [1440, "/orders/"], [390, "/orders/"]] as const) {
  test(`what is written beside bars stays in its drawing on ${folder} at ${width} pixels`, async ({ page }) => {
    await inject(page, { kind: "abort", from: "payments", to: "bank-merchant", status: 503, limit: 3 });
    const { id, trace } = await order(page);
    await page.setViewportSize({ width, height: 900 });
    await open(page, folder === "/orders/" ? `/orders/${id}` : `/traces/${trace}`);
    const texts = page.locator(".wf-bar text, .brief-bar text");
    await expect(texts.first()).toBeAttached();
    await still(page);
    const out = await texts.evaluateAll((all) => all.flatMap((text) => {
      const it = text.getBoundingClientRect();
      if (it.width === 0) return [];
      const panel = text.closest(".panel")!.getBoundingClientRect();
      // On the left stand the names and times.
      const left = text.closest("svg")!.getBoundingClientRect().left;
      return it.right > panel.right || it.left < left - 2 ? [`${text.textContent}: ${it.left} to ${it.right}`] : [];
    }));
    expect(out).toEqual([]);
  });
}

test("a row of the list says the same on a phone as at a desk, and how far back the list reaches stands by its count", async ({
  page,
}) => {
  await order(page);
  await page.setViewportSize({ width: 390, height: 844 });
  await open(page, "/traces?service=orders");
  await expect(page.locator(".traces-counts")).toContainText(/kept since \d\d:\d\d/);
  const row = page.locator(".traces-list tbody tr", { hasText: "POST /api/v1/orders" }).first();
  await expect(row).toContainText(/\d spans/);
  for (const cell of await row.locator("td").all()) await expect(cell).toBeVisible();
  await expect(row.locator(".quiet-link")).toContainText("ord-");
  // What was called stands in one line, not in pieces of words.
  const link = await row.locator(".row-link").boundingBox();
  expect(link?.height ?? 99).toBeLessThanOrEqual(26);
  await expect(page.getByRole("row").nth(1)).toBeVisible();
  await expect(page.getByRole("columnheader", { name: "Duration" })).toHaveCount(1);
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect(wider, "pixels that stand out on the right").toBeLessThanOrEqual(0);
  await expectAccessible(page);
});

test("a tab that nobody looks at asks for nothing, and is up to date again when somebody does", async ({ page }) => {
  const first = await browse(page);
  await open(page, PRODUCTS);
  await page.mouse.move(2, 2);
  const newest = page.locator(".traces-list [data-row]").first();
  await expect(newest).toHaveAttribute("href", new RegExp(first));
  const look = (hidden: boolean) => page.evaluate((to) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => to });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  let asked = 0;
  await look(true);
  // A second of the stream, in which comes what was asked for before.
  const clock = () => page.locator(".live-state").innerText();
  const aSecond = async () => {
    const now = await clock();
    await expect.poll(clock).not.toBe(now);
  };
  await aSecond();
  page.on("request", (request) => {
    if (/\/ui\/.*trace/.test(request.url())) asked += 1;
  });
  const second = await browse(page);
  // Three more, in which it would ask twice.
  for (let seconds = 0; seconds < 3; seconds += 1) await aSecond();
  expect(asked).toBe(0);
  await expect(newest).toHaveAttribute("href", new RegExp(first));
  await look(false);
  await expect(newest).toHaveAttribute("href", new RegExp(second));
});

test("a trace is found by any operation of the service that is chosen", async ({ page }) => {
  const placed = await page.request.post("/api/v1/orders", {
    data: { user_id: "c-1001", items: [{ product_id: "p-moka", quantity: 1 }] },
    headers: { Prefer: "wait=20" },
  });
  const { order_id } = await placed.json();
  await open(page, `/traces?tag=order.id%3D${order_id}`);
  await expect(page.getByRole("link", { name: "POST /api/v1/orders" })).toHaveCount(1);
  await page.getByRole("combobox", { name: "Service" }).selectOption("bank-customer");
  await expect(page).toHaveURL(/service=bank-customer/);
  const operations = page.getByRole("combobox", { name: "Operation" });
  const prepare = "POST /transactions/{id}/prepare";
  await expect(operations.getByRole("option", { name: prepare })).toHaveCount(1);
  // Names of other services are not offered with it.
  await expect(operations.getByRole("option", { name: "POST /api/v1/orders" })).toHaveCount(0);
  await operations.selectOption(prepare);
  await expect(page).toHaveURL(/operation=/);
  const found = page.locator(".traces-list [data-row]");
  await expect(found).toHaveText(["POST /api/v1/orders"]);
  await expect(page.locator(".traces-counts")).toContainText(/^.*1 trace,/);
  // Of another service it is no operation.
  await page.getByRole("combobox", { name: "Service" }).selectOption("inventory");
  await expect(found).toHaveCount(0);
});
