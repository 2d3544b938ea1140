"""`examples:greet-python`: one step type, step.greet_python, that uses every capability of the contract once.

The same plugin is written in Rust, JavaScript and C beside this folder, with the same configuration and the same results.
"""

import json

from componentize_py_types import Err
from descriptor import DESCRIPTOR
from wit_world import exports
from wit_world.exports.step import (
    StepError_Cancelled,
    StepError_Denied,
    StepError_Failed,
    StepError_InvalidConfig,
    StepError_Other,
    StepError_Unavailable,
)
from wit_world.imports import artifacts, containers, http, inputs, log, outputs, secrets
from wit_world.imports.types import Diagnostic, Recovery, Severity

STEP_TYPE = "step.greet_python"
LANGUAGE = "python"

# How much of the answer's body becomes a result, in bytes. A greeting needs no more.
BODY_BYTES = 200
# How much is read from an artifact at once, in bytes.
CHUNK_BYTES = 64 * 1024

# Prints a greeting, and whether it has a secret; both come by environment, never spliced into the text.
SCRIPT = r'printf "hello %s%s\n" "$NAME" "${TOKEN:+ and its token}"'


class Step(exports.Step):
    def describe(self):
        return DESCRIPTOR

    def validate(self, step_type, config):
        if json.loads(config).get("name") != "nobody":
            return []
        return [
            Diagnostic(
                severity=Severity.WARNING,
                path="/name",
                message="nobody will be greeted",
                help="give the name of somebody",
            )
        ]

    def run(self, step_type):
        if step_type != STEP_TYPE:
            raise Err(StepError_InvalidConfig(f"this plugin has no step type {step_type}"))
        try:
            greet(json.loads(inputs.config()))
        except Err as refusal:
            raise Err(step_error(refusal.value)) from None

    def recover(self, step_type):
        return Recovery.RERUN


def greet(config):
    name = config["name"]
    log.group_start("greet")
    log.write(log.Level.INFO, f"hello {name}", [("language", LANGUAGE), ("attempt", str(inputs.attempt()))])
    output("greeting", f"hello {name} from {LANGUAGE}")

    log.progress(1, 4, "artifact")
    keep_artifact(f"hello {name}\n".encode())

    log.progress(2, 4, "secret")
    token = secrets.get(config["token"]) if "token" in config else None
    if token is not None:
        output("hmac", token.hmac_sha256(b"windlass").hex())

    log.progress(3, 4, "container")
    if "image" in config:
        greet_in_container(config["image"], name, token)

    log.progress(4, 4, "request")
    if "url" in config:
        fetch_greeting(config["url"], token)
    log.group_end()


def keep_artifact(data):
    """Keeps the bytes as an artifact, and reads them back to the last."""
    key = f"greetings/{LANGUAGE}.txt"
    writer = artifacts.create(key)
    writer.write(data)
    writer.finish()

    artifact = artifacts.get(key)
    reader = artifact.open()
    read = b""
    while chunk := reader.read(CHUNK_BYTES):
        read += chunk
    if read != data:
        raise Err(StepError_Other(f"the artifact {key} is not what was written"))
    output("artifact_digest", artifact.digest())


def greet_in_container(image, name, token):
    """Runs a container that is given the secret without this plugin seeing it."""
    spec = containers.ContainerSpec(image)
    spec.command(["sh", "-c", SCRIPT])
    spec.env("NAME", name)
    if token is not None:
        spec.env_secret("TOKEN", token)
    container = containers.start(spec)
    exit = container.wait()
    output("container_exit", exit.code)
    output("container_stdout", container.captured(containers.Output.STDOUT).rstrip())
    if exit.out_of_memory:
        raise Err(StepError_Failed("the container ran out of memory"))
    if exit.code != 0:
        raise Err(StepError_Failed(f"the container exited {exit.code}"))


def fetch_greeting(url, token):
    """Asks the URL, with the secret both ways: as a header that the host fills in, and as a placeholder in our own text."""
    request = http.Request("GET", url)
    if token is not None:
        request.secret_header("authorization", "Bearer ", token)
        request.header("x-greet-token", token.placeholder())
    response = http.send(request)
    output("http_status", response.status())
    body = b""
    while len(body) < BODY_BYTES and (chunk := response.read(BODY_BYTES - len(body))):
        body += chunk
    output("http_body", body.decode(errors="replace"))


def output(name, value):
    """Sets one result."""
    outputs.set(name, json.dumps(value, ensure_ascii=False))


# Which error of a step each refusal of the host is; what is not named here is `other`.
STEP_ERRORS = {
    "NotGranted": StepError_Denied,
    "Denied": StepError_Denied,
    "Invalid": StepError_InvalidConfig,
    "NotFound": StepError_InvalidConfig,
    "ImagePullFailed": StepError_Unavailable,
    "VolumeMountFailed": StepError_Unavailable,
    "ResourceExhausted": StepError_Unavailable,
    "EngineUnavailable": StepError_Unavailable,
    "Unavailable": StepError_Unavailable,
    "Unreachable": StepError_Unavailable,
    "TimedOut": StepError_Unavailable,
}


def step_error(refusal):
    """The step's error for what an import raised. A case is a class named after the variant: `ContainerError_Invalid`."""
    variant, _, case = type(refusal).__name__.partition("_")
    if variant == "StepError":
        return refusal
    if case == "Cancelled":
        return StepError_Cancelled()
    return STEP_ERRORS.get(case, StepError_Other)(str(getattr(refusal, "value", case)))
