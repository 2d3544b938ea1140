//! `windlass plugin test`.

use super::super::print_json;
use crate::{
    app::App,
    args::TestArgs,
    exit::{Exit, coded},
    style,
};
use serde::Serialize;
use std::{path::Path, time::Instant};
use windlass_author::{
    case::{self, Finding, Found, Outcome},
    stage::{Mode, Subject, play},
};
use windlass_package::manifest::Manifest;
use windlass_runtime::Runtime;

pub(super) async fn test(app: &App, args: TestArgs) -> anyhow::Result<Exit> {
    let (manifest, _) = Manifest::load(&args.folder).map_err(coded)?;
    let cases = case::find(&args.folder, args.case.as_deref()).map_err(coded)?;
    let runtime = app.runtime()?;
    let subject = Subject::open(&runtime, &args.folder, manifest).await.map_err(coded)?;
    super::build::advise(&subject.built);
    let mode = if args.record { Mode::Record(app.real_world()?) } else { Mode::Replay };
    if args.record {
        anstream::eprintln!("{} is run for real. As plugin.yaml asks, it may:", subject.plugin());
        for (_, words) in subject.manifest.permissions.in_words() {
            anstream::eprintln!("  {words}");
        }
    }
    let verdicts = play_all(&runtime, &subject, &cases, &mode, !args.json).await?;
    let passed = verdicts.iter().all(Verdict::passed);
    if args.json {
        print_json(&serde_json::json!({ "plugin": subject.plugin(), "passed": passed, "cases": verdicts }))?;
    }
    Ok(if passed { Exit::Success } else { Exit::Failed })
}

/// What came of one case.
#[derive(Serialize)]
pub(super) struct Verdict {
    case: String,
    outcome: Outcome,
    ms: u128,
    findings: Vec<Finding>,
    #[serde(skip)]
    unrecorded: bool,
}

impl Verdict {
    pub(super) fn passed(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Plays all cases, and prints each as it ends where that is wanted.
pub(super) async fn play_all(
    runtime: &Runtime,
    subject: &Subject,
    cases: &[Found],
    mode: &Mode,
    print: bool,
) -> anyhow::Result<Vec<Verdict>> {
    let mut verdicts = Vec::new();
    for found in cases {
        let began = Instant::now();
        let ran = play(runtime, subject, found, mode).await.map_err(coded)?;
        let verdict = Verdict {
            case: found.name.clone(),
            outcome: ran.outcome,
            ms: began.elapsed().as_millis(),
            findings: case::judge(&found.case.expect, &ran),
            unrecorded: ran.is_unrecorded(),
        };
        if print {
            print_verdict(&verdict);
        }
        verdicts.push(verdict);
    }
    if print {
        print_sum(&verdicts, cases, mode);
    }
    Ok(verdicts)
}

fn print_verdict(verdict: &Verdict) {
    let sign = if verdict.passed() { style::paint(style::GOOD, "✔") } else { style::paint(style::ERROR, "✘") };
    anstream::println!("{sign} {} {}", verdict.case, style::paint(style::FAINT, format_args!("{} ms", verdict.ms)));
    for finding in &verdict.findings {
        anstream::println!("    {}", style::paint(style::STRONG, finding.what));
        for line in finding.words.lines() {
            let line = windlass_capabilities::log::escape(line);
            let line = match line.as_bytes().first() {
                Some(b'-') => style::paint(style::GOOD, line),
                Some(b'+') => style::paint(style::ERROR, line),
                _ => line,
            };
            anstream::println!("      {line}");
        }
    }
    if verdict.unrecorded {
        let record = format!("windlass plugin test --record --case {}", verdict.case);
        anstream::println!("    {}: {record}", style::paint(style::HELP, "to record one"));
    }
}

fn print_sum(verdicts: &[Verdict], cases: &[Found], mode: &Mode) {
    let failed = verdicts.iter().filter(|each| !each.passed()).count();
    let count = match verdicts.len() {
        1 => "1 case".to_owned(),
        n => format!("{n} cases"),
    };
    match failed {
        0 => anstream::println!("{count} passed"),
        _ => anstream::println!("{failed} of {count} failed (- expected, + found)"),
    }
    if matches!(mode, Mode::Record(_)) {
        let sessions = cases.iter().map(Found::session_file).filter(|file| file.is_file());
        for file in sessions {
            let name = file.file_name().map(Path::new).unwrap_or(&file).display().to_string();
            anstream::println!("recorded {}", style::paint(style::FAINT, name));
        }
    }
}
