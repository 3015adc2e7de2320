// Compiled by a test with types that are generated from the OpenAPI document. It is not run.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Schemas = components["schemas"];

const client = createClient<paths>({ baseUrl: "http://127.0.0.1:8080" });

function explain(error: Schemas["Error"]): string {
  const reasons: (string | undefined)[] = error.details.map((detail) => detail.reason);
  const fields = error.details.flatMap((detail) => detail.fieldViolations ?? []);
  const isMissing: boolean = error.status === "NOT_FOUND";
  return [error.message, isMissing, ...reasons, ...fields.map((field) => field.field)].join(" ");
}

export async function register(username: string, password: string): Promise<string> {
  const { data, error } = await client.POST("/v1/users", { body: { username, password } });
  if (error !== undefined) {
    return explain(error);
  }
  return data.userId ?? "";
}

export async function refusedByTheCompiler(): Promise<void> {
  // @ts-expect-error A password is required.
  await client.POST("/v1/users", { body: { username: "ada" } });
  // @ts-expect-error The path needs its parameter.
  await client.GET("/v1/users/{user_id}", {});
}

// GET and PATCH have one path, whose parameter has one name.
export async function rename(user_id: string, displayName: string): Promise<Schemas["agon.auth.v1.User"] | undefined> {
  const params = { path: { user_id } };
  const read = await client.GET("/v1/users/{user_id}", { params });
  const changed = await client.PATCH("/v1/users/{user_id}", { params, body: { displayName, etag: read.data?.etag } });
  return changed.data;
}

// The path names the user, so the body does not.
export async function suspend(user_id: string): Promise<boolean> {
  const params = { path: { user_id } };
  const suspended = await client.POST("/v1/users/{user_id}:suspend", { params, body: { reason: "spam" } });
  await client.POST("/v1/users/{user_id}:reinstate", { params });
  return suspended.error === undefined;
}

export async function submit(problemId: string, source: string): Promise<string | undefined> {
  const headers = { "Idempotency-Key": "0001" };
  const { data } = await client.POST("/v1/submissions", {
    params: { header: headers },
    body: { problemId, language: "cpp20", source },
  });
  return data?.submissionId;
}

export async function titles(): Promise<string[]> {
  const { data } = await client.GET("/v1/problems", { params: { query: { pageSize: 50, tags: ["graphs"] } } });
  return (data?.problems ?? []).map((problem) => problem.title ?? "");
}
