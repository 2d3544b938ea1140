"""`@plugin@`: one step type, step.@snake@."""

import json

from componentize_py_types import Err
from descriptor import DESCRIPTOR
from wit_world import exports
from wit_world.exports.step import StepError_InvalidConfig
from wit_world.imports import inputs, log, outputs
from wit_world.imports.types import Recovery


class Step(exports.Step):
    def describe(self):
        """What this plugin provides. Called at publish and at install, never during a run."""
        return DESCRIPTOR

    def validate(self, step_type, config):
        """What a schema cannot say about a configuration. Called by `windlass lint` and `windlass plan`."""
        return []

    def run(self, step_type):
        """The work. Each call is a fresh instance. A step fails by raising `Err`; any other exception is a trap."""
        who = json.loads(inputs.config())["who"]
        if who == "nobody":
            raise Err(StepError_InvalidConfig("nobody is there to be greeted"))
        greeting = f"hello {who}"
        log.write(log.Level.INFO, greeting, [])
        # A result is a JSON value; later steps read it as steps.<step>.outputs.greeting.
        outputs.set("greeting", json.dumps(greeting))

    def recover(self, step_type):
        """Asked after a crash of the host, of step types with the effect `at-most-once` only."""
        return Recovery.RERUN
