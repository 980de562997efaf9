// Talking to the server: JSON in and out, a time-out on everything, errors as sentences.

const TIMEOUT_MS = 10_000;

/** The server answered, and did not do it; the message is a sentence for the person. */
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }

  /** Whether asking again may help. */
  get passing() {
    return this.status >= 500 || this.status === 408 || this.status === 429;
  }
}

/** No answer came. */
export class Unreachable extends Error {
  constructor() {
    super("The review server does not answer. Is mmal review still running?");
  }
}

/** GET; throws Refused or Unreachable. */
export async function get(path) {
  return answer(path, { method: "GET" });
}

/** POST of JSON; throws Refused or Unreachable. */
export async function post(path, body = {}) {
  const headers = { "Content-Type": "application/json" };
  return answer(path, { method: "POST", headers, body: JSON.stringify(body) });
}

/** Where a session's data are. */
export function sessionPath(name, rest = "") {
  return `/api/sessions/${encodeURIComponent(name)}${rest}`;
}

async function answer(path, options) {
  let response;
  let text;
  try {
    response = await fetch(path, { ...options, signal: AbortSignal.timeout(TIMEOUT_MS) });
    text = await response.text();
  } catch {
    throw new Unreachable();
  }
  const data = parsed(text);
  if (!response.ok) throw new Refused(sentence(response.status, data), response.status);
  return data;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function sentence(status, data) {
  if (status === 401) return "Your access has ended. Open the link that mmal review printed once more.";
  const detail = data?.detail ?? data?.error;
  if (typeof detail === "string") return detail;
  if (Array.isArray(detail) && detail[0]?.msg) return detail[0].msg;
  return `The server could not do that (${status}).`;
}
