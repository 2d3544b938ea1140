/* Text for the plugin: the contract's strings, and the little JSON that it needs. */
#ifndef TEXT_H
#define TEXT_H

#include "gen/step_plugin.h"

/* A C string as the contract's, not copied. */
step_plugin_string_t text(const char *c_string);
/* Whether a string is this C string. */
bool equals(step_plugin_string_t string, const char *c_string);
/* As printf, into a new string. */
step_plugin_string_t format(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Without white space at the end, not copied. */
step_plugin_string_t trim_end(step_plugin_string_t string);
/* Lower-case hexadecimal digits. */
step_plugin_string_t hex(const uint8_t *bytes, size_t length);
/* A JSON string of bytes that should be UTF-8; what is not becomes U+FFFD. */
step_plugin_string_t json_text(step_plugin_string_t bytes);
/* Whether the member `name` of a JSON object is the string `value`. Strings with escapes are not looked into. */
bool json_member_is(step_plugin_string_t object, const char *name, const char *value);

#endif
