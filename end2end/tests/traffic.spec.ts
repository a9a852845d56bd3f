// Traffic: what a control does to the YAML, what an apply does to the shop, and every way back.
import {
  type Page, expect, expectAccessible, expectSoundMarkup, open as load, reload, still, test,
} from "../fixtures.ts";
import { inject, order } from "../shop.ts";

/** Opens a page; the editor of a host asks for its hits once it is alive. */
async function open(page: Page, address: string): Promise<void> {
  const alive = address.startsWith("/traffic/")
    ? page.waitForResponse((response) => response.url().includes("/ui/traffic"))
    : Promise.resolve();
  await load(page, address);
  await alive;
}

/** The text of a resource in force. */
async function inForce(page: Page, kind: string, name: string): Promise<string> {
  return (await page.request.get(`/control/istio/${kind}/${name}`)).text();
}

/** Number of the revision in force. */
async function revision(page: Page): Promise<number> {
  const list = await (await page.request.get("/control/istio/revisions")).json();
  return list.revisions[0].number;
}

/** Applies a resource over the control API. */
async function put(page: Page, text: string): Promise<void> {
  const headers = { "content-type": "application/yaml" };
  const applied = await page.request.post("/control/istio", { data: text, headers });
  expect(applied.status(), await applied.text()).toBe(200);
}

/** Brings a revision back. */
async function back(page: Page, number: number): Promise<void> {
  const answer = await page.request.post(`/control/istio/revisions/${number}/restore`);
  expect(answer.ok(), await answer.text()).toBe(true);
}

/** Chooses a preset of the split. */
async function preset(page: Page, text: string): Promise<void> {
  await page.locator(".split-panel .segment", { hasText: new RegExp(`^${text}$`) }).click();
}

const apply = (page: Page) => page.getByRole("button", { name: /^Apply r/ });

/** A route as it is written in many files: without a subset, and with nothing that tells versions apart. */
const WITHOUT_SUBSET = `
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata:
  name: fault-injection
spec:
  hosts: [payment-service]
  http:
  - fault:
      abort: {percentage: {value: 5.0}, httpStatus: 503}
    route:
    - destination: {host: payment-service}
`;

test("a route that names no versions leaves them on the map, and its split has numbers", async ({ page }) => {
  const before = await revision(page);
  const applied = await page.request.post("/control/istio", {
    data: WITHOUT_SUBSET, headers: { "content-type": "application/yaml" },
  });
  expect(applied.status(), await applied.text()).toBe(200);
  for (let i = 0; i < 3; i += 1) {
    await page.request.post("/api/v1/orders", {
      data: { user_id: "c-1001", items: [{ product_id: "p-moka", quantity: 1 }] },
      headers: { prefer: "wait=10" },
    });
  }
  await open(page, "/traffic/payments");
  const row = page.locator(".split-table tbody tr").first();
  await expect(row.locator("th")).toContainText("7 up");
  // Errors and p95 of all that went there.
  for (const column of [4, 5]) await expect(row.locator("td").nth(column)).toHaveText(/^\d/);
  await page.getByRole("navigation").getByRole("link", { name: "Live" }).first().click();
  // Four instances of the first version, three of the second.
  for (const name of [/^payments v1: configured 57/, /^payments v2: configured 4[23]/]) {
    await expect(page.getByRole("link", { name })).toBeVisible();
  }
  await expect(page.locator('.map [data-from="gateway"][data-to="payments"]')).toHaveCount(1);
  await back(page, before);
});

test("payments shifted to v2 are seen in the YAML, on the page and on the map", async ({ page }) => {
  const before = await revision(page);
  await open(page, "/traffic/payments");
  await preset(page, "0/100");
  await expect(page.locator(".yaml-line.added", { hasText: "weight: 100" })).toBeVisible();
  await expect(page.locator(".page-head")).toContainText(`Draft r${before + 1}`);
  await apply(page).click();
  await expect(page.locator(".toast")).toContainText(/since request #\d+/);
  expect(await inForce(page, "vs", "payments")).toMatch(/subset: v1\s+weight: 0\s/);
  for (let i = 0; i < 3; i += 1) await order(page);
  const second = page.locator(".split-table tbody tr").nth(1);
  await expect(second).toContainText("v2");
  // With its confidence band.
  await expect(second.locator("td").nth(3)).toHaveText(/^100%/);
  await page.getByRole("navigation").getByRole("link", { name: "Live" }).first().click();
  // Of the last minute: on a machine that took longer to come here, of an order that follows.
  await expect(async () => {
    await order(page);
    const lane = page.getByRole("link", { name: "payments v2: configured 100%, observed 100%" });
    await expect(lane).toBeVisible();
  }).toPass();
});

test("what is typed into the YAML moves the controls", async ({ page }) => {
  await open(page, "/traffic/payments?view=yaml");
  const text = page.getByRole("textbox", { name: "YAML" });
  await text.fill((await text.inputValue()).replace("weight: 100", "weight: 70").replace("weight: 0", "weight: 30"));
  await expect(page.locator(".split-bar")).toContainText("v1 70%");
  await text.fill(`${await text.inputValue()}  oops: [`);
  await expect(page.getByRole("alert")).toContainText("cannot be read");
  await page.getByRole("button", { name: "Discard" }).click();
  await expect(page.locator(".split-bar")).toContainText("v1 100%");
});

test("a control and the YAML changed in the same moment are both kept", async ({ page }) => {
  await open(page, "/traffic/payments?view=yaml");
  const text = page.getByRole("textbox", { name: "YAML" });
  const typed = (await text.inputValue()).replace("- name: versions", "- name: versions\n    timeout: 7s");
  await text.fill(typed);
  await preset(page, "80/20");
  await expect(text).toHaveValue(/weight: 80/);
  await expect(text).toHaveValue(/timeout: 7s/);
  await page.getByRole("button", { name: "Discard" }).click();
});

test("an apply can be undone from its toast", async ({ page }) => {
  const before = await inForce(page, "vs", "payments");
  await open(page, "/traffic/payments");
  await preset(page, "50/50");
  await expect(apply(page)).toBeEnabled();
  await page.keyboard.press("Control+Enter");
  await page.locator(".toast").getByRole("button", { name: "Undo" }).click();
  await expect(page.locator(".toast", { hasText: "is back" })).toBeVisible();
  expect(await inForce(page, "vs", "payments")).toBe(before);
  await expect(page.locator(".split-bar")).toContainText("v1 100%");
});

test("a change of somebody else is a conflict that can be rebased", async ({ page }) => {
  await open(page, "/traffic/payments");
  await preset(page, "90/10");
  const theirs = (await inForce(page, "vs", "payments")).replace("- name: versions", "- name: versions\n    timeout: 4s");
  await put(page, theirs);
  await expect(page.getByRole("alert")).toContainText("was applied elsewhere");
  await expect(apply(page)).toBeDisabled();
  await page.getByRole("button", { name: "Rebase" }).click();
  await expect(apply(page)).toBeEnabled();
  await apply(page).click();
  await expect(page.locator(".toast", { hasText: "applied" })).toBeVisible();
  const now = await inForce(page, "vs", "payments");
  expect(now).toContain("timeout: 4s");
  expect(now).toContain("weight: 90");
});

test("a roll back names the other hosts it changes and asks once", async ({ page }) => {
  const before = await revision(page);
  for (const host of ["payments", "catalog"]) {
    const text = (await inForce(page, "vs", host)).replace("- name: versions", "- name: versions\n    timeout: 5s");
    await put(page, text);
  }
  await open(page, "/traffic/payments?revisions=all");
  const row = page.locator(".revision", { has: page.getByText(`r${before}`, { exact: true }) });
  await row.hover();
  await row.getByRole("button", { name: `Roll back to r${before}` }).click();
  await expect(row).toContainText("Also changes catalog");
  await row.getByRole("button", { name: `Roll all back to r${before}` }).click();
  await expect(page.locator(".toast", { hasText: "applied" })).toBeVisible();
  expect(await inForce(page, "vs", "payments")).not.toContain("timeout: 5s");
  expect(await inForce(page, "vs", "catalog")).not.toContain("timeout: 5s");
});

test("every document of a host has a tab, and the controls follow the chosen one", async ({ page }) => {
  const second = (await inForce(page, "vs", "payments"))
    .replace(/^ {2}name: payments$/m, "  name: second")
    .replace("payments.default.svc.cluster.local", "payment-service")
    .replace("- name: versions", "- name: versions\n    timeout: 3s");
  await put(page, second);
  await open(page, "/traffic/payments");
  await page.getByRole("button", { name: /^VirtualService second/ }).click();
  await expect(page).toHaveURL(/service=second/);
  await expect(page.getByRole("textbox", { name: "Timeout, seconds" })).toHaveValue("3");
  await expect(page.locator(".services")).toContainText(/in force|shadowed by/);
  await page.getByRole("button", { name: /^VirtualService payments/ }).click();
  await expect(page.getByRole("textbox", { name: "Timeout, seconds" })).toHaveValue("");
});

test("a resource is read, deleted after one question, and brought back", async ({ page }) => {
  const before = await revision(page);
  await open(page, "/traffic");
  await page.getByRole("link", { name: "Delete ServiceEntry payment-provider" }).click();
  await expect(page.locator(".opened")).toContainText("api.stripe.com");
  await page.locator(".opened").getByRole("button", { name: "Delete" }).click();
  await expect(page.locator(".toast")).toContainText(`r${before + 1} applied`);
  expect((await page.request.get("/control/istio/serviceentry/payment-provider")).status()).toBe(404);
  await page.locator(".toast").getByRole("button", { name: "Undo" }).click();
  await expect(page.locator(".resources")).toContainText("payment-provider");
});

test("the pages of traffic are accessible and their markup is sound", async ({ page }) => {
  for (const address of ["/traffic", "/traffic/payments?view=yaml", "/traffic?resource=VirtualService%2Fdefault%2Fpayments"]) {
    await open(page, address);
    await expectAccessible(page);
    await expectSoundMarkup(page, address);
  }
});

test("as in Istio: the switch is a field of the YAML and of the route that is in force", async ({ page }) => {
  await open(page, "/traffic/payments");
  const fault = page.locator("#control-fault");
  await expect(fault).toContainText("Here they go on.");
  await fault.getByRole("switch", { name: "As in Istio" }).click();
  await expect(fault).toContainText("This route does the same.");
  await expect(page.locator(".yaml-line.added").first()).toBeVisible();
  await apply(page).click();
  await expect(page.locator(".toast", { hasText: "applied" })).toBeVisible();
  expect(await inForce(page, "vs", "payments")).not.toBe("");
  await reload(page);
  await expect(page.locator("#control-fault")).toContainText("This route does the same.");
});

test("a fault that is only written is started again from its route", async ({ page }) => {
  const delayed = (await inForce(page, "vs", "payments")).replace(
    "- name: versions",
    "- name: versions\n    fault:\n      delay:\n        percentage:\n          value: 10\n        fixedDelay: 0.2s",
  );
  await put(page, delayed);
  // Ended, it stays in the resource.
  expect((await page.request.delete("/control/faults")).ok()).toBe(true);
  expect((await page.request.post("/control/faults/release")).ok()).toBe(true);
  await open(page, "/traffic/payments");
  const fault = page.locator("#control-fault");
  await fault.getByRole("button", { name: "Start again" }).click();
  await expect(fault.locator(".fault-here")).toContainText("Delay");
  await expect(page.locator(".fault-banner")).toContainText("1 active fault");
});

test("a link holds the draft, and somebody else goes on with it", async ({ page, context, browser, baseURL }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await open(page, "/traffic/payments");
  await preset(page, "80/20");
  await page.getByRole("button", { name: "Copy a link to the draft" }).click();
  await expect(page.locator(".toast")).toContainText("Link copied");
  const link = await page.evaluate(() => navigator.clipboard.readText());
  expect(link).toContain("/traffic/payments#draft=");
  const other = await (await browser.newContext({ baseURL: baseURL ?? "" })).newPage();
  await open(other, link);
  await expect(other.locator(".split-bar")).toContainText("v1 80%");
  await expect(other.locator(".page-head")).toContainText("Draft r");
  // It is used once: what is typed next is not overwritten by it.
  expect(new URL(other.url()).hash).toBe("");
  await other.context().close();
});

test.describe("without the line", () => {
  test.use({ expectedErrors: [/ERR_|Failed to load resource|net::|Failed to fetch/] });

  test("a draft goes on while the line is down, and cannot be applied until it is back", async ({ page, line, start }) => {
    await load(page, `${line.url}/traffic/payments`);
    line.cut();
    await expect(page.locator(".app")).toHaveAttribute("data-connection", "lost");
    await preset(page, "50/50");
    await expect(page.locator(".split-bar")).toContainText("v1 50%");
    await expect(page.locator(".page-head")).toContainText("Draft r");
    await expect(page.locator(".checks .panel-head")).toContainText("not checked yet");
    await expect(apply(page)).toBeDisabled();
    const kept = () => page.evaluate(() => sessionStorage.getItem("vitrine.draft-form.payments"));
    expect(await kept()).toContain('"weight":50');
    line.lead((await start()).url);
    line.mend();
    // A line that was lost is tried again after fifteen seconds at most.
    await expect(page.locator('.app[data-connection="live"]')).toBeAttached({ timeout: 60_000 });
    await expect(page.locator(".yaml-line.added", { hasText: "weight: 50" }).first()).toBeVisible();
    await expect(page.locator(".page-head")).toContainText("Draft r");
    await expect(apply(page)).toBeEnabled();
    // What is in the text is not kept twice.
    expect(await kept()).toBeNull();
  });
});

test("a draft says how many recorded requests its weights move, and what cannot be read stops it", async ({ page }) => {
  for (let i = 0; i < 12; i += 1) await order(page, "c-1001", "p-beans");
  await open(page, "/traffic/payments");
  const summary = page.locator(".dry-run summary");
  const moved = async (weights: string): Promise<number> => {
    const weight = new RegExp(`weight: ${weights.split("/")[1]}\\b`);
    const tried = page.waitForResponse((response) =>
      response.url().includes("/ui/dry-run") && weight.test(response.request().postData() ?? ""));
    await preset(page, weights);
    await expect(page.locator(".yaml-line.added", { hasText: weight })).toBeVisible();
    const { changed } = await (await tried).json();
    await expect(summary).toContainText(`${changed} of `);
    return changed as number;
  };
  const [tenth, all] = [await moved("90/10"), await moved("0/100")];
  expect(tenth).toBeGreaterThan(0);
  expect(all).toBeGreaterThan(tenth * 5);
  await summary.click();
  await expect(page.locator(".dry-run li").first()).toContainText(/\/\S* payments v1 → payments v2/);
  // A text that is no number stays, says why, and keeps the draft from being applied.
  const timeout = page.getByRole("textbox", { name: "Timeout, seconds" });
  await timeout.pressSequentially("abc");
  await expect(page.getByText("Seconds, 0.001 to 86400")).toBeVisible();
  await timeout.press("Tab");
  await expect(timeout).toHaveValue("abc");
  await expect(apply(page)).toBeDisabled();
  await expect(page.locator(".checks .panel-head")).toContainText("A field holds what cannot be read");
  const retries = page.getByRole("textbox", { name: "Retries" });
  await retries.fill("999");
  await expect(page.getByText("Retries are 0 to 25.")).toBeVisible();
  await page.getByRole("button", { name: "Discard" }).click();
  await expect(timeout).toHaveValue("");
});

test("the tokens of Retry on close by Escape and by a press elsewhere, and cover only while they are open", async ({ page }) => {
  await open(page, "/traffic/payments");
  const more = page.getByRole("button", { name: "More", exact: true });
  const menu = page.locator(".token-menu");
  await expect(menu).toBeHidden();
  await more.click();
  await expect(menu).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(menu).toBeHidden();
  await more.click();
  await expect(menu).toBeVisible();
  await page.getByRole("heading", { name: "Timeout" }).click();
  await expect(menu).toBeHidden();
});

test("every weight of a split is readable beside the handle, however narrow its part is", async ({ page }) => {
  for (const width of [1440, 390]) {
    await page.setViewportSize({ width, height: 900 });
    await open(page, "/traffic/payments");
    const handle = page.getByRole("slider", { name: "Share of the first destination, percent" });
    for (const first of [97, 100, 86, 50, 14, 3, 0]) {
      await handle.fill(String(first));
      const labels = page.locator(".split-bar svg text.on-a, .split-bar svg text.on-b");
      await expect(labels).toHaveText([`v1 ${first}%`, `v2 ${100 - first}%`]);
      for (const label of await labels.all()) await expect(label).toBeVisible();
      await still(page);
      const bad = await page.locator(".split-bar").evaluate((bar, first) => {
        const svg = bar.querySelector("svg")!.getBoundingClientRect();
        const at = svg.left + (svg.width * first) / 100;
        const boxes = [...bar.querySelectorAll("text")].map((it) => [it.textContent, it.getBoundingClientRect()] as const);
        const found: string[] = [];
        for (const [text, box] of boxes) {
          if (box.left < svg.left - 1 || box.right > svg.right + 1) found.push(`${text} stands out`);
          const beside = box.right <= at - 6 || box.left >= at + 6 || box.top >= svg.top + 50 || box.bottom <= svg.top + 18;
          if (!beside) found.push(`${text} is under the handle`);
          for (const [other, it] of boxes) {
            const apart = text === other || it.right <= box.left || box.right <= it.left || it.bottom <= box.top + 2 || box.bottom <= it.top + 2;
            if (!apart) found.push(`${text} is on ${other}`);
          }
        }
        return found;
      }, first);
      expect(bad, `${first} at ${width}`).toEqual([]);
    }
    await page.getByRole("button", { name: "Discard" }).first().click();
  }
});

test("a long summary of a revision unfolds, by the keyboard too", async ({ page }) => {
  await open(page, "/traffic/payments");
  const first = page.locator(".revision", { hasText: "r1" }).last();
  const words = first.locator(".revision-words");
  const cut = () => words.evaluate((it) => it.scrollHeight - it.clientHeight > 2);
  await expect.poll(cut, { message: "folded" }).toBe(true);
  await first.locator("summary").focus();
  await page.keyboard.press("Enter");
  await expect(first).toContainText("Show less");
  await expect.poll(cut, { message: "unfolded" }).toBe(false);
  await expect(words).toContainText("VirtualService payments created");
});

/** A rule for catalog: the header of a customer is hashed, and the first error ejects. */
const HASHED = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata:
  name: catalog
spec:
  host: product-service
  trafficPolicy:
    loadBalancer:
      consistentHash:
        httpHeaderName: x-user-id
    outlierDetection:
      consecutive5xxErrors: 1
      baseEjectionTime: 600s
      maxEjectionPercent: 100
  subsets:
  - name: v1
    labels:
      version: v1
  - name: v2
    labels:
      version: v2
`;

test("a key finds its instance on the ring, and another one when that is killed", async ({ page }) => {
  const before = await revision(page);
  await put(page, HASHED);
  await open(page, "/traffic/catalog");
  const balancing = page.locator("#balancing");
  await expect(balancing).toContainText("consistentHash.httpHeaderName: x-user-id");
  await expect(balancing.locator(".ring-part")).toHaveCount(2);
  await balancing.getByRole("link", { name: /^DestinationRule catalog, lines/ }).click();
  await expect(page).toHaveURL(/document=DestinationRule/);
  await balancing.getByRole("textbox", { name: /^Where does the .* go\?$/ }).fill("alice");
  await balancing.getByRole("button", { name: "Find" }).click();
  const answer = balancing.locator(".balance-answer");
  await expect(answer).toContainText(/alice goes to catalog-v1-\d\./);
  const instance = /catalog-v1-\d/.exec(await answer.innerText())![0];
  const other = instance === "catalog-v1-1" ? "catalog-v1-2" : "catalog-v1-1";

  // What moves is drawn for the one that is chosen, with the keyboard, and is in the address.
  const leaves = balancing.getByRole("link", { name: new RegExp(`^If ${instance} left, .*all of them its own`) });
  await leaves.focus();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(new RegExp(`left=${instance}`));
  await expect(balancing.locator(".ring-move").first()).toBeVisible();
  await expect(answer).toContainText(`After ${instance} has left it goes to ${other}`);
  await expectAccessible(page);

  // The calls of that customer really go there.
  const call = () => page.request.get("/api/v1/products", { headers: { "x-user-id": "alice" } });
  const row = (name: string) => balancing.locator("tbody tr", { has: page.getByText(name, { exact: true }) });
  const picks = async (name: string) => {
    const told = await (await page.request.get("/control/balance/catalog?pool=v1")).json();
    return told.shown.instances.find((one: { instance: string }) => one.instance === name).picked;
  };
  for (let i = 0; i < 5; i += 1) expect((await call()).status()).toBe(200);
  expect(await picks(instance)).toBeGreaterThanOrEqual(5);

  const fault = await inject(page, { kind: "kill_instance", to: "catalog", instance });
  await call();
  await expect(row(instance)).toContainText("killed, ejected");
  await expect(row(instance).locator("td").nth(1)).toHaveText("0%");
  await expect(row(other).locator("td").nth(1)).toHaveText("100%");
  await expect(answer).toContainText(`alice goes to ${other}, in place of ${instance}, which is ejected`);
  await expect(balancing.getByRole("img")).toHaveAccessibleDescription(new RegExp(`${instance} \\(out of the pool\\) has 0%`));
  expect((await call()).status()).toBe(200);

  expect((await page.request.delete(`/control/faults/${fault}`)).ok()).toBe(true);
  await back(page, before);
  await expect(balancing).toContainText("Istio's default");
  await expect(balancing.locator(".ring")).toHaveCount(0);
});

test("the ring has room on a phone", async ({ page }) => {
  await put(page, HASHED);
  await page.setViewportSize({ width: 390, height: 844 });
  await open(page, "/traffic/catalog?key=alice&left=catalog-v1-1");
  const balancing = page.locator("#balancing");
  await expect(balancing.locator(".ring")).toBeVisible();
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
  await still(page);
  const [section, ring] = [await balancing.boundingBox(), await balancing.locator(".ring").boundingBox()];
  expect(ring!.x + ring!.width).toBeLessThanOrEqual(section!.x + section!.width);
  await expectSoundMarkup(page, "/traffic/catalog?key=alice&left=catalog-v1-1");
});

test("on a phone the head of the routes is one line of whole words", async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await open(page, "/traffic/payments");
  const head = page.locator(".routes .panel-head");
  const [title, hosts] = [head.getByRole("heading", { name: "Routes" }), head.locator(".hint")];
  await expect(hosts).toHaveText(/^\d+ hosts$/);
  await still(page);
  const [a, b, select] = [await title.boundingBox(), await hosts.boundingBox(), await page.locator(".route-select").boundingBox()];
  if (!a || !b || !select) throw new Error("the head is not there");
  expect(Math.max(a.height, b.height), "one line each").toBeLessThanOrEqual(20);
  expect(Math.abs(a.y + a.height / 2 - b.y - b.height / 2), "beside each other").toBeLessThanOrEqual(4);
  expect(b.x).toBeGreaterThanOrEqual(a.x + a.width);
  expect(select.x).toBeGreaterThanOrEqual(b.x + b.width);
  expect(select.x + select.width).toBeLessThanOrEqual(390);
});
