// A headless Chromium for the stories (tests/src/browser.rs), which tell it what to do in lines of JSON:
//
//   node drive.mjs /usr/bin/chromium /where/pictures/go
//
// Each line is one order, {"do": "open", "page": "ann", "url": "https://shop.example/"}, and has one line as its
// answer: {"done": …}, or {"error": "…"} with what the page showed. When its input ends, so does the browser.
import { readFileSync } from 'node:fs';
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
  async person({ person, looks }) {
    const context = await browser.newContext(looks);
    context.setDefaultTimeout(patience);
    people.set(person, context);
  },

  async page({ person, page }) {
    const opened = await people.get(person).newPage();
    const seen = [];
    const complaints = [];
    opened.on('pageerror', (error) => complaints.push(`error: ${error.message}`));
    // Refusals by a Content-Security-Policy are among these.
    opened.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') complaints.push(`${message.type()}: ${message.text()}`);
    });
    opened.on('response', async (response) => {
      if (response.request().isNavigationRequest()) {
        seen.push({ status: response.status(), url: response.url() });
      }
    });
    pages.set(page, { opened, seen, complaints });
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

  // Clicks where no page follows.
  async press({ page, selector }) {
    await pages.get(page).opened.click(selector);
  },

  // A key, as the keyboard has it: what has the focus then, as a screen reader would call it.
  async key({ page, key }) {
    const { opened } = pages.get(page);
    await opened.keyboard.press(key);
    return opened.evaluate(() => {
      const { tagName, id, textContent, ariaLabel } = document.activeElement;
      return `${tagName.toLowerCase()}${id && `#${id}`} ${(ariaLabel ?? textContent).trim().slice(0, 60)}`;
    });
  },

  // Until something is there and seen; its text.
  async await({ page, selector }) {
    const found = pages.get(page).opened.locator(selector).first();
    await found.waitFor();
    return found.evaluate((element) => element.innerText ?? element.textContent);
  },

  async count({ page, selector }) {
    return pages.get(page).opened.locator(selector).count();
  },

  // From now on scripts of the page get this answer, as JSON.
  async pretend({ page, url, answer }) {
    await pages.get(page).opened.route(url, (route) => route.fulfill({ json: answer }));
  },

  // From now on they get none.
  async cut({ page, url }) {
    await pages.get(page).opened.route(url, (route) => route.abort());
  },

  // What the console said that is no mere information, and what was thrown.
  async complaints({ page }) {
    return pages.get(page).complaints;
  },

  // What axe-core finds, each with where it is. The page's own policy does not hold for what a debugger runs.
  async axe({ page }) {
    const { opened } = pages.get(page);
    const session = await opened.context().newCDPSession(opened);
    const run = async (expression) => {
      const { result, exceptionDetails } = await session.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    };
    await run(`${readFileSync(new URL('node_modules/axe-core/axe.min.js', import.meta.url), 'utf8')};0`);
    const found = await run('axe.run().then(({ violations }) => violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.target).join(" ")} ${nodes[0].failureSummary}`))');
    await session.detach();
    return found;
  },

  // How far the page is wider than what is seen of it.
  async overhang({ page }) {
    return pages.get(page).opened.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  },

  async picture({ page, path }) {
    await pages.get(page).opened.screenshot({ path });
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
