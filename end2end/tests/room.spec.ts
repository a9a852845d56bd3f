// What the frame and Live must keep room for at every width: countdowns, the text of the map, the charts while one
// is zoomed, and on a phone one line for all faults.
import { type Page, expect, expectAccessible, open, reload, still, test } from "../fixtures.ts";
import { begin, inject, live, order } from "../shop.ts";

test.use({ load: 2 });

async function injectThree(page: Page): Promise<string[]> {
  return [
    await inject(page, { kind: "delay", from: "payments", to: "bank-customer", percent: 10, delay_ms: 2_000, ttl_s: 2_970 }),
    await inject(page, { kind: "abort", from: "gateway", to: "recommendations", status: 503, ttl_s: 2_970 }),
    await inject(page, { kind: "kill_instance", instance: "recommendations-v1-1", ttl_s: 2_970 }),
  ];
}

test.describe("with three faults", () => {
  test("the time each fault has left is whole in the banner of every page", async ({ page }) => {
    await injectThree(page);
    for (const width of [1440, 1024]) {
      await page.setViewportSize({ width, height: 800 });
      for (const path of ["/", "/orders", "/resilience"]) {
        await open(page, path);
        await expect(page.locator(".banner-chip .ends")).toHaveCount(3);
        for (const chip of await page.locator(".banner-chip").all()) {
          await expect(chip.locator(".ends")).toContainText(/\d/);
          // In one look: it counts down.
          const out = await chip.evaluate((it) => {
            const ends = it.querySelector(".ends")!;
            const right = (of: Element) => of.getBoundingClientRect().right;
            return Math.max(ends.scrollWidth - ends.clientWidth, right(ends) - right(it));
          });
          expect(out, `pixels of the time that are cut on ${path} at ${width}`).toBeLessThanOrEqual(0);
        }
      }
    }
  });

  test("on a phone the banner is one line that names every fault and opens a sheet that ends them", async ({ page }) => {
    const ids = await injectThree(page);
    await page.setViewportSize({ width: 390, height: 844 });
    await open(page, "/orders");
    const banner = page.locator(".fault-banner");
    await expect(banner).toContainText("3 active faults");
    await expect(banner.locator(".fault-line")).toContainText(ids.join(", "));
    await still(page);
    expect((await banner.boundingBox())?.height).toBeLessThanOrEqual(48);
    await expect(banner.locator(".banner-chip").first()).toBeHidden();
    await banner.locator(".fault-line").click();
    const sheet = page.getByRole("dialog", { name: "Active faults" });
    for (const id of ids) await expect(sheet.locator(".banner-chip", { hasText: id })).toBeVisible();
    await expect(sheet).toContainText(/ends in \d\d:\d\d/);
    await expectAccessible(page);
    await sheet.getByRole("button", { name: `Remove ${ids[1]}` }).click();
    await expect(sheet.locator(".banner-chip")).toHaveCount(2);
    await sheet.getByRole("button", { name: "Remove all" }).click();
    await page.getByRole("dialog", { name: "Remove all faults" }).getByRole("button", { name: "Remove all" }).click();
    await expect(page.getByText("Faults are held off")).toBeVisible();
    await expect(sheet).toBeHidden();
  });

  test("a service with an instance down has a red border, with versions inside it too", async ({ page }) => {
    await injectThree(page);
    await open(page, "/");
    const box = page.locator('.map [data-node="recommendations"].node-group.node-down > .box');
    await expect(box).toBeVisible();
    const [stroke, error] = await box.evaluate((it) => {
      const probe = document.createElement("i");
      probe.style.color = "var(--error)";
      it.closest(".app")?.append(probe);
      const colours = [getComputedStyle(it).stroke, getComputedStyle(probe).color];
      probe.remove();
      return colours;
    });
    expect(stroke).toBe(error);
  });
});

test("no text of the map is smaller than eleven pixels at the sizes of common screens", async ({ page }) => {
  await live(page);
  const places: [number, number, string][] = [
    [1366, 768, "/"], [1280, 720, "/"], [1100, 800, "/"], [1024, 768, "/"], [1440, 900, "/"],
    [1440, 900, "/?node=orders"], [800, 900, "/"], [390, 844, "/"],
  ];
  for (const [width, height, path] of places) {
    await page.setViewportSize({ width, height });
    await open(page, path);
    await expect(page.locator(".map .node").first()).toBeVisible();
    const small = () => page.locator(".map").first().evaluate((map) =>
      // The code of a service repeats its name: ten pixels.
      [...map.querySelectorAll<SVGTextElement>("text:not(.code-text)")]
        .filter((text) => text.textContent && text.getClientRects().length > 0)
        .map((text) => ({
          text: text.textContent,
          size: Number.parseFloat(getComputedStyle(text).fontSize) * (text.getScreenCTM()?.a ?? 0),
        }))
        .filter(({ size }) => size < 11));
    await expect.poll(small, { message: `${path} at ${width} x ${height}` }).toEqual([]);
  }
});

test("a zoomed chart leaves the three of them side by side, and the way back over none of them", async ({ page }) => {
  await live(page);
  await open(page, "/");
  await expect(page.locator(".charts .drawing")).toHaveCount(3);
  await expect(page.locator(".charts .chart-skeleton")).toHaveCount(0);
  await still(page);
  const drawing = await page.locator(".charts .drawing").first().boundingBox();
  if (!drawing) throw new Error("there is no chart");
  await page.mouse.move(drawing.x + drawing.width * 0.5, drawing.y + 40);
  await page.mouse.down();
  await page.mouse.move(drawing.x + drawing.width * 0.9, drawing.y + 40, { steps: 4 });
  await page.mouse.up();
  await expect(page).toHaveURL(/zoom=\d+-\d+/);
  const back = page.getByRole("button", { name: "Show the whole range" });
  await expect(back).toBeVisible();
  await still(page);
  const boxes = [];
  for (const chart of await page.locator(".charts .chart").all()) boxes.push(await chart.boundingBox());
  const [first, ...others] = boxes;
  if (!first) throw new Error("there is no chart");
  expect(others.length).toBe(2);
  for (const box of others) {
    expect(box?.y).toBe(first.y);
    expect(Math.abs((box?.width ?? 0) - first.width)).toBeLessThanOrEqual(1);
  }
  expect(first.y + first.height).toBeLessThanOrEqual(900);
  const button = await back.boundingBox();
  expect((button?.y ?? 0) + (button?.height ?? 0)).toBeLessThanOrEqual(first.y);
  await back.click();
  await expect(page).not.toHaveURL(/zoom=/);
});

test("what is no quantity says so under its field, and no total and no order come of it", async ({ page }) => {
  await open(page, "/");
  await page.locator("body").press("p");
  const dialog = page.getByRole("dialog", { name: "Place order" });
  const quantity = dialog.getByLabel("Quantity 1");
  const place = dialog.getByRole("button", { name: "Place order" });
  for (const wrong of ["500", "", "1.5"]) {
    await quantity.fill(wrong);
    await expect(dialog).toContainText("A whole number from 1 to 100.");
    await expect(dialog.locator(".sum strong")).toHaveText("–");
    await expect(place).toBeDisabled();
    await quantity.press("Tab");
    await expect(quantity).toHaveValue(wrong);
  }
  await expectAccessible(page);
  await quantity.fill("2");
  await quantity.press("Tab");
  await expect(dialog.locator(".sum strong")).toContainText("€");
  await expect(place).toBeEnabled();
});

test.describe("a quiet shop", () => {
  test.use({ load: 0 });

  test("new orders do not push the list that is read", async ({ page }) => {
    await page.setViewportSize({ width: 390, height: 844 });
    await order(page);
    await open(page, "/orders");
    const list = page.locator(".table-scroll");
    await expect(list.locator("tbody tr")).toHaveCount(1);
    await still(page);
    const before = (await list.boundingBox())?.y;
    await begin(page);
    await expect(page.getByRole("button", { name: "1 new" })).toBeVisible();
    await still(page);
    expect((await list.boundingBox())?.y).toBe(before);
  });
});

test("on a phone the duration says which it is, and the table needs no row of its own", async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await open(page, "/");
  await expect(page.locator(".chart", { hasText: "Duration" }).locator("header .of")).toBeVisible();
  await still(page);
  const [heading, table] = [
    await page.getByRole("heading", { name: "Service map" }).boundingBox(),
    await page.locator(".table-button").boundingBox(),
  ];
  if (!heading || !table) throw new Error("the head of the map is not there");
  expect(table.y, "beside the heading").toBeLessThan(heading.y + heading.height);
});

test("an address that chooses nothing on the map opens no drawer, and the feed's filter is in it", async ({ page }) => {
  await open(page, "/?node=nonsense");
  await expect(page.locator(".drawer")).toHaveCount(0);
  await page.locator(".feed .segment", { hasText: "Failed" }).click();
  await expect(page).toHaveURL(/feed=failed/);
  await reload(page);
  await expect(page.locator(".feed").getByRole("radio", { name: "Failed" })).toBeChecked();
});

test.describe("without the line", () => {
  test.use({ expectedErrors: [/ERR_|Failed to load resource|net::|TypeError/] });

  test("a page that cannot be loaded while the line is down is not told as an update", async ({ page, line }) => {
    await open(page, line.url);
    line.cut();
    await expect(page.locator(".app")).toHaveAttribute("data-connection", "lost");
    const place = page.locator(".top .place");
    const opacity = () => place.evaluate((it) => Number(getComputedStyle(it).opacity));
    await expect.poll(opacity).toBeLessThan(1);
    await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Traffic" }).click();
    await expect(page.locator("main")).toContainText("Vitrine cannot be reached.");
    await expect(page.locator(".banner.updated")).toHaveCount(0);
  });
});

test("no control of a route stands out of its panel, at any width that has two columns", async ({ page }) => {
  for (const width of [1440, 1199, 1100, 1024, 390]) {
    await page.setViewportSize({ width, height: 900 });
    await open(page, "/traffic/payments");
    const out = await page.locator(".traffic-controls > .panel").evaluateAll((panels) =>
      panels.flatMap((panel) => {
        const right = panel.getBoundingClientRect().right;
        const beyond = (it: Element) => it.getBoundingClientRect().right > right + 1 && it.checkVisibility();
        return [...panel.querySelectorAll("*")].filter(beyond).map((it) => `${it.localName}.${it.getAttribute("class")}`);
      }));
    expect(out, `at ${width}`).toEqual([]);
  }
});

test("enlarged to 200 and 400 % and on a phone held sideways nothing lies over the map", async ({ page }) => {
  for (const [width, height] of [[720, 450], [360, 225], [667, 375]] as const) {
    await page.setViewportSize({ width, height });
    await open(page, "/");
    const map = page.locator(".map-panel");
    await map.scrollIntoViewIfNeeded();
    const covered = await map.evaluate((it) => {
      const box = it.getBoundingClientRect();
      const [x, y] = [box.left + box.width / 2, Math.max(box.top, 0) + Math.min(box.height, innerHeight) / 2];
      return !it.contains(document.elementFromPoint(x, Math.min(y, innerHeight - 1)));
    });
    expect(covered, `${width} x ${height}`).toBe(false);
    await page.locator(".feed").scrollIntoViewIfNeeded();
    await expect(page.locator(".feed")).toBeInViewport();
  }
});

test("figures are as wide as each other wherever they are live", async ({ page }) => {
  await live(page);
  await open(page, "/");
  for (const of of [".stat", ".feed-list", ".live-state", ".map text"]) {
    const features = await page.locator(of).first().evaluate((it) => getComputedStyle(it).fontFeatureSettings);
    expect(features, of).toContain("tnum");
  }
});

test("enlarged to 200 % the charts show their lines", async ({ page }) => {
  await live(page);
  await page.setViewportSize({ width: 720, height: 450 });
  await open(page, "/");
  const drawings = page.locator(".charts .drawing");
  await expect(drawings.first().locator("svg path").first()).toBeAttached();
  for (const drawing of await drawings.all()) {
    const hidden = await drawing.evaluate((it) => it.scrollHeight - it.clientHeight);
    expect(hidden).toBeLessThanOrEqual(1);
  }
});
