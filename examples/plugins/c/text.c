#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Out of memory is a defect that cannot be reported: it ends the call. */
static void *allocate(size_t size) {
  void *memory = malloc(size);
  if (memory == NULL) abort();
  return memory;
}

step_plugin_string_t text(const char *c_string) {
  return (step_plugin_string_t){(uint8_t *)c_string, strlen(c_string)};
}

bool equals(step_plugin_string_t string, const char *c_string) {
  return string.len == strlen(c_string) && memcmp(string.ptr, c_string, string.len) == 0;
}

step_plugin_string_t format(const char *format, ...) {
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  int length = vsnprintf(NULL, 0, format, arguments);
  va_end(arguments);
  if (length < 0) abort();
  char *printed = allocate((size_t)length + 1);
  vsnprintf(printed, (size_t)length + 1, format, again);
  va_end(again);
  return (step_plugin_string_t){(uint8_t *)printed, (size_t)length};
}

step_plugin_string_t trim_end(step_plugin_string_t string) {
  while (string.len > 0 && strchr(" \t\r\n", string.ptr[string.len - 1]) != NULL) string.len--;
  return string;
}

step_plugin_string_t hex(const uint8_t *bytes, size_t length) {
  static const char digits[] = "0123456789abcdef";
  uint8_t *out = allocate(length * 2 + 1);
  for (size_t i = 0; i < length; i++) {
    out[2 * i] = (uint8_t)digits[bytes[i] >> 4];
    out[2 * i + 1] = (uint8_t)digits[bytes[i] & 15];
  }
  return (step_plugin_string_t){out, length * 2};
}

/* The length of the UTF-8 sequence at `bytes`, 0 where there is none: no overlong forms, surrogates or values too large. */
static size_t utf8_length(const uint8_t *bytes, size_t left) {
  uint8_t first = bytes[0];
  size_t length = first < 0x80 ? 1 : first >= 0xC2 && first < 0xE0 ? 2 : first >= 0xE0 && first < 0xF0 ? 3 : first >= 0xF0 && first < 0xF5 ? 4 : 0;
  if (length == 0 || length > left) return 0;
  for (size_t i = 1; i < length; i++)
    if ((bytes[i] & 0xC0) != 0x80) return 0;
  if ((first == 0xE0 && bytes[1] < 0xA0) || (first == 0xED && bytes[1] >= 0xA0)) return 0;
  if ((first == 0xF0 && bytes[1] < 0x90) || (first == 0xF4 && bytes[1] >= 0x90)) return 0;
  return length;
}

step_plugin_string_t json_text(step_plugin_string_t bytes) {
  /* No byte becomes more than the six of an escape; two are the quotes, one is the end that snprintf writes. */
  char *out = allocate(bytes.len * 6 + 3);
  size_t at = 0;
  out[at++] = '"';
  for (size_t i = 0; i < bytes.len;) {
    const uint8_t *here = bytes.ptr + i;
    size_t length = utf8_length(here, bytes.len - i);
    if (length == 0) {
      memcpy(out + at, "\\ufffd", 6);
      at += 6;
      i++;
    } else if (*here == '"' || *here == '\\') {
      out[at++] = '\\';
      out[at++] = (char)*here;
      i++;
    } else if (*here < ' ') {
      at += (size_t)snprintf(out + at, 7, "\\u%04x", *here);
      i++;
    } else {
      memcpy(out + at, here, length);
      at += length;
      i += length;
    }
  }
  out[at++] = '"';
  return (step_plugin_string_t){(uint8_t *)out, at};
}

bool json_member_is(step_plugin_string_t object, const char *name, const char *value) {
  /* One pass over the tokens. At depth 1, a string before a colon is a member's name. */
  int depth = 0;
  bool named = false, after_colon = false;
  for (size_t i = 0; i < object.len; i++) {
    uint8_t c = object.ptr[i];
    if (c == '{' || c == '[') depth++;
    if (c == '}' || c == ']') depth--;
    if (depth == 1 && c == ':') after_colon = true;
    if (depth == 1 && c == ',') named = after_colon = false;
    if (c != '"') continue;
    size_t start = ++i;
    while (i < object.len && object.ptr[i] != '"') i += object.ptr[i] == '\\' ? 2 : 1;
    if (i >= object.len) return false;
    step_plugin_string_t string = {object.ptr + start, i - start};
    if (depth != 1) continue;
    if (!after_colon) named = equals(string, name);
    else if (named) return equals(string, value);
  }
  return false;
}
