// Notion's official client against the imitation: if the client is content, so is our own.

import assert from "node:assert/strict"
import { after, before, beforeEach, test } from "node:test"
import {
  APIErrorCode,
  Client,
  collectPaginatedAPI,
  isFullDatabase,
  isFullDataSource,
  isFullPage,
  isFullUser,
  isNotionClientError,
  iterateAllDataSourceRows,
  iteratePaginatedAPI,
  verifyWebhookSignature,
} from "@notionhq/client"
import { findImitation, startReceiver } from "./imitation.mjs"

let notion, client, table

const title = text => ({ title: [{ text: { content: text } }] })
const silent = () => {}

function connect(options = {}) {
  return new Client({
    auth: notion.token,
    baseUrl: notion.baseUrl,
    notionVersion: "2026-03-11",
    logger: silent,
    ...options,
  })
}

before(async () => {
  notion = await findImitation()
  client = connect()
})
after(() => notion?.stop())

beforeEach(async () => {
  await notion.control("DELETE", "/failures")
  await notion.control("PATCH", "/switches", {
    query_cap: 10000, requests_per_minute: 0, rate_window_ms: 60000,
  })
  table = await notion.control("POST", "/data_sources", {
    title: "Checked",
    properties: {
      Name: { title: {} },
      Price: { number: {} },
      Text: { rich_text: {} },
      Stage: { status: { options: [{ name: "To do" }, { name: "Done" }] }, id: "U`;C" },
      Tags: { multi_select: { options: [] } },
    },
  })
  await notion.control("PATCH", `/data_sources/${table.id}/schema`, {
    Peers: { relation: { data_source_id: table.id } },
  })
})

async function fill(count, stepMs = 60000) {
  return notion.control("POST", "/pages/bulk", {
    data_source: table.id, count, step_ms: stepMs, created_time: "2026-11-20T10:00:00Z",
    properties: { Name: title("Row {n}"), Price: { number: "{n}" } },
  })
}

async function refusal(promise) {
  try {
    await promise
  } catch (error) {
    assert.ok(isNotionClientError(error), String(error))
    return error
  }
  return assert.fail("this should have been refused")
}

test("users.me is the bot", async () => {
  const me = await client.users.me({})
  assert.ok(isFullUser(me))
  assert.deepEqual([me.type, me.id], ["bot", notion.bot])
})

test("a database leads to its data source and schema", async () => {
  const database = await client.databases.retrieve({ database_id: table.database })
  assert.ok(isFullDatabase(database))
  assert.deepEqual(database.data_sources, [{ id: table.id, name: "Checked" }])
  const source = await client.dataSources.retrieve({ data_source_id: table.id })
  assert.ok(isFullDataSource(source))
  assert.equal(source.properties.Stage.id, "U%60%3BC")
})

test("schemas are updated", async () => {
  const source = await client.dataSources.update({
    data_source_id: table.id,
    properties: { Price: { name: "Cost" }, Text: null, Extra: { checkbox: {} } },
  })
  assert.deepEqual(Object.keys(source.properties).sort(), ["Cost", "Extra", "Name", "Peers", "Stage", "Tags"])
})

test("pages are created, read, updated, moved and trashed", async () => {
  const page = await client.pages.create({
    parent: { type: "data_source_id", data_source_id: table.id },
    properties: { Name: title("One"), Price: { number: 19.555 } },
  })
  assert.ok(isFullPage(page))
  const updated = await client.pages.update({
    page_id: page.id,
    properties: { "U%60%3BC": { status: { name: "Done" } }, Tags: { multi_select: [{ name: "new" }] } },
  })
  assert.equal(updated.properties.Stage.status.name, "Done")
  assert.equal(updated.last_edited_by.id, notion.bot)
  const read = await client.pages.retrieve({ page_id: page.id, filter_properties: ["title", "U%60%3BC"] })
  assert.deepEqual(Object.keys(read.properties).sort(), ["Name", "Stage"])
  const other = await notion.control("POST", "/data_sources", { title: "Other" })
  const moved = await client.pages.move({ page_id: page.id, parent: { data_source_id: other.id } })
  assert.equal(moved.parent.data_source_id, other.id)
  const trashed = await client.pages.update({ page_id: page.id, in_trash: true })
  assert.equal(trashed.in_trash, true)
  await client.blocks.delete({ block_id: page.id })
})

test("results are paged", async () => {
  await fill(230)
  const query = args => client.dataSources.query(args)
  const all = await collectPaginatedAPI(query, { data_source_id: table.id })
  assert.equal(new Set(all.map(page => page.id)).size, 230)
  const names = []
  const sorted = iteratePaginatedAPI(query, {
    data_source_id: table.id,
    page_size: 50,
    filter: { property: "Price", number: { greater_than: 200 } },
    sorts: [{ property: "Price", direction: "descending" }],
    filter_properties: ["title"],
  })
  for await (const page of sorted) names.push(page.properties.Name.title[0].plain_text)
  assert.equal(names.length, 30)
  assert.deepEqual(names.slice(0, 2), ["Row 230", "Row 229"])
})

test("all rows are read past the cap", async () => {
  await notion.control("PATCH", "/switches", { query_cap: 100 })
  await fill(350, 7000)
  const capped = await client.dataSources.query({ data_source_id: table.id })
  assert.equal(capped.request_status.incomplete_reason, "query_result_limit_reached")
  const seen = new Set()
  for await (const row of iterateAllDataSourceRows(client, { data_source_id: table.id })) seen.add(row.id)
  assert.equal(seen.size, 350)
})

test("more rows in one minute than the cap cannot be windowed", async () => {
  await notion.control("PATCH", "/switches", { query_cap: 20 })
  await fill(30, 0)
  const read = async () => {
    for await (const row of iterateAllDataSourceRows(client, { data_source_id: table.id })) assert.ok(row.id)
  }
  await assert.rejects(read, /cannot make progress/)
})

test("cut properties are complete by their own endpoint", async () => {
  const peers = await fill(60)
  const page = await client.pages.create({
    parent: { data_source_id: table.id },
    properties: { Peers: { relation: peers.map(id => ({ id })) } },
  })
  const { Peers } = page.properties
  assert.deepEqual([Peers.relation.length, Peers.has_more], [25, true])
  const items = await collectPaginatedAPI(args => client.pages.properties.retrieve(args), {
    page_id: page.id, property_id: Peers.id, page_size: 20,
  })
  assert.deepEqual(items.map(item => item.relation.id), peers)
  const status = await client.pages.properties.retrieve({ page_id: page.id, property_id: "U%60%3BC" })
  assert.deepEqual([status.object, status.type], ["property_item", "status"])
})

test("errors have the codes that the client knows", async () => {
  const page_id = (await fill(1))[0]
  const wrong = { page_id, properties: { Stage: { status: { name: "Unheard of" } } } }
  assert.equal((await refusal(client.pages.update(wrong))).code, APIErrorCode.ValidationError)
  const missing = client.pages.retrieve({ page_id: "7855b161-f63e-4683-b7c7-8ca6e97ee266" })
  const notFound = await refusal(missing)
  assert.equal(notFound.code, APIErrorCode.ObjectNotFound)
  assert.equal(notFound.additional_data.integration_id, notion.bot)
  assert.ok(notFound.request_id)
  const stranger = connect({ auth: "ntn_stranger" })
  assert.equal((await refusal(stranger.users.me({}))).code, APIErrorCode.Unauthorized)
  const impatient = connect({ retry: false })
  for (const [status, code] of [
    [409, APIErrorCode.ConflictError],
    [429, APIErrorCode.RateLimited],
    [500, APIErrorCode.InternalServerError],
    [503, APIErrorCode.ServiceUnavailable],
    [504, APIErrorCode.GatewayTimeout],
    [403, APIErrorCode.RestrictedResource],
  ]) {
    await notion.control("POST", "/failures", { operation: "users.me", status })
    assert.equal((await refusal(impatient.users.me({}))).code, code)
  }
})

test("a limited client waits and gets through", async () => {
  await notion.control("PATCH", "/switches", { requests_per_minute: 2, rate_window_ms: 1500 })
  await notion.control("POST", "/rate_limits/reset")
  await notion.control("DELETE", "/requests")
  const started = Date.now()
  for (let count = 0; count < 3; count++) await client.users.me({})
  const { by_status } = await notion.control("GET", "/requests/counts")
  assert.deepEqual([by_status["200"], by_status["429"] >= 1], [3, true])
  assert.ok(Date.now() - started >= 900, "it kept to Retry-After")
})

test("an overloaded server is asked again, a failed write is not", async () => {
  await notion.control("POST", "/failures", { operation: "users.me", status: 529, retry_after: 1 })
  await client.users.me({})
  await notion.control("POST", "/failures", { operation: "pages.create", status: 503, when: "after" })
  const error = await refusal(client.pages.create({ parent: { data_source_id: table.id }, properties: {} }))
  const committed = error.additional_data.committed_resource_id
  assert.ok(isFullPage(await client.pages.retrieve({ page_id: committed })))
})

test("deliveries verify with the client's own function", async () => {
  const receiver = await startReceiver()
  try {
    const { id, verification_token: token } =
      await notion.control("POST", "/subscriptions", { url: receiver.url, active: false })
    await notion.control("POST", `/subscriptions/${id}/handshake`)
    await notion.control("POST", `/subscriptions/${id}/verify`, { verification_token: token })
    await client.pages.create({ parent: { data_source_id: table.id }, properties: { Name: title("Told") } })
    await notion.control("PATCH", `/subscriptions/${id}`, { wrong_signature_probability: 1 })
    await client.pages.create({ parent: { data_source_id: table.id }, properties: {} })
    const [handshake, told, wrong] = await receiver.wait(3)
    const verified = async ({ headers, body }) => verifyWebhookSignature({
      body: body.toString(), signature: headers["x-notion-signature"], verificationToken: token,
    })
    assert.deepEqual(JSON.parse(handshake.body), { verification_token: token })
    assert.deepEqual(
      [await verified(handshake), await verified(told), await verified(wrong)],
      [true, true, false],
    )
    const event = JSON.parse(told.body)
    assert.equal(event.type, "page.created")
    assert.equal(event.data.parent.data_source_id, table.id)
    await notion.control("DELETE", `/subscriptions/${id}`)
  } finally {
    receiver.stop()
  }
})

test("the older version speaks of archived, too", async () => {
  const older = connect({ notionVersion: "2025-09-03" })
  const page = await older.pages.create({ parent: { data_source_id: table.id }, properties: {} })
  assert.equal(page.archived, false)
})
