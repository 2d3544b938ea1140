/* `examples:greet-c`: one step type, step.greet_c, that uses every capability of the contract once.
 *
 * The same plugin is written in Rust, JavaScript and Python beside this folder, with the same configuration and the same
 * results.
 *
 * Memory: the host makes a fresh instance for each call and drops it afterwards, with all its memory and handles. So this
 * plugin frees nothing; a plugin that moves much data in one call would.
 */
#include "descriptor.h"
#include "gen/step_plugin.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#define STEP_TYPE "step.greet_c"
#define LANGUAGE "c"
#define ARTIFACT_KEY "greetings/c.txt"
/* How much of the answer's body becomes a result, in bytes. A greeting needs no more. */
#define BODY_BYTES 200
/* How much is read from an artifact at once, in bytes. */
#define CHUNK_BYTES (64 * 1024)

/* Prints a greeting, and whether it has a secret; both come by environment, never spliced into the text. */
#define SCRIPT "printf \"hello %s%s\\n\" \"$NAME\" \"${TOKEN:+ and its token}\""

typedef step_plugin_string_t string_t;
typedef exports_windlass_plugin_step_step_error_t step_error_t;
typedef windlass_plugin_secrets_borrow_secret_t secret_t;

/* ---- errors: which error of a step each refusal of the host is. Each returns false, for `return`. ---- */

static bool fail(step_error_t *error, uint8_t tag, string_t text) {
  error->tag = tag;
  /* Every case that has a text has it in the same place. A copy: what an export returns is freed by the bindings. */
  error->val.other = format("%.*s", (int)text.len, text.ptr);
  return false;
}
#define INVALID_CONFIG EXPORTS_WINDLASS_PLUGIN_STEP_STEP_ERROR_INVALID_CONFIG
#define FAILED EXPORTS_WINDLASS_PLUGIN_STEP_STEP_ERROR_FAILED
#define DENIED EXPORTS_WINDLASS_PLUGIN_STEP_STEP_ERROR_DENIED
#define UNAVAILABLE EXPORTS_WINDLASS_PLUGIN_STEP_STEP_ERROR_UNAVAILABLE
#define CANCELLED EXPORTS_WINDLASS_PLUGIN_STEP_STEP_ERROR_CANCELLED
#define OTHER EXPORTS_WINDLASS_PLUGIN_STEP_STEP_ERROR_OTHER

static bool container_failed(step_error_t *error, windlass_plugin_containers_container_error_t *refusal) {
  string_t text = refusal->val.other;
  switch (refusal->tag) {
  case WINDLASS_PLUGIN_CONTAINERS_CONTAINER_ERROR_NOT_GRANTED:
    return fail(error, DENIED, text);
  case WINDLASS_PLUGIN_CONTAINERS_CONTAINER_ERROR_INVALID:
  case WINDLASS_PLUGIN_CONTAINERS_CONTAINER_ERROR_NOT_FOUND:
    return fail(error, INVALID_CONFIG, text);
  case WINDLASS_PLUGIN_CONTAINERS_CONTAINER_ERROR_IMAGE_PULL_FAILED:
  case WINDLASS_PLUGIN_CONTAINERS_CONTAINER_ERROR_VOLUME_MOUNT_FAILED:
  case WINDLASS_PLUGIN_CONTAINERS_CONTAINER_ERROR_RESOURCE_EXHAUSTED:
  case WINDLASS_PLUGIN_CONTAINERS_CONTAINER_ERROR_ENGINE_UNAVAILABLE:
    return fail(error, UNAVAILABLE, text);
  case WINDLASS_PLUGIN_CONTAINERS_CONTAINER_ERROR_CANCELLED:
    error->tag = CANCELLED;
    return false;
  default:
    return fail(error, OTHER, text);
  }
}

static bool artifact_failed(step_error_t *error, windlass_plugin_artifacts_artifact_error_t *refusal) {
  string_t text = refusal->val.other;
  switch (refusal->tag) {
  case WINDLASS_PLUGIN_ARTIFACTS_ARTIFACT_ERROR_NOT_GRANTED:
    return fail(error, DENIED, text);
  case WINDLASS_PLUGIN_ARTIFACTS_ARTIFACT_ERROR_INVALID:
  case WINDLASS_PLUGIN_ARTIFACTS_ARTIFACT_ERROR_NOT_FOUND:
    return fail(error, INVALID_CONFIG, text);
  case WINDLASS_PLUGIN_ARTIFACTS_ARTIFACT_ERROR_UNAVAILABLE:
    return fail(error, UNAVAILABLE, text);
  default:
    return fail(error, OTHER, text);
  }
}

static bool secret_failed(step_error_t *error, windlass_plugin_secrets_secret_error_t *refusal) {
  string_t text = refusal->val.other;
  switch (refusal->tag) {
  case WINDLASS_PLUGIN_SECRETS_SECRET_ERROR_NOT_GRANTED:
    return fail(error, DENIED, text);
  case WINDLASS_PLUGIN_SECRETS_SECRET_ERROR_INVALID:
  case WINDLASS_PLUGIN_SECRETS_SECRET_ERROR_NOT_FOUND:
    return fail(error, INVALID_CONFIG, text);
  case WINDLASS_PLUGIN_SECRETS_SECRET_ERROR_UNAVAILABLE:
    return fail(error, UNAVAILABLE, text);
  default:
    return fail(error, OTHER, text);
  }
}

static bool http_failed(step_error_t *error, windlass_plugin_http_http_error_t *refusal) {
  string_t text = refusal->val.other;
  switch (refusal->tag) {
  case WINDLASS_PLUGIN_HTTP_HTTP_ERROR_NOT_GRANTED:
  case WINDLASS_PLUGIN_HTTP_HTTP_ERROR_DENIED:
    return fail(error, DENIED, text);
  case WINDLASS_PLUGIN_HTTP_HTTP_ERROR_INVALID:
    return fail(error, INVALID_CONFIG, text);
  case WINDLASS_PLUGIN_HTTP_HTTP_ERROR_UNREACHABLE:
  case WINDLASS_PLUGIN_HTTP_HTTP_ERROR_TIMED_OUT:
    return fail(error, UNAVAILABLE, text);
  default:
    return fail(error, OTHER, text);
  }
}

/* ---- the host's functions with plain C arguments ---- */

/* Sets one result; `json` is its value as JSON. */
static bool output(const char *name, string_t json, step_error_t *error) {
  string_t key = text(name);
  windlass_plugin_outputs_output_error_t refusal;
  return windlass_plugin_outputs_set(&key, &json, &refusal) || fail(error, OTHER, refusal.val.other);
}

static void progress(uint32_t done, const char *what) {
  string_t message = text(what);
  windlass_plugin_log_progress(done, 4, &message);
}

/* One value of the configuration; false where there is none. */
static bool configured(const char *pointer, string_t *value) {
  string_t at = text(pointer);
  return windlass_plugin_inputs_get(&at, value);
}

/* ---- the parts of the step ---- */

/* Keeps the text as an artifact, and reads it back to the last byte. */
static bool keep_artifact(string_t content, step_error_t *error) {
  string_t key = text(ARTIFACT_KEY);
  windlass_plugin_artifacts_artifact_error_t refusal;
  windlass_plugin_artifacts_own_writer_t writer;
  windlass_plugin_artifacts_own_artifact_t artifact;
  windlass_plugin_artifacts_own_reader_t reader;

  if (!windlass_plugin_artifacts_create(&key, &writer, &refusal)) return artifact_failed(error, &refusal);
  windlass_plugin_artifacts_borrow_writer_t into = windlass_plugin_artifacts_borrow_writer(writer);
  step_plugin_list_u8_t bytes = {content.ptr, content.len};
  if (!windlass_plugin_artifacts_method_writer_write(into, &bytes, &refusal)) return artifact_failed(error, &refusal);
  if (!windlass_plugin_artifacts_method_writer_finish(into, &artifact, &refusal)) return artifact_failed(error, &refusal);

  if (!windlass_plugin_artifacts_get(&key, &artifact, &refusal)) return artifact_failed(error, &refusal);
  windlass_plugin_artifacts_borrow_artifact_t kept = windlass_plugin_artifacts_borrow_artifact(artifact);
  if (!windlass_plugin_artifacts_method_artifact_open(kept, &reader, &refusal)) return artifact_failed(error, &refusal);
  windlass_plugin_artifacts_borrow_reader_t from = windlass_plugin_artifacts_borrow_reader(reader);
  size_t at = 0;
  bool same = true;
  for (;;) {
    step_plugin_list_u8_t chunk;
    if (!windlass_plugin_artifacts_method_reader_read(from, CHUNK_BYTES, &chunk, &refusal))
      return artifact_failed(error, &refusal);
    if (chunk.len == 0) break;
    same = same && chunk.len <= content.len - at && memcmp(content.ptr + at, chunk.ptr, chunk.len) == 0;
    at += same ? chunk.len : 0;
  }
  if (!same || at != content.len) return fail(error, OTHER, text("the artifact " ARTIFACT_KEY " is not what was written"));

  string_t digest;
  windlass_plugin_artifacts_method_artifact_digest(kept, &digest);
  return output("artifact_digest", json_text(digest), error);
}

/* Signs with the secret without seeing it. */
static bool sign(secret_t token, step_error_t *error) {
  string_t message = text("windlass");
  step_plugin_list_u8_t data = {message.ptr, message.len}, mac;
  windlass_plugin_secrets_secret_error_t refusal;
  if (!windlass_plugin_secrets_method_secret_hmac_sha256(token, &data, &mac, &refusal)) return secret_failed(error, &refusal);
  return output("hmac", json_text(hex(mac.ptr, mac.len)), error);
}

/* Runs a container that is given the secret, if there is one, without this plugin seeing it. */
static bool greet_in_container(string_t image, string_t name, secret_t *token, step_error_t *error) {
  windlass_plugin_containers_own_container_spec_t spec = windlass_plugin_containers_constructor_container_spec(&image);
  windlass_plugin_containers_borrow_container_spec_t asked = windlass_plugin_containers_borrow_container_spec(spec);
  string_t words[] = {text("sh"), text("-c"), text(SCRIPT)}, name_key = text("NAME"), token_key = text("TOKEN");
  step_plugin_list_string_t argv = {words, 3};
  windlass_plugin_containers_method_container_spec_command(asked, &argv);
  windlass_plugin_containers_method_container_spec_env(asked, &name_key, &name);
  if (token != NULL) windlass_plugin_containers_method_container_spec_env_secret(asked, &token_key, *token);

  windlass_plugin_containers_container_error_t refusal;
  windlass_plugin_containers_own_container_t started;
  if (!windlass_plugin_containers_start(spec, &started, &refusal)) return container_failed(error, &refusal);
  windlass_plugin_containers_borrow_container_t container = windlass_plugin_containers_borrow_container(started);
  windlass_plugin_containers_exit_t exit;
  if (!windlass_plugin_containers_method_container_wait(container, &exit, &refusal)) return container_failed(error, &refusal);

  string_t printed;
  windlass_plugin_containers_method_container_captured(container, WINDLASS_PLUGIN_CONTAINERS_OUTPUT_STDOUT, &printed);
  if (!output("container_exit", format("%d", (int)exit.code), error)) return false;
  if (!output("container_stdout", json_text(trim_end(printed)), error)) return false;
  if (exit.out_of_memory) return fail(error, FAILED, text("the container ran out of memory"));
  if (exit.code != 0) return fail(error, FAILED, format("the container exited %d", (int)exit.code));
  return true;
}

/* Asks the URL, with the secret both ways: as a header that the host fills in, and as a placeholder in text of our own. */
static bool fetch_greeting(string_t url, secret_t *token, step_error_t *error) {
  string_t method = text("GET");
  windlass_plugin_http_own_request_t request = windlass_plugin_http_constructor_request(&method, &url);
  windlass_plugin_http_borrow_request_t asked = windlass_plugin_http_borrow_request(request);
  if (token != NULL) {
    string_t header = text("authorization"), prefix = text("Bearer "), own_header = text("x-greet-token"), placeholder;
    windlass_plugin_http_method_request_secret_header(asked, &header, &prefix, *token);
    windlass_plugin_secrets_method_secret_placeholder(*token, &placeholder);
    windlass_plugin_http_method_request_header(asked, &own_header, &placeholder);
  }
  windlass_plugin_http_http_error_t refusal;
  windlass_plugin_http_own_response_t answer;
  if (!windlass_plugin_http_send(request, &answer, &refusal)) return http_failed(error, &refusal);
  windlass_plugin_http_borrow_response_t response = windlass_plugin_http_borrow_response(answer);
  uint16_t status = windlass_plugin_http_method_response_status(response);
  if (!output("http_status", format("%u", (unsigned)status), error)) return false;

  uint8_t body[BODY_BYTES];
  size_t length = 0;
  while (length < BODY_BYTES) {
    step_plugin_list_u8_t chunk;
    if (!windlass_plugin_http_method_response_read(response, (uint32_t)(BODY_BYTES - length), &chunk, &refusal))
      return http_failed(error, &refusal);
    if (chunk.len == 0) break;
    memcpy(body + length, chunk.ptr, chunk.len); /* never more than was asked for: the contract says so */
    length += chunk.len;
  }
  return output("http_body", json_text((string_t){body, length}), error);
}

static bool greet(step_error_t *error) {
  string_t name, image, url, reference;
  if (!configured("/name", &name)) return fail(error, INVALID_CONFIG, text("name is missing"));

  string_t group = text("greet"), message = format("hello %.*s", (int)name.len, name.ptr);
  windlass_plugin_log_group_start(&group);
  step_plugin_tuple2_string_string_t fields[] = {
      {text("language"), text(LANGUAGE)},
      {text("attempt"), format("%u", (unsigned)windlass_plugin_inputs_attempt())},
  };
  step_plugin_list_tuple2_string_string_t all_fields = {fields, 2};
  windlass_plugin_log_write(WINDLASS_PLUGIN_LOG_LEVEL_INFO, &message, &all_fields);
  string_t greeting = format("hello %.*s from " LANGUAGE, (int)name.len, name.ptr);
  if (!output("greeting", json_text(greeting), error)) return false;

  progress(1, "artifact");
  if (!keep_artifact(format("hello %.*s\n", (int)name.len, name.ptr), error)) return false;

  progress(2, "secret");
  secret_t token, *given = NULL;
  if (configured("/token", &reference)) {
    windlass_plugin_secrets_own_secret_t secret;
    windlass_plugin_secrets_secret_error_t refusal;
    if (!windlass_plugin_secrets_get(&reference, &secret, &refusal)) return secret_failed(error, &refusal);
    token = windlass_plugin_secrets_borrow_secret(secret);
    given = &token;
    if (!sign(token, error)) return false;
  }

  progress(3, "container");
  if (configured("/image", &image) && !greet_in_container(image, name, given, error)) return false;

  progress(4, "request");
  if (configured("/url", &url) && !fetch_greeting(url, given, error)) return false;
  windlass_plugin_log_group_end();
  return true;
}

/* ---- the exports ---- */

void exports_windlass_plugin_step_describe(string_t *ret) {
  step_plugin_string_dup(ret, DESCRIPTOR); /* a copy: what an export returns is freed by the bindings */
}

void exports_windlass_plugin_step_validate(string_t *step_type, string_t *config,
                                           exports_windlass_plugin_step_list_diagnostic_t *ret) {
  (void)step_type;
  ret->ptr = NULL;
  ret->len = 0;
  if (!json_member_is(*config, "name", "nobody")) return;
  exports_windlass_plugin_step_diagnostic_t *warning = calloc(1, sizeof *warning);
  if (warning == NULL) abort();
  warning->severity = WINDLASS_PLUGIN_TYPES_SEVERITY_WARNING;
  step_plugin_string_dup(&warning->path, "/name");
  step_plugin_string_dup(&warning->message, "nobody will be greeted");
  warning->help.is_some = true;
  step_plugin_string_dup(&warning->help.val, "give the name of somebody");
  ret->ptr = warning;
  ret->len = 1;
}

bool exports_windlass_plugin_step_run(string_t *step_type, step_error_t *error) {
  if (!equals(*step_type, STEP_TYPE))
    return fail(error, INVALID_CONFIG, format("this plugin has no step type %.*s", (int)step_type->len, step_type->ptr));
  return greet(error);
}

exports_windlass_plugin_step_recovery_t exports_windlass_plugin_step_recover(string_t *step_type) {
  (void)step_type;
  return WINDLASS_PLUGIN_TYPES_RECOVERY_RERUN;
}
