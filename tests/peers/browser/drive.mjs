// A headless Chromium for the stories (tests/src/browser.rs), which tell it what to do in lines of JSON:
//
//   node drive.mjs /usr/bin/chromium /where/pictures/go
//
// Each line is one order, {"do": "open", "page": "ann", "url": "https://shop.example/"}, and has one line as its
// answer: {"done": …}, or {"error": "…"} with what the page showed. When its input ends, so does the browser.
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const [program, pictures] = process.argv.slice(2);
const patience = 15_000;

const browser = await chromium.launch({
  executablePath: program,
  // In a pod of the tests everybody is root, and there is no other user to become.
  chromiumSandbox: false,
  args: ['--disable-gpu'],
  timeout: patience,
});
const people = new Map();
const pages = new Map();

const orders = {
  // Somebody with cookies of their own.
  async person({ person }) {
    const context = await browser.newContext();
    context.setDefaultTimeout(patience);
    people.set(person, context);
  },

  async page({ person, page }) {
    const opened = await people.get(person).newPage();
    const seen = [];
    opened.on('response', async (response) => {
      if (response.request().isNavigationRequest()) {
        seen.push({ status: response.status(), url: response.url() });
      }
    });
    pages.set(page, { opened, seen });
  },

  async open({ page, url }) {
    const { opened, seen } = pages.get(page);
    seen.length = 0;
    await opened.goto(url);
    return shown(page);
  },

  async reload({ page }) {
    pages.get(page).seen.length = 0;
    await pages.get(page).opened.reload();
    return shown(page);
  },

  async fill({ page, selector, text }) {
    await pages.get(page).opened.fill(selector, text);
  },

  // Ends when the page it leads to is there.
  async click({ page, selector }) {
    const { opened, seen } = pages.get(page);
    seen.length = 0;
    const loaded = opened.waitForEvent('load');
    await Promise.all([loaded, opened.click(selector)]);
    return shown(page);
  },

  // A form of this page, with no fields, sent by its own button.
  async submit({ page, url, method }) {
    const { opened, seen } = pages.get(page);
    seen.length = 0;
    const loaded = opened.waitForEvent('load');
    await Promise.all([loaded, opened.evaluate(([url, method]) => {
      const form = document.createElement('form');
      form.action = url;
      form.method = method;
      document.body.append(form);
      form.submit();
    }, [url, method])]);
    return shown(page);
  },

  async shown({ page }) {
    return shown(page);
  },

  // What scripts of the page ask for, all at once.
  async fetch({ page, requests }) {
    return pages.get(page).opened.evaluate((requests) => Promise.all(requests.map(async ({ url, ...more }) => {
      try {
        const answer = await fetch(url, more);
        const headers = [...answer.headers];
        return { status: answer.status, redirected: answer.redirected, headers, body: await answer.text() };
      } catch (error) {
        return { status: 0, redirected: false, headers: [], body: String(error) };
      }
    })), requests);
  },

  async cookies({ person, url }) {
    return people.get(person).cookies(url);
  },

  async setCookies({ person, cookies }) {
    await people.get(person).addCookies(cookies);
  },

  async forgetCookies({ person }) {
    await people.get(person).clearCookies();
  },
};

// The page as its reader sees it, and the answers that led to it since the last step, each with its status.
async function shown(page) {
  const { opened, seen } = pages.get(page);
  const text = await opened.evaluate(() => document.body?.innerText ?? '');
  return { url: opened.url(), status: seen.at(-1)?.status ?? 0, text, steps: [...seen] };
}

async function failed(order, error) {
  const page = pages.get(order.page);
  let where = '';
  if (page) {
    const picture = `${pictures}-${order.page.replaceAll('/', '-')}.png`;
    const text = await shown(order.page).catch(() => undefined);
    await page.opened.screenshot({ path: picture, timeout: 5_000 }).catch(() => undefined);
    where = `\nthe page: ${JSON.stringify(text, null, 1)}\nits picture: ${picture}`;
  }
  return `${error.message}${where}`;
}

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  let answer;
  try {
    answer = { done: (await orders[order.do](order)) ?? null };
  } catch (error) {
    answer = { error: await failed(order, error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
