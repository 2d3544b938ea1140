"""What this plugin provides. It is a JSON document; a module, because no file can be read at run time."""

DESCRIPTOR = r"""
{
  "steps": [
    {
      "name": "step.greet_python",
      "summary": "Greets somebody; a plugin to copy, in Python.",
      "docs": "Greets `name` in the log, keeps the greeting as an artifact, and, where they are given, runs a container from `image`, signs with `token`, and asks `url`.",
      "effect": "idempotent",
      "config_schema": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": false,
        "required": [
          "name"
        ],
        "properties": {
          "name": {
            "type": "string",
            "minLength": 1,
            "maxLength": 100,
            "description": "Who is greeted.",
            "examples": [
              "Ada"
            ]
          },
          "image": {
            "type": "string",
            "minLength": 1,
            "description": "An image with a shell, to greet from a container as well.",
            "examples": [
              "busybox"
            ],
            "x-windlass-template": "strict"
          },
          "token": {
            "type": "string",
            "description": "A secret, which the plugin uses and never sees.",
            "examples": [
              "secret:vault/greet"
            ],
            "x-windlass-secret": true
          },
          "url": {
            "type": "string",
            "minLength": 1,
            "description": "Where to ask for a greeting, with the token if there is one.",
            "examples": [
              "https://example.com/greeting"
            ],
            "x-windlass-template": "strict"
          }
        }
      },
      "output_schema": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "additionalProperties": false,
        "properties": {
          "greeting": {
            "type": "string",
            "description": "The greeting."
          },
          "artifact_digest": {
            "type": "string",
            "description": "The digest of the greeting that was kept."
          },
          "hmac": {
            "type": "string",
            "description": "HMAC-SHA-256 of `windlass` with the token as key, in hex."
          },
          "container_exit": {
            "type": "integer",
            "description": "The container's exit code."
          },
          "container_stdout": {
            "type": "string",
            "description": "What the container printed."
          },
          "http_status": {
            "type": "integer",
            "description": "The status of the answer."
          },
          "http_body": {
            "type": "string",
            "description": "The first 200 bytes of the answer."
          }
        }
      }
    }
  ]
}
"""
