// Use the generated types against a running service, as their user would: ADDRESS KEY.

import createClient from "openapi-fetch";
import type { components, operations, paths } from "./api.js";

declare const process: { argv: string[] };

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
type Schemas = components["schemas"];

// Every operation whose success is JSON has a type for it that is neither `any` nor `unknown`.
type Success<O> = O extends { responses: infer R }
  ? { [S in keyof R]: S extends 200 | 201 ? R[S] : never }[keyof R]
  : never;
type Json<R> = R extends { content: infer C }
  ? { [M in keyof C]: M extends `${string}/json` | `${string}+json` ? C[M] : never }[keyof C]
  : never;
type Untyped = {
  [Name in keyof operations]: unknown extends Json<Success<operations[Name]>> ? Name : never;
}[keyof operations];
const untyped: Same<Untyped, never> = true;
const notice: Same<Json<Success<operations["get_notice"]>>, Schemas["Notice"]> = true;

function check(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

const [address, key] = process.argv.slice(2);
check(address !== undefined && key !== undefined && untyped && notice, "usage: ADDRESS KEY");
const client = createClient<paths>({ baseUrl: address });
const crossing_id = "sumskas-losa";

const status = await client.GET("/v1/crossings/{crossing_id}/status", {
  params: { path: { crossing_id } },
});
check(status.data?.status === "closed", "the status");
const since: string | null = status.data.since;
check(since !== null && since.endsWith("Z"), "since when");

const borders = await client.GET("/v1/borders", { params: { query: { country: "LT", limit: 1 } } });
check(borders.data?.items[0]?.countries.includes("LT") === true, "a border of Lithuania");

const missing = await client.GET("/v1/crossings/{crossing_id}", {
  params: { path: { crossing_id: "no-such-crossing" } },
});
check(missing.error?.type === "/problems/crossing-not-found", "the problem");

const body: Schemas["NewDecision"] = {
  crossings: [crossing_id],
  sides: ["LT"],
  status: "closed",
  reason: { code: "weather" },
  citations: [{ source: { title: "Crossing closed by snow" } }],
};
const decided = await client.POST("/v1/events", {
  body,
  headers: { Authorization: `Bearer ${key}` },
});
check(decided.data !== undefined && decided.response.status === 201, "the decision");
