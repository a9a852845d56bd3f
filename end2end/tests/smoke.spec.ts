// The first page comes up, hydrates without a complaint, and everyone can read it.
import { expect, expectAccessible, expectSoundMarkup, open, test } from "../fixtures.ts";

test.use({ load: 2 });

test("the first page opens without errors and is accessible in both themes", async ({ page }) => {
  for (const colorScheme of ["dark", "light"] as const) {
    await page.emulateMedia({ colorScheme });
    await open(page, "/");
    await expect(page).toHaveTitle(/Vitrine/);
    await expectAccessible(page);
  }
});

test("the browser has nothing to repair in the markup of the first page", async ({ page }) => {
  await open(page, "/");
  await expectSoundMarkup(page, "/");
});
