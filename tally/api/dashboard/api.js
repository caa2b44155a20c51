/** Asks the API, under whatever path this page is served. */

/** Where the service is mounted: this file is in `dashboard/` below it. */
export const ROOT = new URL("../", import.meta.url);

/** @typedef {[string, string | number][]} Fields */

/** An answer that is none: `status` is HTTP's, or 0 where the server did not answer at all. */
export class Failure extends Error {
  /**
   * @param {number} status
   * @param {string} detail
   */
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** The server's clock against ours, in seconds. */
let ahead = 0;

/** Return the server's time, in unix seconds. */
export function now() {
  return Date.now() / 1000 + ahead;
}

/**
 * Return the address of a path of the API.
 * @param {string} path without its first slash
 * @param {Fields} [fields]
 */
export function address(path, fields = []) {
  const url = new URL(path, ROOT);
  url.search = new URLSearchParams(fields.map(([name, value]) => [name, String(value)])).toString();
  return url;
}

/**
 * Return the JSON of an answer.
 * @param {URL} url
 * @param {AbortSignal} [signal]
 * @throws {Failure}
 */
export async function get(url, signal) {
  const response = await ask(url, { signal });
  try {
    return await response.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Failure(0, "the answer broke off");
  }
}

/**
 * Return the names in an answer, as many as there are in so many bytes: whoever is not needed is not waited for.
 * @param {URL} url
 * @param {number} bytes
 * @param {AbortSignal} signal
 * @returns {Promise<{ found: string[], isPart: boolean }>}
 * @throws {Failure}
 */
export async function names(url, bytes, signal) {
  const response = await ask(url, { signal });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
    text += part.value;
    if (text.length < bytes) continue;
    await reader?.cancel();
    return { found: JSON.parse(`${text.slice(0, text.lastIndexOf('","'))}"]`), isPart: true };
  }
  return { found: JSON.parse(text), isPart: false };
}

/**
 * Return the path of what answers for an address, which the answer's header names.
 * @param {URL} url
 * @param {AbortSignal} signal
 * @throws {Failure}
 */
export async function locate(url, signal) {
  const response = await ask(url, { method: "HEAD", signal });
  return new URL(response.headers.get("content-location") ?? url, url).pathname;
}

/**
 * Create, change or delete something.
 * @param {"POST" | "PATCH" | "DELETE"} method
 * @param {string} path
 * @param {object | null} body
 * @param {string} token empty: what the browser knows
 * @param {Fields} [fields]
 * @throws {Failure}
 */
export async function change(method, path, body, token, fields = []) {
  /** @type {Record<string, string>} */
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  // With a token of ours the browser has no part in it, and does not ask for a password when it is wrong.
  const credentials = token ? "omit" : "same-origin";
  try {
    await ask(address(path, fields), { method, headers, credentials, body: body && JSON.stringify(body) });
  } catch (error) {
    // The API tells how a program gives a token, which a form has done.
    if (token && error instanceof Failure && error.status === 401) throw new Failure(error.status, "this is not the write token (TALLY_WRITE_TOKEN)");
    throw error;
  }
}

/**
 * @param {URL} url
 * @param {RequestInit} options
 */
async function ask(url, options) {
  let response;
  try {
    response = await fetch(url, { cache: "no-cache", credentials: "same-origin", ...options });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Failure(0, "the server does not answer");
  }
  learnClock(response.headers.get("date"));
  if (!response.ok) throw new Failure(response.status, await detail(response));
  return response;
}

/** @param {string | null} date */
function learnClock(date) {
  const told = date ? Date.parse(date) / 1000 : NaN;
  const difference = told - Date.now() / 1000;
  // The header has whole seconds: less than that tells nothing.
  if (Number.isFinite(difference) && Math.abs(difference - ahead) > 2) ahead = Math.abs(difference) > 2 ? difference : 0;
}

/** @param {Response} response */
async function detail(response) {
  try {
    return String((await response.json()).detail);
  } catch {
    return `the server answered ${response.status}`;
  }
}
