// What journeys do to the shop beside the page: calls, orders, faults, breakers. Each of these is over when it
// returns: the order has come to its end, and the spans of all of it are stored.
import { type APIResponse, type Page, expect } from "@playwright/test";

/** An order that came to its end. */
export type Order = {
  /** Such as ord-AB12CD34. */
  id: string;
  /** Id of its trace. */
  trace: string;
  /** `confirmed` or `cancelled`. */
  status: string;
};

/** How long the gateway waits for the end of an order at most, seconds. */
const WAIT_S = 30;

/** What ends last in the trace of an order, by its state. */
const LAST: Record<string, string[]> = {
  confirmed: ["two-phase commit payment", "send order.confirmed", "POST /api/v1/orders"],
  cancelled: ["two-phase commit payment", "send inventory.released", "POST /api/v1/orders"],
};

/** The id of the trace that an answer names. */
export function traceOf(answer: APIResponse): string {
  const id = (answer.headers()["traceresponse"] ?? "").split("-")[1] ?? "";
  expect(id, "the trace of an answer").toMatch(/^[0-9a-f]{32}$/);
  return id;
}

/** Waits until spans of these operations are stored in a trace. */
export async function expectSpans(page: Page, trace: string, operations: string[]): Promise<void> {
  const missing = async () => {
    const answer = await page.request.get(`/traces/${trace}/jaeger.json`);
    if (answer.status() !== 200) return operations;
    const told = (await answer.json()) as { data: { spans: { operationName: string }[] }[] };
    const ended = new Set(told.data.flatMap(({ spans }) => spans).map((span) => span.operationName));
    return operations.filter((operation) => !ended.has(operation));
  };
  await expect.poll(missing, { message: `what has not ended in trace ${trace}` }).toEqual([]);
}

/** Places an order and waits for its end; its trace grows no more. */
export async function order(page: Page, user = "c-1001", product = "p-moka", quantity = 1): Promise<Order> {
  const answer = await page.request.post("/api/v1/orders", {
    data: { user_id: user, items: [{ product_id: product, quantity }] },
    headers: { prefer: `wait=${WAIT_S}` },
  });
  const told = (await answer.json()) as { order_id: string; status: string };
  const last = LAST[told.status];
  expect(last, `the end of an order: ${JSON.stringify(told)}`).toBeDefined();
  const trace = traceOf(answer);
  await expectSpans(page, trace, last ?? []);
  return { id: told.order_id, trace, status: told.status };
}

/** Places an order of Ada's and answers its id at once. */
export async function begin(page: Page): Promise<string> {
  const answer = await page.request.post("/api/v1/orders", {
    data: { user_id: "c-1001", items: [{ product_id: "p-moka", quantity: 1 }] },
  });
  expect(answer.status(), await answer.text()).toBe(202);
  return ((await answer.json()) as { order_id: string }).order_id;
}

/** Looks at a product, which calls catalog and recommendations, and answers the id of the trace. */
export async function browse(page: Page): Promise<string> {
  const answer = await page.request.get("/api/v1/products/p-moka");
  expect(answer.status()).toBe(200);
  const trace = traceOf(answer);
  await expectSpans(page, trace, ["GET /api/v1/products/{id}"]);
  return trace;
}

/** Gives the pages something to show: an order that was paid, one that was not, a product and a customer. */
export async function live(page: Page): Promise<void> {
  expect((await order(page, "c-1001", "p-moka", 2)).status).toBe("confirmed");
  expect((await order(page, "c-1042", "p-knife")).status).toBe("cancelled");
  await browse(page);
  expect((await page.request.get("/api/v1/users/c-1001")).status()).toBe(200);
}

/** Injects a fault that outlasts the journey and answers its id. */
export async function inject(page: Page, fault: Record<string, unknown>): Promise<string> {
  // A fault on an instance has no share.
  const share = fault.kind === "kill_instance" ? {} : { percent: 100 };
  const data = { ...share, ttl_s: 3_600, ...fault };
  const answer = await page.request.post("/control/faults", { data });
  expect(answer.status(), await answer.text()).toBe(201);
  return ((await answer.json()) as { id: string }).id;
}

/** Tells a breaker something: `"reset"`, `{ force_open: 60 }`, thresholds. */
export async function tellBreaker(page: Page, id: string, change: unknown): Promise<void> {
  const answer = await page.request.post(`/control/breakers/${encodeURIComponent(id)}`, {
    data: JSON.stringify(change),
    headers: { "content-type": "application/json" },
  });
  expect(answer.status(), await answer.text()).toBe(200);
}
