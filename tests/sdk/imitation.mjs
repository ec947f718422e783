// Starts (or finds) an imitation, and steers it through its control API.

import { spawn } from "node:child_process"
import { createServer } from "node:http"
import { createInterface } from "node:readline"

/** Starts the binary of NOTION_IMITATION_BIN, or uses the server at NOTION_IMITATION_URL. */
export async function findImitation() {
  if (process.env.NOTION_IMITATION_URL) {
    return imitationAt(process.env.NOTION_IMITATION_URL, () => {})
  }
  const binary = process.env.NOTION_IMITATION_BIN
  if (!binary) throw new Error("set NOTION_IMITATION_URL or NOTION_IMITATION_BIN")
  const child = spawn(binary, ["--stop-with-stdin"], { stdio: ["pipe", "pipe", "inherit"] })
  const [line] = await new Promise((resolve, reject) => {
    child.once("error", reject)
    child.once("exit", code => reject(new Error(`the imitation ended with ${code}`)))
    createInterface({ input: child.stdout }).once("line", first => resolve([first]))
  })
  return imitationAt(JSON.parse(line).base_url, () => child.stdin.end())
}

async function imitationAt(baseUrl, stop) {
  const control = async (method, path, body) => {
    const response = await fetch(`${baseUrl}/_control${path}`, {
      method,
      body: body === undefined ? undefined : JSON.stringify(body),
    })
    const answer = await response.json()
    if (!response.ok) throw new Error(`${method} ${path}: ${answer.error}`)
    return answer
  }
  const { token, bot, person } = await control("GET", "")
  return { baseUrl, token, bot, person, control, stop }
}

/** A receiver of webhooks that keeps what arrives. */
export async function startReceiver() {
  const received = []
  const server = createServer(async (request, response) => {
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    received.push({ headers: request.headers, body: Buffer.concat(chunks) })
    response.end("{}")
  })
  await new Promise(resolve => server.listen(0, "127.0.0.1", resolve))
  const wait = async count => {
    for (let tries = 0; received.length < count; tries++) {
      if (tries > 500) throw new Error(`${received.length} of ${count} deliveries`)
      await new Promise(resolve => setTimeout(resolve, 10))
    }
    return received
  }
  return { url: `http://127.0.0.1:${server.address().port}/`, wait, stop: () => server.close() }
}
