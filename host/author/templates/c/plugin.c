/* `@plugin@`: one step type, step.@snake@.
 *
 * Memory: each call is a fresh instance, dropped afterwards with all its memory and handles. So this plugin frees nothing.
 */
#include "descriptor.h"
#include "gen/step_plugin.h"
#include "text.h"

typedef step_plugin_string_t string_t;
typedef exports_windlass_plugin_step_step_error_t step_error_t;

static bool fail(step_error_t *error, uint8_t tag, string_t text) {
  error->tag = tag;
  /* Every case that has a text has it in the same place. A copy: what an export returns is freed by the bindings. */
  error->val.other = format("%.*s", (int)text.len, text.ptr);
  return false;
}

/* What this plugin provides. Called at publish and at install, never during a run. */
void exports_windlass_plugin_step_describe(string_t *ret) {
  step_plugin_string_dup(ret, DESCRIPTOR); /* a copy: what an export returns is freed by the bindings */
}

/* What a schema cannot say about a configuration. Called by `windlass lint` and `windlass plan`. */
void exports_windlass_plugin_step_validate(string_t *step_type, string_t *config,
                                           exports_windlass_plugin_step_list_diagnostic_t *ret) {
  (void)step_type, (void)config;
  ret->ptr = NULL;
  ret->len = 0;
}

/* The work. */
bool exports_windlass_plugin_step_run(string_t *step_type, step_error_t *error) {
  (void)step_type;
  string_t at = text("/who"), who;
  if (!windlass_plugin_inputs_get(&at, &who))
    return fail(error, EXPORTS_WINDLASS_PLUGIN_STEP_STEP_ERROR_INVALID_CONFIG, text("who is missing"));
  if (equals(who, "nobody"))
    return fail(error, EXPORTS_WINDLASS_PLUGIN_STEP_STEP_ERROR_INVALID_CONFIG, text("nobody is there to be greeted"));

  string_t greeting = format("hello %.*s", (int)who.len, who.ptr);
  step_plugin_list_tuple2_string_string_t no_fields = {NULL, 0};
  windlass_plugin_log_write(WINDLASS_PLUGIN_LOG_LEVEL_INFO, &greeting, &no_fields);

  /* A result is a JSON value; later steps read it as steps.<step>.outputs.greeting. */
  string_t name = text("greeting"), value = json_text(greeting);
  windlass_plugin_outputs_output_error_t refusal;
  return windlass_plugin_outputs_set(&name, &value, &refusal) ||
         fail(error, EXPORTS_WINDLASS_PLUGIN_STEP_STEP_ERROR_OTHER, refusal.val.other);
}

/* Asked after a crash of the host, of step types with the effect `at-most-once` only. */
exports_windlass_plugin_step_recovery_t exports_windlass_plugin_step_recover(string_t *step_type) {
  (void)step_type;
  return WINDLASS_PLUGIN_TYPES_RECOVERY_RERUN;
}
