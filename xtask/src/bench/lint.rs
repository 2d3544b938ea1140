//! How long a pipeline of as many steps as there may be takes to be checked, beside reading the YAML of it.

use super::{
    figures::{Figure, Report, Samples, Unit},
    root,
    shapes::{Shape, name},
};
use anyhow::{Context as _, bail};
use serde_saphyr::granit_parser::Parser;
use std::{fmt::Write as _, hint::black_box, time::Instant};
use windlass_contract::{Descriptor, Digest, PluginRef};
use windlass_manifest::{Catalogue, InstalledStep, Loading, MAX_STEPS, Source, Workflows, load_with};

const ROUNDS: usize = 9;
/// What the design promises, in seconds.
const PROMISED: f64 = 0.3;

pub(crate) fn measure(report: &mut Report) -> anyhow::Result<()> {
    let catalogue = catalogue()?;
    let steps = u32::try_from(MAX_STEPS)?;
    for shape in Shape::ALL {
        let text = pipeline(shape, steps)?;
        lint(report, &catalogue, format!("{}, {steps} steps", shape.name()), text)?;
    }
    lint(report, &catalogue, format!("states dialect, {steps} steps in parallel"), workflow(steps)?)
}

fn lint(report: &mut Report, catalogue: &Catalogue, what: String, text: String) -> anyhow::Result<()> {
    let source = Source { name: "bench.yaml".to_owned(), text };
    let workflows = Workflows::default();
    let [mut ours, mut floor]: [Samples; 2] = Default::default();
    let mut found = 0;
    for round in 0..=ROUNDS {
        let began = Instant::now();
        let loaded = load_with(&source, &Loading { catalogue, workflows: &workflows, pipeline: None });
        let took = began.elapsed();
        let Some(plan) = &loaded.plan else { bail!("{what}: {:?}", loaded.diagnostics.first()) };
        if plan.steps().count() != MAX_STEPS {
            bail!("{what}: not every step was read");
        }
        found = loaded.diagnostics.len();

        let began = Instant::now();
        let events = Parser::new_from_str(black_box(&source.text)).try_fold(0, |seen, event| event.map(|_| seen + 1));
        let alone = began.elapsed();
        black_box(events?);
        // The first round compiles the schemas.
        if round > 0 {
            ours.time(took);
            floor.time(alone);
        }
    }
    let holds = ours.p50() <= PROMISED;
    let figure = Figure::new("lint", what, Unit::Seconds, &ours).over("the events of its YAML", &floor);
    let note = format!("{} kB, {found} warnings", source.text.len() / 1000);
    report.add(figure.target("≤ 300 ms p50", holds).note(note));
    Ok(())
}

/// What the bundled plugins say of themselves.
fn catalogue() -> anyhow::Result<Catalogue> {
    let mut steps = Vec::new();
    for plugin in ["agent", "artifact", "container", "shell"] {
        let path = root().join("plugins").join(plugin).join("src/descriptor.json");
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let descriptor: Descriptor = serde_json::from_str(&text)?;
        let name = format!("windlass:{plugin}").parse()?;
        let plugin = PluginRef { name, version: "0.1.0".parse()?, digest: Digest::of(text.as_bytes()) };
        steps.extend(descriptor.steps.into_iter().map(|step| InstalledStep { plugin: plugin.clone(), step }));
    }
    Ok(Catalogue::new(steps))
}

/// A pipeline of shell steps, written without a space too many: a file has room for 104 bytes a step.
fn pipeline(shape: Shape, count: u32) -> anyhow::Result<String> {
    let mut text = "name: bench\nsteps:\n".to_owned();
    for n in 0..count {
        let needs: Vec<String> = shape.needs(n).into_iter().map(name).collect();
        writeln!(
            text,
            "- {{name: {},type: step.shell_exec,needs: [{}],config: {{image: 'a:1',commands: [make]}}}}",
            name(n),
            needs.join(",")
        )?;
    }
    Ok(text)
}

/// A workflow of one state, all steps of which are containers.
fn workflow(count: u32) -> anyhow::Result<String> {
    let mut text = "apiVersion: 100monkeys.ai/v1\nkind: Workflow\nmetadata: { name: bench }\nspec:\n  \
                    initial_state: ALL\n  states:\n    ALL:\n      kind: ParallelContainerRun\n      steps:\n"
        .to_owned();
    for n in 0..count {
        writeln!(text, "      - {{name: {}, image: 'a:1', command: [make, -j2]}}", name(n))?;
    }
    text.push_str("      transitions: []\n");
    Ok(text)
}
